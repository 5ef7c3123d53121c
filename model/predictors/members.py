"""The neural members of the shipped ensemble: convolutions along the list of layers.

`LayerConvNet` is one member, as it is trained. `Members` are several as one network, as they are exported: the same
function with fewer and larger operations.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import nn

from ..encoding.features import LAYER_FEATURES
from ..encoding.layer_code import EXTENDED, TABLE_1_COLUMNS
from ..ensemble import Ensemble
from .export import ExportedModule
from .peephole import LayerEmbedding

EMBEDDING = 32
WIDTH = 16
DEPTH = 3
SPAN = 3
MLP_WIDTH = 128
LAST_WIDTH = 32  # ranks better than 128, and a single network waits for its weights
DROPOUT = 0.25
LARGEST_FEATURE = 4.0
RATIOS, KERNELS = len(EXTENDED.bins) + 1, EXTENDED.largest_kernel + 1  # how many there are, 0 included
BEHIND = -1e4  # what a rectifier makes nothing of, whatever it is added to


class LayerConvNet(nn.Module):
    """Layer embedding and layer features, residual 1-D convolutions, mean and maximum over layers, MLP.

    Pooling over layers replaces the paper's last state, whose read-out can collapse on long networks. All epochs of the
    curve are outputs of the last layer, so that a whole curve costs no more than its final value.

    Args:
        epochs: number of epochs of a curve.
        features: number of features of the whole network.
    """

    def __init__(self, epochs: int, features: int) -> None:
        super().__init__()
        self.embedding = LayerEmbedding(EXTENDED, EMBEDDING)
        self.mix = nn.Linear(EMBEDDING + len(LAYER_FEATURES), WIDTH)
        self.convolutions = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, SPAN, padding=SPAN // 2) for _ in range(DEPTH))
        self.mlp = nn.Sequential(
            nn.Linear(2 * WIDTH + features, MLP_WIDTH),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(MLP_WIDTH, LAST_WIDTH),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(LAST_WIDTH, epochs),
        )

    def forward(
        self, codes: torch.Tensor, layers: torch.Tensor, lengths: torch.Tensor, whole: torch.Tensor
    ) -> torch.Tensor:
        """Predict standardised log-odds of the accuracies.

        Args:
            codes: int32 [batch, layers, columns], zero-padded.
            layers: features of the layers, float32 [batch, layers, features].
            lengths: int32 [batch].
            whole: scaled features of the network, float32 [batch, features].

        Returns:
            float32 [batch, all epochs].
        """
        present = (codes[:, :, 0] > 0).float().unsqueeze(1)
        mixed = torch.relu(self.mix(torch.cat([self.embedding(codes), layers], dim=-1)))
        # Layers come last from here on. What lies behind a network's end is zeroed before each convolution, so that the
        # prediction does not depend on the batch's padding.
        along = mixed.transpose(1, 2) * present
        for convolution in self.convolutions:
            along = torch.relu(along + convolution(along)) * present
        pooled = [along.sum(2) / lengths.unsqueeze(1), along.amax(2)]
        return self.mlp(torch.cat([*pooled, torch.clamp(whole, -LARGEST_FEATURE, LARGEST_FEATURE)], dim=-1))


class Members(ExportedModule):
    """Several fitted members as one network.

    The embedding and the linear layer behind it are two look-ups, one for a layer's kind and ratio, one for its kernel.
    The residual convolutions are grouped ones, in two dimensions of which one is 1, as ONNX Runtime's fast kernels are
    for images; what lies behind a network's end is kept at zero by a large negative number before each rectifier, as
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
    }
    OUTPUTS: ClassVar = Ensemble.OUTPUTS
    from_whole: torch.Tensor

    def __init__(self, members: Sequence[LayerConvNet]) -> None:
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
        self, codes: torch.Tensor, layers: torch.Tensor, lengths: torch.Tensor, whole: torch.Tensor
    ) -> torch.Tensor:
        """Return what the members return, float32 [members, batch, all epochs]; see `LayerConvNet`."""
        kind, across, down, ratio = codes.unbind(-1)
        behind = self.behind((kind == 0).float().unsqueeze(1).unsqueeze(1))
        mixed = self.of_kind(kind * RATIOS + ratio) + self.of_kernel(across * KERNELS + down) + self.mix(layers)
        along = torch.relu(mixed.transpose(1, 2).unsqueeze(2) + behind)
        for convolution in self.convolutions:
            along = torch.relu(convolution(along) + behind)
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
        return codes, layers, torch.tensor([3, 2], dtype=torch.int32), torch.zeros(2, self.from_whole.shape[1])


def _tables(member: LayerConvNet) -> list[torch.Tensor]:
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
