"""Several fitted graph encoders as one network, as they are exported: fewer and larger operations."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import nn

from ..encoding.features import LAYER_FEATURES
from ..encoding.layer_code import EXTENDED, TABLE_1_COLUMNS
from ..ensemble import Ensemble
from .export import ExportedModule
from .graph_encoder import EMBEDDING, LARGEST_FEATURE, SPAN, WIDTH, GraphEncoder

RATIOS, KERNELS = len(EXTENDED.bins) + 1, EXTENDED.largest_kernel + 1  # how many there are, 0 included
BEHIND = -1e4  # what a rectifier makes nothing of, whatever it is added to


class Members(ExportedModule):
    """Several fitted members as one network.

    The embedding and the linear layer behind it are two look-ups, one for a layer's kind and ratio, one for its kernel.
    The residual convolutions are grouped ones, in two dimensions of which one is 1, as ONNX Runtime's fast kernels are
    for images; what the edges beside the chain bring is added to single elements. What lies behind a network's end is
    kept at zero by a large negative number before each rectifier, as
    wide as what it is added to, so that ONNX Runtime makes one operation of the three. The last layers are batched
    matrix products.

    Args:
        members: of the same sizes.
    """

    INPUTS: ClassVar = {
        "codes": ("batch", "layers"),
        "layers": ("batch", "layers"),
        "lengths": ("batch",),
        "whole": ("batch",),
        "edges": ("edges",),
        "shares": ("edges",),
    }
    OUTPUTS: ClassVar = Ensemble.OUTPUTS
    from_whole: torch.Tensor
    channels: torch.Tensor

    def __init__(self, members: Sequence[GraphEncoder]) -> None:
        super().__init__()
        self.count = len(members)
        width = self.count * WIDTH
        with torch.no_grad():
            kind, across, down, ratio = (torch.cat(parts, dim=1) for parts in zip(*map(_tables, members), strict=True))
            self.of_kind = nn.Embedding.from_pretrained((kind.unsqueeze(1) + ratio).flatten(0, 1))
            self.of_kernel = nn.Embedding.from_pretrained((across.unsqueeze(1) + down).flatten(0, 1))
            self.mix = nn.Linear(len(LAYER_FEATURES), width)
            self.mix.weight.copy_(torch.cat([member.mix.weight[:, EMBEDDING:] for member in members]))
            self.mix.bias.copy_(torch.cat([member.mix.bias for member in members]))
            self.behind = nn.Conv2d(1, width, 1, bias=False)
            self.behind.weight.fill_(BEHIND)
            self.convolutions = nn.ModuleList(
                _grouped(group) for group in zip(*(member.convolutions for member in members), strict=True)
            )
            self.register_buffer("channels", torch.arange(width))
            self.messages = nn.ParameterList(
                _messages(group) for group in zip(*(m.convolutions for m in members), strict=True)
            )
            linears = ([layer for layer in member.mlp if isinstance(layer, nn.Linear)] for member in members)
            first, *others = zip(*linears, strict=True)
            # A member has all means first; here each is followed by the maximum of the same channel.
            order = torch.arange(2 * WIDTH).reshape(2, WIDTH).T.flatten()
            self.from_pooled = _Linears([one.weight[:, order] for one in first], [one.bias for one in first])
            self.register_buffer("from_whole", torch.stack([one.weight[:, 2 * WIDTH :].T for one in first]).clone())
            self.linears = nn.ModuleList(
                _Linears([one.weight for one in group], [one.bias for one in group]) for group in others
            )

    def forward(
        self,
        codes: torch.Tensor,
        layers: torch.Tensor,
        lengths: torch.Tensor,
        whole: torch.Tensor,
        edges: torch.Tensor,
        shares: torch.Tensor,
    ) -> torch.Tensor:
        """Return what the members return, float32 [members, batch, all epochs]; see `GraphEncoder`."""
        kind, across, down, ratio = codes.unbind(-1)
        behind = self.behind((kind == 0).float().unsqueeze(1).unsqueeze(1))
        mixed = self.of_kind(kind * RATIOS + ratio) + self.of_kernel(across * KERNELS + down) + self.mix(layers)
        along = torch.relu(mixed.transpose(1, 2).unsqueeze(2) + behind)
        network, read, reader = edges.unbind(1)
        rows, width = along.shape[3], len(self.channels)
        ends = torch.stack([read, reader])  # of each edge: whose states are passed on, then those of the other end
        start = (network * width * rows + ends).unsqueeze(2) + self.channels * rows  # [2, edges, channels]
        sources, targets = start.flatten(), start.flip(0).flatten()
        weights = shares.T.reshape(2, 1, -1, 1)
        for convolution, messages in zip(self.convolutions, self.messages, strict=True):
            states = along.flatten().index_select(0, sources).reshape(2, -1, self.count, WIDTH).transpose(1, 2)
            passed = (states @ messages * weights).transpose(1, 2).flatten()
            along = convolution(along).flatten().index_add(0, targets, passed).reshape(along.shape)
            along = torch.relu(along + behind)
        pooled = torch.cat([along.sum(3) / lengths.reshape(-1, 1, 1), along.amax(3)], dim=2)
        pooled = pooled.reshape(-1, self.count, 2 * WIDTH).transpose(0, 1)
        hidden = self.from_pooled(pooled) + whole.clamp(-LARGEST_FEATURE, LARGEST_FEATURE) @ self.from_whole
        for linear in self.linears:
            hidden = linear(torch.relu(hidden))
        return hidden

    def example(self) -> tuple[torch.Tensor, ...]:
        codes, layers = (
            torch.ones(2, 3, len(TABLE_1_COLUMNS), dtype=torch.int32),
            torch.zeros(2, 3, len(LAYER_FEATURES)),
        )
        edges, shares = torch.tensor([[0, 0, 2], [1, 0, 1]]), torch.full((2, 2), 0.5)
        lengths = torch.tensor([3, 2], dtype=torch.int32)
        return codes, layers, lengths, torch.zeros(2, self.from_whole.shape[1]), edges, shares


def _tables(member: GraphEncoder) -> list[torch.Tensor]:
    """Return, for each column of Table 1's code, what the member's first layer makes of each embedding."""
    embedding = member.embedding
    parts = member.mix.weight[:, :EMBEDDING].chunk(len(TABLE_1_COLUMNS), dim=1)
    tables = (embedding.kind, embedding.kernel, embedding.kernel, embedding.ratio)
    return [table.weight @ part.T for table, part in zip(tables, parts, strict=True)]


def _grouped(group: Sequence[nn.Conv1d]) -> nn.Conv2d:
    """Return the members' convolutions as one, what they are added to included."""
    width = len(group) * WIDTH
    convolution = nn.Conv2d(width, width, (1, SPAN), padding=(0, SPAN // 2), groups=len(group))
    convolution.weight.copy_(torch.cat([one.weight for one in group]).unsqueeze(2))
    convolution.weight[:, :, 0, SPAN // 2] += torch.eye(WIDTH).repeat(len(group), 1)
    assert convolution.bias is not None  # noqa: S101 - convolutions have one by default
    convolution.bias.copy_(torch.cat([one.bias for one in group if one.bias is not None]))
    return convolution


def _messages(group: Sequence[nn.Conv1d]) -> torch.Tensor:
    """Return what each member passes on along an edge and back, [2, members, width, width]."""
    return torch.stack([torch.stack([one.weight[:, :, tap].T for one in group]) for tap in (0, SPAN - 1)])


class _Linears(nn.Module):
    """A linear layer of each member: [members, batch, in] to [members, batch, out]."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, weights: Sequence[torch.Tensor], biases: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.register_buffer("weight", torch.stack([weight.T for weight in weights]).clone())
        self.register_buffer("bias", torch.stack(list(biases)).unsqueeze(1).clone())

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Apply each member's layer to its own inputs."""
        return inputs @ self.weight + self.bias
