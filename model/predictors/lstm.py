"""An LSTM over sequences of different lengths that exports to the one ONNX operator made for it.

PyTorch's packed sequences do not export; ONNX's LSTM takes the lengths as an input. While exporting, the module calls
an operator of its own, which `model.predictors.export` translates.
"""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

Tensors = tuple[torch.Tensor, torch.Tensor]


class LSTM(nn.Module):
    """A single-layer LSTM, one- or two-directional.

    Maps inputs float32 [batch, layers, features] and lengths [batch] to outputs [batch, layers, directions * hidden],
    zero beyond each length, and final hidden states [batch, directions * hidden].
    """

    w: torch.Tensor
    r: torch.Tensor
    b: torch.Tensor

    def __init__(self, features: int, hidden: int, *, bidirectional: bool = False) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, batch_first=True, bidirectional=bidirectional)

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor) -> Tensors:
        if torch.compiler.is_exporting():
            return onnx_lstm(inputs, lengths, self.w, self.r, self.b)
        packed = pack_padded_sequence(inputs, lengths.cpu(), batch_first=True, enforce_sorted=False)
        outputs, (hidden, _) = self.lstm(packed)
        padded, _ = pad_packed_sequence(outputs, batch_first=True, total_length=inputs.shape[1])
        return padded, hidden.transpose(0, 1).flatten(1)

    def freeze(self) -> None:
        """Keep the weights in ONNX's layout as well; must be called before exporting.

        W is [directions, 4 hidden, features], R [directions, 4 hidden, hidden], B [directions, 8 hidden].
        """
        stacked: list[tuple[torch.Tensor, ...]] = []
        for suffix in ("", "_reverse")[: 2 if self.lstm.bidirectional else 1]:
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            tensors = [_reorder_gates(getattr(self.lstm, f"{name}_l0{suffix}")) for name in names]
            stacked.append((tensors[0], tensors[1], torch.cat(tensors[2:])))
        for name, directions in zip("wrb", zip(*stacked, strict=True), strict=True):
            self.register_buffer(name, torch.stack(directions), persistent=False)


def _reorder_gates(stacked: torch.Tensor) -> torch.Tensor:
    """PyTorch stacks the gates as input, forget, cell, output; ONNX as input, output, forget, cell."""
    gate_in, forget, cell, gate_out = stacked.detach().chunk(4)
    return torch.cat([gate_in, gate_out, forget, cell])


@torch.library.custom_op("peephole::lstm", mutates_args=())
def onnx_lstm(
    inputs: torch.Tensor, lengths: torch.Tensor, w: torch.Tensor, r: torch.Tensor, b: torch.Tensor
) -> Tensors:
    """Stand for ONNX's LSTM while a predictor is traced; it is never computed."""
    raise NotImplementedError("this operator exists in exported graphs only")


@onnx_lstm.register_fake
def _shapes(inputs: torch.Tensor, lengths: torch.Tensor, w: torch.Tensor, r: torch.Tensor, b: torch.Tensor) -> Tensors:
    del lengths, w, b
    directions, hidden = r.shape[0], r.shape[2]
    batch, layers = inputs.shape[:2]
    return inputs.new_empty(batch, layers, directions * hidden), inputs.new_empty(batch, directions * hidden)
