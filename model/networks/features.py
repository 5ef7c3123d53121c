"""What the extended code says about a network beyond Table 1: per-layer and whole-network features.

Everything is computed from the integer codes inside the predictor's graph, so that a request carries nothing else.
"""

import torch
from torch import nn

from model.shapes import Shape
from model.ulc import DROPOUT_UNITS, EXTENDED

COLUMN = {name: index for index, name in enumerate(EXTENDED.columns)}
ID = {name: row.id for name, row in EXTENDED.rows.items()}
WEIGHTED = ("conv", "linear")
KERNELS = (1, 2, 3, 4, 5)
LAYER_FEATURES = 14


def _log(values: torch.Tensor) -> torch.Tensor:
    return torch.log1p(values) * 0.1


class LayerFeatures(nn.Module):
    """Absolute features of each layer: widths, resolution, parameters, FLOPs, receptive field, depth.

    Maps codes int [batch, layers, columns] to float32 [batch, layers, LAYER_FEATURES]; padding gives zeros.
    """

    image: torch.Tensor

    def __init__(self, image: Shape) -> None:
        super().__init__()
        self.register_buffer("image", torch.tensor([[[image.channels, image.height, image.width]]], dtype=torch.float32))

    def columns(self, codes: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return named float32 [batch, layers] quantities that features are made of."""
        value = {name: codes[:, :, index].float() for name, index in COLUMN.items()}
        kind = codes[:, :, COLUMN["type"]]
        shape = codes[:, :, COLUMN["width"] :].float()
        before = torch.cat([self.image.expand(codes.shape[0], -1, -1), shape[:, :-1]], dim=1)
        channels_in, height_in, width_in = before.unbind(-1)
        channels, height, width = shape.unbind(-1)
        present = (kind > 0).float()
        area_in, area = height_in * width_in, height * width
        is_conv, is_linear = (kind == ID["conv"]).float(), (kind == ID["linear"]).float()
        is_pool = ((kind == ID["max_pool"]) | (kind == ID["avg_pool"])).float()
        kernel_area = value["kernel_width"] * value["kernel_height"]
        params = channels_in * channels * (is_conv * kernel_area + is_linear * area_in)
        flops = params * (is_conv * area + is_linear)
        span = (value["kernel_width"] + value["kernel_height"]) / 2 - 1
        jump = self.image[:, :, 2] / torch.clamp(width_in, min=1.0)
        reach = torch.cumsum((is_conv + is_pool) * span * jump, dim=1)
        return value | {
            "kind": kind,
            "present": present,
            "channels_in": channels_in * present,
            "channels": channels,
            "area_in": area_in * present,
            "area": area,
            "params": params,
            "flops": flops,
            "reach": reach * present,
            "is_conv": is_conv,
            "is_linear": is_linear,
            "is_pool": is_pool,
        }

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        return self.from_columns(self.columns(codes))

    def from_columns(self, c: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the features of `columns`."""
        depth = torch.cumsum(c["present"], dim=1)
        growth = (_log(c["channels"]) - _log(c["channels_in"])) * 3
        features = [
            _log(c["channels_in"]),
            _log(c["channels"]),
            growth,
            _log(c["area_in"]),
            _log(c["area"]),
            _log(c["params"]),
            _log(c["flops"]),
            _log(torch.cumsum(c["flops"], dim=1)),
            _log(torch.cumsum(c["params"], dim=1)),
            _log(c["reach"]),
            c["dropout"] / DROPOUT_UNITS,
            (c["stride"] - c["present"]) * 0.5,
            _log(c["kernel_width"] * c["kernel_height"]),
            depth * 0.02,
        ]
        return torch.stack(features, dim=-1) * c["present"].unsqueeze(-1)


def global_features(c: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return hand features of whole networks, float32 [batch, features], from `LayerFeatures.columns`."""
    kind, present, is_conv, is_linear = c["kind"], c["present"], c["is_conv"], c["is_linear"]
    weighted = is_conv + is_linear
    depth = present.sum(1)
    convs = is_conv.sum(1)
    one = torch.ones_like(convs)
    some_convs, some_weighted = torch.maximum(convs, one), torch.maximum(weighted.sum(1), one)
    is_kind = {name: (kind == number).float() for name, number in ID.items()}
    log_channels, log_area = _log(c["channels"]), _log(c["area"])
    last = torch.nn.functional.one_hot(torch.clamp(depth.long() - 1, min=0), kind.shape[1]).float()
    next_kind = torch.cat([kind[:, 1:], torch.zeros_like(kind[:, :1])], dim=1)
    next_is_norm = (next_kind == ID["batch_norm"]).float()
    saturating = is_kind["sigmoid"] + is_kind["tanh"]
    last_norm = torch.cummax(is_kind["batch_norm"] * torch.cumsum(present, dim=1), dim=1).values
    since_norm = (torch.cumsum(present, dim=1) - last_norm) * present
    conv_log_channels = (log_channels * is_conv).sum(1) / some_convs
    features = [
        _log(c["params"].sum(1)),
        _log(c["flops"].sum(1)),
        _log(depth),
        *(_log(is_kind[name].sum(1)) for name in ID),
        *((is_kind[name] * present).sum(1) / torch.maximum(depth, one) for name in ID),
        *(_log((is_conv * (c["kernel_width"] == size).float()).sum(1)) for size in KERNELS),
        (is_conv * c["kernel_width"]).sum(1) / some_convs * 0.2,
        (is_conv * c["kernel_height"]).sum(1) / some_convs * 0.2,
        conv_log_channels,
        (is_conv * (log_channels - conv_log_channels.unsqueeze(1)) ** 2).sum(1) / some_convs * 10,
        (is_conv * log_channels).amax(1),
        1 - (is_conv * (1 - log_channels)).amax(1),
        (is_conv * _log(c["flops"])).sum(1) / some_convs,
        (is_conv * _log(c["params"])).sum(1) / some_convs,
        (weighted * _log(c["flops"])).amax(1),
        (log_area * present).sum(1) / torch.maximum(depth, one),
        (log_area * is_conv).sum(1) / some_convs,
        (last * log_area).sum(1),
        (last * log_channels).sum(1),
        (last * _log(c["channels"] * c["area"])).sum(1),
        _log(c["reach"].amax(1)),
        (is_linear * _log(c["params"])).sum(1),
        (c["dropout"] / DROPOUT_UNITS).sum(1) / torch.maximum(is_kind["dropout"].sum(1), one),
        (c["dropout"] / DROPOUT_UNITS).amax(1),
        (last * c["dropout"] / DROPOUT_UNITS).sum(1),
        *(
            _log((is_conv * ((c["area"] > low) & (c["area"] <= high)).float()).sum(1))
            for low, high in ((0, 9), (9, 36), (36, 81), (81, 300), (300, 1e9))
        ),
        *(
            _log((c["params"] * ((c["area"] > low) & (c["area"] <= high)).float()).sum(1))
            for low, high in ((0, 36), (36, 300), (300, 1e9))
        ),
        (is_conv * next_is_norm).sum(1) / some_convs,
        saturating.sum(1) / torch.maximum(saturating.sum(1) + is_kind["relu"].sum(1), one),
        _log(since_norm.amax(1)),
        _log((since_norm * saturating).sum(1)),
        (weighted * log_channels).sum(1) / some_weighted,
    ]
    return torch.stack(features, dim=-1)
