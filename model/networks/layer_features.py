"""What the extended code says about each layer beyond Table 1: widths, resolution, parameters, FLOPs, receptive field.

Everything is computed from the integer codes inside the predictor's graph, so that a request carries nothing else.
The cost of the graph is its passes over the layers, so what can be looked up is (`layer_tables`), and quantities are
columns that are joined before a function is applied to all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from model.networks import layer_tables
from model.networks.layer_tables import KINDS, PAIRS, SIDES, SIZES, STEPS, TRAITS
from model.shapes import Shape
from model.ulc import DROPOUT_UNITS, EXTENDED

COLUMN = {name: index for index, name in enumerate(EXTENDED.columns)}
LAYER_FEATURES = 16
SUMMED = ("present", "reach", "flops", "params", *STEPS, "batch_norm")


def log_scale(values: torch.Tensor) -> torch.Tensor:
    """Bring counts that span magnitudes to about 0 to 2."""
    return torch.log1p(values) * 0.1


def repeated(values: torch.Tensor, columns: Sequence[int]) -> torch.Tensor:
    """Return columns of values [batch, layers, columns], some several times; a product, as picking them is slow."""
    return values @ F.one_hot(torch.tensor(columns), values.shape[-1]).T.float()


def _between(values: torch.Tensor, names: tuple[str, ...], first: str, last: str) -> torch.Tensor:
    return values[:, :, names.index(first) : names.index(last) + 1]


@dataclass(frozen=True)
class Quantities:
    """Named quantities of every layer, float32 [batch, layers, 1] unless said otherwise; zero where no layer is."""

    traits: torch.Tensor  # `TRAITS`, [batch, layers, traits]
    pairs: torch.Tensor  # `PAIRS`, [batch, layers, pairs]
    sizes: torch.Tensor  # all but the last of `SIZES`, [batch, layers, 4]; the margin is -1 where no layer is
    stages: torch.Tensor  # `STAGE_MASKS` of convolutions, [batch, layers, masks]
    areas: torch.Tensor  # `AREA_MASKS`, [batch, layers, masks]
    so_far: torch.Tensor  # sums of `SUMMED` up to each layer, the last ones repeated behind the end
    present: torch.Tensor
    position: torch.Tensor  # counted from 1
    is_last: torch.Tensor
    is_conv: torch.Tensor
    is_pool: torch.Tensor
    dropout: torch.Tensor
    params: torch.Tensor
    flops: torch.Tensor  # multiply-adds
    log_channels_in: torch.Tensor  # logarithms are `log_scale`
    log_channels: torch.Tensor
    log_area: torch.Tensor
    log_params: torch.Tensor
    log_flops: torch.Tensor
    log_volume: torch.Tensor  # channels times positions
    log_reach: torch.Tensor  # receptive field behind the layer, in pixels of the image
    features: torch.Tensor  # what members read of each layer, [batch, layers, LAYER_FEATURES]

    def traits_between(self, first: str, last: str) -> torch.Tensor:
        """Return a range of `TRAITS`, both ends included."""
        return _between(self.traits, TRAITS, first, last)

    def pairs_between(self, first: str, last: str) -> torch.Tensor:
        """Return a range of `PAIRS`, both ends included."""
        return _between(self.pairs, PAIRS, first, last)

    def summed_between(self, first: str, last: str) -> torch.Tensor:
        """Return sums of a range of `SUMMED`, both ends included."""
        return _between(self.so_far, SUMMED, first, last)


class LayerQuantities(nn.Module):
    """Derives `Quantities` from extended codes int [batch, layers, columns] of a task with images of one shape."""

    image: torch.Tensor
    traits: torch.Tensor
    pairs: torch.Tensor
    sizes: torch.Tensor
    kernel_sizes: torch.Tensor
    stages: torch.Tensor
    areas: torch.Tensor

    def __init__(self, image: Shape) -> None:
        super().__init__()
        shape = [[[float(image.channels), float(image.height), float(image.width)]]]
        self.register_buffer("image", torch.tensor(shape))
        self.positions = image.height * image.width
        for name in ("traits", "pairs", "sizes", "kernel_sizes"):
            self.register_buffer(name, getattr(layer_tables, name)())
        self.register_buffer("stages", layer_tables.stage_masks(image))
        self.register_buffer("areas", layer_tables.area_masks(image))

    def forward(self, codes: torch.Tensor) -> Quantities:
        kind, across, down = codes[:, :, 0], codes[:, :, 1], codes[:, :, 2]
        traits = F.embedding(kind * SIDES + across, self.traits)
        following = torch.cat([kind[:, 1:], torch.zeros_like(kind[:, :1])], dim=1)
        kernel = across * SIDES + down
        sizes = F.embedding(kernel, self.sizes)
        numbers = codes.float()
        *_, stride, units, channels, height, width = numbers.split(1, dim=-1)
        before = torch.cat([self.image.expand(codes.shape[0], -1, -1), numbers[:, :-1, COLUMN["width"] :]], dim=1)
        channels_in, height_in, width_in = before.split(1, dim=-1)
        by_name = dict(zip(TRAITS, traits.split(1, dim=-1), strict=True))
        is_linear, present, is_conv, is_pool = (by_name[name] for name in ("linear", "present", "conv", "pool"))
        area_in, area = height_in * width_in * present, height * width
        dropout = units * (1 / DROPOUT_UNITS)
        margin, window = sizes.split((3, 1, 1), dim=-1)[1:]
        params = channels_in * channels * (is_conv * window + is_linear * area_in)
        flops = params * (is_conv * area + is_linear)
        jump = self.image[:, :, 2:] / torch.clamp(width_in, min=1.0)
        step = (is_conv + is_pool) * margin * jump
        summed = [present, step, flops, params, _between(traits, TRAITS, STEPS[0], STEPS[-1])]
        so_far = torch.cumsum(torch.cat([*summed, by_name["batch_norm"]], dim=-1), dim=1)
        totals = so_far[:, :, :4] * present
        position = totals[:, :, :1]
        counts = [channels_in, channels, area_in, area, params, flops, window, channels * area, totals]
        logs = log_scale(torch.cat(counts, dim=-1)) * present
        log_in, log_channels, _, log_area, log_params, log_flops, _, log_volume, _, log_reach, *_ = logs.split(1, -1)
        features = [logs, (log_channels - log_in) * 3, dropout, (stride - present) * 0.5, position * 0.02]
        masked = torch.clamp((area_in * is_conv)[:, :, 0].int(), max=self.positions)
        behind = torch.clamp((area * 2 + is_conv)[:, :, 0].int(), max=2 * self.positions + 1)
        return Quantities(
            traits=traits,
            pairs=F.embedding(kind * KINDS + following, self.pairs),
            sizes=sizes[:, :, : len(SIZES) - 1],
            stages=F.embedding(masked * 3 + F.embedding(kernel, self.kernel_sizes.unsqueeze(1))[:, :, 0], self.stages),
            areas=F.embedding(behind, self.areas),
            so_far=so_far,
            present=present,
            position=position,
            is_last=(position == position.amax(1, keepdim=True)).float(),
            is_conv=is_conv,
            is_pool=is_pool,
            dropout=dropout,
            params=params,
            flops=flops,
            log_channels_in=log_in,
            log_channels=log_channels,
            log_area=log_area,
            log_params=log_params,
            log_flops=log_flops,
            log_volume=log_volume,
            log_reach=log_reach,
            features=torch.cat(features, dim=-1),
        )
