"""What the extended code says about each layer beyond Table 1: widths, resolution, parameters, FLOPs, receptive field.

Everything is computed from the integer codes inside the predictor's graph, so that a request carries nothing else.
"""

from dataclasses import dataclass

import torch
from torch import nn

from model.shapes import Shape
from model.ulc import DROPOUT_UNITS, EXTENDED

COLUMN = {name: index for index, name in enumerate(EXTENDED.columns)}
ID = {name: row.id for name, row in EXTENDED.rows.items()}
LAYER_FEATURES = 14


def log_scale(values: torch.Tensor) -> torch.Tensor:
    """Bring counts that span magnitudes to about 0 to 2."""
    return torch.log1p(values) * 0.1


@dataclass(frozen=True)
class Quantities:
    """Named quantities of every layer, float32 [batch, layers] unless said otherwise; zero where there is no layer."""

    kind: torch.Tensor  # int, the type's id
    present: torch.Tensor
    is_conv: torch.Tensor
    is_linear: torch.Tensor
    is_pool: torch.Tensor
    kernel_width: torch.Tensor
    kernel_height: torch.Tensor
    stride: torch.Tensor
    dropout: torch.Tensor
    channels_in: torch.Tensor
    channels: torch.Tensor
    area_in: torch.Tensor
    area: torch.Tensor
    params: torch.Tensor
    flops: torch.Tensor  # multiply-adds
    reach: torch.Tensor  # receptive field behind the layer, in pixels of the image

    def is_kind(self, name: str) -> torch.Tensor:
        """1 where the layer is of a type."""
        return (self.kind == ID[name]).float()


class LayerQuantities(nn.Module):
    """Derives `Quantities` from extended codes int [batch, layers, columns] of a task with images of one shape."""

    image: torch.Tensor

    def __init__(self, image: Shape) -> None:
        super().__init__()
        self.register_buffer(
            "image", torch.tensor([[[image.channels, image.height, image.width]]], dtype=torch.float32)
        )

    def forward(self, codes: torch.Tensor) -> Quantities:
        kind = codes[:, :, COLUMN["type"]]
        kernel_width = codes[:, :, COLUMN["kernel_width"]].float()
        kernel_height = codes[:, :, COLUMN["kernel_height"]].float()
        shape = codes[:, :, COLUMN["width"] :].float()
        before = torch.cat([self.image.expand(codes.shape[0], -1, -1), shape[:, :-1]], dim=1)
        channels_in, height_in, width_in = before.unbind(-1)
        channels, height, width = shape.unbind(-1)
        present = (kind > 0).float()
        area_in, area = height_in * width_in, height * width
        is_conv, is_linear = (kind == ID["conv"]).float(), (kind == ID["linear"]).float()
        is_pool = ((kind == ID["max_pool"]) | (kind == ID["avg_pool"])).float()
        params = channels_in * channels * (is_conv * kernel_width * kernel_height + is_linear * area_in)
        span = (kernel_width + kernel_height) / 2 - 1
        jump = self.image[:, :, 2] / torch.clamp(width_in, min=1.0)
        return Quantities(
            kind=kind,
            present=present,
            is_conv=is_conv,
            is_linear=is_linear,
            is_pool=is_pool,
            kernel_width=kernel_width,
            kernel_height=kernel_height,
            stride=codes[:, :, COLUMN["stride"]].float(),
            dropout=codes[:, :, COLUMN["dropout"]].float() / DROPOUT_UNITS,
            channels_in=channels_in * present,
            channels=channels,
            area_in=area_in * present,
            area=area,
            params=params,
            flops=params * (is_conv * area + is_linear),
            reach=torch.cumsum((is_conv + is_pool) * span * jump, dim=1) * present,
        )


def layer_features(q: Quantities) -> torch.Tensor:
    """Return float32 [batch, layers, LAYER_FEATURES]; padding gives zeros."""
    features = [
        log_scale(q.channels_in),
        log_scale(q.channels),
        (log_scale(q.channels) - log_scale(q.channels_in)) * 3,
        log_scale(q.area_in),
        log_scale(q.area),
        log_scale(q.params),
        log_scale(q.flops),
        log_scale(torch.cumsum(q.flops, dim=1)),
        log_scale(torch.cumsum(q.params, dim=1)),
        log_scale(q.reach),
        q.dropout,
        (q.stride - q.present) * 0.5,
        log_scale(q.kernel_width * q.kernel_height),
        torch.cumsum(q.present, dim=1) * 0.02,
    ]
    return torch.stack(features, dim=-1) * q.present.unsqueeze(-1)
