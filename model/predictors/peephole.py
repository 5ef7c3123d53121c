"""The predictor of the paper (Peephole, sections 3.1, 3.2 and 5.1)."""

import copy
from typing import ClassVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_linear_bn_eval

from ..encoding.layer_code import LayerCode
from ..paper_lstm import PaperLSTM
from .export import ExportedModule

LAYER_EMBEDDING = 40
EPOCH_EMBEDDING = 40
HIDDEN = 160
MLP_WIDTH = 200
MLP_DEPTH = 3


class LayerEmbedding(nn.Module):
    """Table lookups for Table 1's four columns, concatenated; kernel width and height share one table (Figure 3).

    Maps codes int [batch, layers, columns] to float32 [batch, layers, 40]; columns beyond the fourth are not read.
    """

    def __init__(self, code: LayerCode, width: int = LAYER_EMBEDDING) -> None:
        super().__init__()
        each = width // 4
        self.kind = nn.Embedding(code.types + 1, each)
        self.kernel = nn.Embedding(code.largest_kernel + 1, each)
        self.ratio = nn.Embedding(len(code.bins) + 1, each)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        kind, kernel_width, kernel_height, ratio = codes[:, :, :4].unbind(-1)
        return torch.cat(
            [self.kind(kind), self.kernel(kernel_width), self.kernel(kernel_height), self.ratio(ratio)], dim=-1
        )


class Peephole(ExportedModule):
    """Layer embedding, LSTM, epoch embedding and MLP, with the paper's sizes.

    Args:
        code: the layer code it reads.
        epochs: number of epochs of a curve.
    """

    INPUTS: ClassVar = {"codes": ("batch", "layers"), "lengths": ("batch",), "epochs": ("epochs",)}
    HAS_LSTM: ClassVar = True
    OUTPUTS: ClassVar = PaperLSTM.OUTPUTS

    def __init__(self, code: LayerCode, epochs: int) -> None:
        super().__init__()
        self.columns = len(code.columns)
        self.layers = LayerEmbedding(code)
        self.lstm = nn.LSTM(LAYER_EMBEDDING, HIDDEN, batch_first=True)
        self.epochs = nn.Embedding(epochs + 1, EPOCH_EMBEDDING)
        # The first linear layer of the MLP in two parts: one is computed per network, the other per epoch.
        self.from_structure = nn.Linear(HIDDEN, MLP_WIDTH)
        self.from_epoch = nn.Linear(EPOCH_EMBEDDING, MLP_WIDTH, bias=False)
        hidden: list[nn.Module] = [nn.BatchNorm1d(MLP_WIDTH), nn.ReLU()]
        for _ in range(MLP_DEPTH - 1):
            hidden += [nn.Linear(MLP_WIDTH, MLP_WIDTH), nn.BatchNorm1d(MLP_WIDTH), nn.ReLU()]
        self.mlp = nn.Sequential(*hidden, nn.Linear(MLP_WIDTH, 1))

    def structure(self, codes: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return the structural feature, the LSTM's hidden state after the last layer, float32 [batch, 160]."""
        states, _ = self.lstm(self.layers(codes))
        last = (lengths.long() - 1).reshape(-1, 1, 1).expand(-1, 1, HIDDEN)
        return torch.gather(states, 1, last).squeeze(1)

    def curve(self, structure: torch.Tensor, epochs: torch.Tensor) -> torch.Tensor:
        """Return accuracies float32 [batch, epochs] from structural features and 1-based epochs."""
        per_network = self.from_structure(structure).unsqueeze(1)
        per_epoch = self.from_epoch(self.epochs(epochs)).unsqueeze(0)
        return self.mlp((per_network + per_epoch).flatten(0, 1)).reshape(structure.shape[0], epochs.shape[0])

    def forward(
        self, codes: torch.Tensor, lengths: torch.Tensor, epochs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict accuracies.

        Args:
            codes: int [batch, layers, columns], zero-padded.
            lengths: int [batch], layers of each network.
            epochs: int [epochs], counted from 1.

        Returns:
            Accuracies float32 [batch, epochs], and structural features float32 [batch, 160].
        """
        structure = self.structure(codes, lengths)
        return self.curve(structure, epochs), structure

    def example(self) -> tuple[torch.Tensor, ...]:
        codes = torch.ones(2, 3, self.columns, dtype=torch.int32)
        return codes, torch.tensor([3, 2], dtype=torch.int32), torch.ones(4, dtype=torch.int64)


@torch.no_grad()
def fold_batch_norm(fitted: Peephole) -> Peephole:
    """Return the same function without batch normalisation, affine once fitted: weights before it take it in.

    That saves operations, and cuDNN refuses to normalise the 120,000 rows of 1,000 networks at 120 epochs.
    """
    folded = copy.deepcopy(fitted).eval()
    first, *others = folded.mlp
    assert isinstance(first, nn.BatchNorm1d)  # noqa: S101 - as built above
    assert first.running_mean is not None and first.running_var is not None  # noqa: S101, PT018 - it tracks them
    scale = first.weight / torch.sqrt(first.running_var + first.eps)
    for linear in (folded.from_structure, folded.from_epoch):
        linear.weight *= scale.unsqueeze(1)
    folded.from_structure.bias.mul_(scale).add_(first.bias - first.running_mean * scale)
    kept: list[nn.Module] = []
    for module in others:
        if isinstance(module, nn.BatchNorm1d):
            before = kept.pop()
            assert isinstance(before, nn.Linear)  # noqa: S101 - as built above
            kept.append(fuse_linear_bn_eval(before, module))
        else:
            kept.append(module)
    folded.mlp = nn.Sequential(*kept)
    return folded
