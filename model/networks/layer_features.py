"""What the extended code says about each layer beyond Table 1: widths, resolution, parameters, FLOPs, receptive field.

Everything is computed from the integer codes inside the predictor's graph, so that a request carries nothing else.
On one network the cost of the graph is its number of nodes, so quantities are columns that are joined before a function
is applied to all of them.
"""

from dataclasses import dataclass

import torch
from torch import nn

from model.shapes import Shape
from model.ulc import DROPOUT_UNITS, EXTENDED

COLUMN = {name: index for index, name in enumerate(EXTENDED.columns)}
ID = {name: row.id for name, row in EXTENDED.rows.items()}
LAYER_FEATURES = 16


def log_scale(values: torch.Tensor) -> torch.Tensor:
    """Bring counts that span magnitudes to about 0 to 2."""
    return torch.log1p(values) * 0.1


def _column(kinds: torch.Tensor, name: str) -> torch.Tensor:
    at = list(ID).index(name)
    return kinds[:, :, at : at + 1]


@dataclass(frozen=True)
class Quantities:
    """Named quantities of every layer, float32 [batch, layers, 1] unless said otherwise; zero where no layer is."""

    kinds: torch.Tensor  # one-hot types [batch, layers, types], in the order of `ID`
    following: torch.Tensor  # the same of the next layer
    present: torch.Tensor
    position: torch.Tensor  # counted from 1
    is_last: torch.Tensor
    is_conv: torch.Tensor
    is_linear: torch.Tensor
    is_pool: torch.Tensor
    kernel_width: torch.Tensor
    kernel_height: torch.Tensor
    dropout: torch.Tensor
    area_in: torch.Tensor
    area: torch.Tensor
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

    def is_kind(self, name: str) -> torch.Tensor:
        """1 where the layer is of a type."""
        return _column(self.kinds, name)

    def following_kind(self, name: str) -> torch.Tensor:
        """1 where the next layer is of a type."""
        return _column(self.following, name)


class LayerQuantities(nn.Module):
    """Derives `Quantities` from extended codes int [batch, layers, columns] of a task with images of one shape."""

    image: torch.Tensor
    ids: torch.Tensor

    def __init__(self, image: Shape) -> None:
        super().__init__()
        shape = [[[float(image.channels), float(image.height), float(image.width)]]]
        self.register_buffer("image", torch.tensor(shape))
        self.register_buffer("ids", torch.tensor(list(ID.values()), dtype=torch.int32))

    def forward(self, codes: torch.Tensor) -> Quantities:
        kinds = (codes[:, :, :1] == self.ids).float()
        by_name = dict(zip(ID, kinds.split(1, dim=-1), strict=True))
        numbers = codes.float()
        kind, kernel_width, kernel_height, _, stride, units, channels, height, width = numbers.split(1, dim=-1)
        before = torch.cat([self.image.expand(codes.shape[0], -1, -1), numbers[:, :-1, COLUMN["width"] :]], dim=1)
        channels_in, height_in, width_in = before.split(1, dim=-1)
        present = torch.clamp(kind, max=1.0)
        area_in, area = height_in * width_in * present, height * width
        is_conv, is_linear = by_name["conv"], by_name["linear"]
        is_pool = by_name["max_pool"] + by_name["avg_pool"]
        dropout = units * (1 / DROPOUT_UNITS)
        window = kernel_width * kernel_height
        params = channels_in * channels * (is_conv * window + is_linear * area_in)
        flops = params * (is_conv * area + is_linear)
        jump = self.image[:, :, 2:] / torch.clamp(width_in, min=1.0)
        step = (is_conv + is_pool) * ((kernel_width + kernel_height) * 0.5 - 1) * jump
        so_far = torch.cumsum(torch.cat([present, step, flops, params], dim=-1), dim=1) * present
        position, *_ = so_far.split((1, 3), dim=-1)
        counts = [channels_in, channels, area_in, area, params, flops, window, channels * area, so_far]
        logs = log_scale(torch.cat(counts, dim=-1)) * present
        log_in, log_channels, _, log_area, log_params, log_flops, _, log_volume, _, log_reach, *_ = logs.split(1, -1)
        features = [logs, (log_channels - log_in) * 3, dropout, (stride - present) * 0.5, position * 0.02]
        return Quantities(
            kinds=kinds,
            following=torch.cat([kinds[:, 1:], torch.zeros_like(kinds[:, :1])], dim=1),
            present=present,
            position=position,
            is_last=(position == position.amax(1, keepdim=True)).float(),
            is_conv=is_conv,
            is_linear=is_linear,
            is_pool=is_pool,
            kernel_width=kernel_width,
            kernel_height=kernel_height,
            dropout=dropout,
            area_in=area_in,
            area=area,
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
