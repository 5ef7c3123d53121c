"""Several fitted members of an ensemble as one module, for speed: the same function with fewer and larger operations.

The embeddings and the linear layer behind them become tables to add up, the residual convolutions along the layers one
grouped convolution with the residual in its weights, and the last layers batched matrix products. What lies behind a
network's end is kept at zero: at first by the tables, then by a mask as wide as what it is multiplied with, so that
ONNX Runtime stays in its blocked layout from one convolution to the next.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from model.networks.layer_conv import LARGEST_FEATURE, SPAN, WIDTH, LayerConv
from model.ulc import EXTENDED

KERNELS = EXTENDED.largest_kernel + 1
RATIOS = len(EXTENDED.bins) + 1
NOTHING = -1e4  # what a rectifier makes nothing of, whatever is added


class FusedMembers(nn.Module):
    """The curves of all members at once.

    Args:
        members: fitted members of the same sizes.
    """

    kind: torch.Tensor
    kernel: torch.Tensor
    mix: torch.Tensor

    def __init__(self, members: Sequence[LayerConv]) -> None:
        super().__init__()
        self.count = len(members)
        with torch.no_grad():
            self._fold_embeddings(members)
            self.widen = nn.Conv2d(1, len(members) * WIDTH, 1, bias=False)
            self.widen.weight.fill_(1.0)
            self.convolutions = nn.ModuleList(
                _grouped(group) for group in zip(*(member.convolutions for member in members), strict=True)
            )
            linears = ([layer for layer in member.mlp if isinstance(layer, nn.Linear)] for member in members)
            self.linears = nn.ModuleList(_Linears(group) for group in zip(*linears, strict=True))

    def _fold_embeddings(self, members: Sequence[LayerConv]) -> None:
        parts: list[list[torch.Tensor]] = [[], [], []]
        for member in members:
            embedding, weight = member.layers, member.mix.weight
            tables = (embedding.kind, embedding.kernel, embedding.kernel, embedding.ratio)
            each = embedding.kind.embedding_dim
            kind, across, down, ratio = (
                table.weight @ weight[:, place * each : (place + 1) * each].T for place, table in enumerate(tables)
            )
            kind = (kind + member.mix.bias).unsqueeze(1) + ratio.unsqueeze(0)  # row: kind * RATIOS + ratio
            kind[0] = NOTHING
            kernel = across.unsqueeze(1) + down.unsqueeze(0)  # row: width * KERNELS + height
            folded = (kind.flatten(0, 1), kernel.flatten(0, 1), weight[:, 4 * each :].T)
            for part, table in zip(parts, folded, strict=True):
                part.append(table)
        for name, tables_of in zip(("kind", "kernel", "mix"), parts, strict=True):
            self.register_buffer(name, torch.cat(tables_of, dim=1).clone())

    def forward(
        self, codes: torch.Tensor, lengths: torch.Tensor, per_layer: torch.Tensor, whole: torch.Tensor
    ) -> torch.Tensor:
        """Return float32 [members, batch, all epochs]; see `LayerConv.forward` for the arguments."""
        kind, across, down, ratio = (codes[:, :, column] for column in range(4))
        mixed = F.embedding(kind * RATIOS + ratio, self.kind) + F.embedding(across * KERNELS + down, self.kernel)
        mixed = mixed + per_layer @ self.mix
        # A convolution in two dimensions of which one is 1: ONNX Runtime's fast kernels are for images.
        present = self.widen(torch.clamp(kind, max=1).float().unsqueeze(1).unsqueeze(1))
        along = torch.relu(mixed).transpose(1, 2).unsqueeze(2)
        for convolution in self.convolutions:
            along = torch.relu(convolution(along)) * present
        mean, largest = along.sum(3) / lengths.reshape(-1, 1, 1), along.amax(3)
        pooled = torch.cat([part.reshape(-1, self.count, WIDTH) for part in (mean, largest)], dim=2).transpose(0, 1)
        everyone = torch.clamp(whole, -LARGEST_FEATURE, LARGEST_FEATURE).unsqueeze(0).expand(self.count, -1, -1)
        hidden = torch.cat([pooled, everyone], dim=2)
        *inner, last = self.linears
        for linear in inner:
            hidden = torch.relu(linear(hidden))
        curves: torch.Tensor = last(hidden)
        return curves


def _grouped(group: Sequence[nn.Conv1d]) -> nn.Conv2d:
    """Return the members' convolutions as one, what they are added to included."""
    width = len(group) * WIDTH
    convolution = nn.Conv2d(width, width, (1, SPAN), padding=(0, SPAN // 2), groups=len(group))
    convolution.weight.copy_(torch.cat([one.weight for one in group]).unsqueeze(2))
    convolution.weight[:, :, 0, SPAN // 2] += torch.eye(WIDTH).repeat(len(group), 1)
    assert convolution.bias is not None  # noqa: S101 - convolutions have one by default
    convolution.bias.copy_(torch.cat([one.bias for one in group if one.bias is not None]))
    return convolution


class _Linears(nn.Module):
    """A linear layer of each member: [members, batch, in] to [members, batch, out]."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, group: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.register_buffer("weight", torch.stack([one.weight.T for one in group]).clone())
        self.register_buffer("bias", torch.stack([one.bias for one in group]).unsqueeze(1).clone())

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Apply each member's layer to its own inputs."""
        return inputs @ self.weight + self.bias
