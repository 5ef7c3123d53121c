"""Several fitted members of an ensemble as one module, for speed: the same function with fewer and larger operations.

What members read of a layer, its embedding included, is linear in steps and rows that the hand features need anyway, so
one convolution makes of them what all members' first layers would. The residual convolutions along the layers are one
grouped convolution with the residual in its weights, and the last layers batched matrix products. What lies behind a
network's end is kept at zero by a mask that is added before the rectifier; it is as wide as what it is added to, so
that ONNX Runtime makes one operation of the three in its blocked layout.
"""

from collections.abc import Sequence

import torch
from torch import nn

from ..encoding.layer_code import EXTENDED
from .layer_conv import LARGEST_FEATURE, SPAN, WIDTH, LayerConv
from .layer_features import SPARE, Quantities, from_rows
from .layer_flags import FIRST_READ, KINDS, TABLE_1, from_steps

NOTHING = -1e4  # what a rectifier makes nothing of, whatever it is added to


class FusedMembers(nn.Module):
    """The curves of all members at once.

    Args:
        members: fitted members of the same sizes.
    """

    from_whole: torch.Tensor

    def __init__(self, members: Sequence[LayerConv]) -> None:
        super().__init__()
        self.count = len(members)
        width = self.count * WIDTH
        with torch.no_grad():
            mix = torch.cat([_mixing(member) for member in members])
            # Convolutions in two dimensions of which one is 1: ONNX Runtime's fast kernels are for images.
            self.mix = nn.Conv2d(mix.shape[1], width, 1, bias=False)
            self.mix.weight.copy_(mix[:, :, None, None])
            self.behind = nn.Conv2d(1, width, 1)
            self.behind.weight.fill_(-NOTHING)
            assert self.behind.bias is not None  # noqa: S101 - convolutions have one by default
            self.behind.bias.fill_(NOTHING)
            self.convolutions = nn.ModuleList(
                _grouped(group) for group in zip(*(member.convolutions for member in members), strict=True)
            )
            linears = ([layer for layer in member.mlp if isinstance(layer, nn.Linear)] for member in members)
            first, *others = zip(*linears, strict=True)
            # A member has all means first; here each is followed by the maximum of the same channel.
            self.from_pooled = _Linears(first, torch.arange(2 * WIDTH).reshape(2, WIDTH).T.flatten())
            self.register_buffer("from_whole", torch.stack([one.weight[:, 2 * WIDTH :].T for one in first]).clone())
            self.linears = nn.ModuleList(_Linears(group) for group in others)

    def forward(self, q: Quantities, lengths: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
        """Return float32 [members, batch, all epochs].

        Args:
            q: quantities of the layers.
            lengths: int [batch].
            whole: scaled hand features, float32 [batch, features].
        """
        behind = self.behind(q.flags.present.unsqueeze(1))
        rows = torch.cat([q.flags.steps[:, FIRST_READ:], q.flags.more_steps, *q.rows()], dim=1)
        along = torch.relu(self.mix(rows.unsqueeze(2)) + behind)
        for convolution in self.convolutions:
            along = torch.relu(convolution(along) + behind)
        pooled = torch.cat([along.sum(3) / lengths.reshape(-1, 1, 1), along.amax(3)], dim=2)
        pooled = pooled.reshape(-1, self.count, 2 * WIDTH).transpose(0, 1)
        hidden = self.from_pooled(pooled) + whole.clamp(-LARGEST_FEATURE, LARGEST_FEATURE) @ self.from_whole
        for linear in self.linears:
            hidden = linear(torch.relu(hidden))
        return hidden


def _mixing(member: LayerConv) -> torch.Tensor:
    """Return the weights of a member's first layer for steps and for rows, [out, in]."""
    embedding, weight, bias = member.layers, member.mix.weight, member.mix.bias
    tables = (embedding.kind, embedding.kernel, embedding.kernel, embedding.ratio)
    each = embedding.kind.embedding_dim
    kind, across, down, ratio = (
        table.weight @ weight[:, place * each : (place + 1) * each].T for place, table in enumerate(tables)
    )
    usual = across[1] + down[1] + ratio[EXTENDED.unit_bin] + bias
    unusual = {
        "channel_ratio": ratio - ratio[EXTENDED.unit_bin],
        "kernel_width": across - across[1],
        "kernel_height": down - down[1],
    }
    table_1 = [unusual[flag.columns[0]][flag.low] for flag in TABLE_1.values()]
    features = weight[:, 4 * each :] @ from_rows()
    of_kinds = {name: kind[row.id] for name, row in EXTENDED.rows.items()} | {"present": usual + features[:, -1]}
    flags = [*TABLE_1.values(), *(KINDS[name] for name in of_kinds)]
    of_flags = torch.stack([*table_1, *of_kinds.values()], dim=1)
    of_steps = of_flags @ from_steps([flag] for flag in flags)[:, FIRST_READ:]
    return torch.cat([of_steps, torch.zeros(WIDTH, SPARE), features[:, :-1]], dim=1)


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

    def __init__(self, group: Sequence[nn.Linear], inputs: torch.Tensor | slice = slice(None)) -> None:
        super().__init__()
        self.register_buffer("weight", torch.stack([one.weight[:, inputs].T for one in group]).clone())
        self.register_buffer("bias", torch.stack([one.bias for one in group]).unsqueeze(1).clone())

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Apply each member's layer to its own inputs."""
        return inputs @ self.weight + self.bias
