"""What the extended code says about each layer beyond Table 1: widths, resolution, parameters, FLOPs, receptive field.

Everything is computed from the integer codes inside the predictor's graph, so that a request carries nothing else. A
graph costs its operations, each a little, and its passes over the layers. Hence quantities are rows of few tensors,
[batch, rows, layers], joined before a function is applied to all of them; layers come last, as one value for each
layer is then multiplied with many rows at the processor's full width.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from model.networks.layer_flags import COUNTED, Flags, LayerFlags
from model.shapes import Shape
from model.ulc import DROPOUT_UNITS, EXTENDED

LAYER_FEATURES = 16
LOG_SCALE = 0.1  # brings logarithms of counts that span magnitudes to about 0 to 2
# The window is a kernel's positions; the volume is channels times positions; the margin is what the mean side of a
# kernel exceeds 1 by, and the reach what the receptive field behind the layer does, in pixels of the image.
COUNTS = (
    *("channels_in", "channels", "area_in", "window", "area", "volume", "params", "flops"),
    *("reach", "params so far", "flops so far", "position"),
)
PLAIN = ("kernel", "kernel_width", "kernel_height", "margin", "dropout")
SUMMED = ("reach", "params", "flops", *COUNTED)
Form = Mapping[str, float]  # factors of columns of the code; "before: ..." is the layer before, "one" a constant


def _forms(image: Shape) -> dict[str, tuple[Form, ...]]:
    margin = {"kernel_width": 0.5, "kernel_height": 0.5, "one": -1.0}
    return {
        "sides": ({"before: map_height": 1}, {"kernel_width": 1}, {"map_height": 1}),
        "other sides": ({"before: map_width": 1}, {"kernel_height": 1}, {"map_width": 1}),
        "channels": ({"before: width": 1}, {"width": 1}),
        "plain": (
            {"kernel_width": 0.5, "kernel_height": 0.5},
            {"kernel_width": 1},
            {"kernel_height": 1},
            margin,
            {"dropout": 1 / DROPOUT_UNITS},
        ),
        "stride": ({"stride": 1},),
        "margin in the image": ({name: factor * image.width for name, factor in margin.items()},),
        "width before": ({"before: map_width": 1},),
    }


@dataclass(frozen=True)
class Quantities:
    """Rows of quantities of every layer, float32 [batch, rows, layers]; zero where no layer is, unless said otherwise.

    Attributes:
        flags: what kind of layer it is.
        logs: `COUNTS` on a log scale, log(1 + count) times `LOG_SCALE`.
        plain: `PLAIN`; the margin is -1 where no layer is.
        stride: one row.
        params: one row.
        flops: multiply-adds, one row.
        area_in: positions before the layer, one row; also where no layer is.
        area: positions behind the layer, one row.
        so_far: sums of `SUMMED` up to each layer. Behind the end the last ones are repeated, but the reach goes astray.
        position: counted from 1, one row.
    """

    flags: Flags
    logs: torch.Tensor
    plain: torch.Tensor
    stride: torch.Tensor
    params: torch.Tensor
    flops: torch.Tensor
    area_in: torch.Tensor
    area: torch.Tensor
    so_far: torch.Tensor
    position: torch.Tensor

    def log(self, name: str) -> torch.Tensor:
        """Return one of `logs`, [batch, 1, layers]."""
        at = COUNTS.index(name)
        return self.logs[:, at : at + 1]

    def summed(self, first: str, last: str) -> torch.Tensor:
        """Return a range of `so_far`, both ends included."""
        return self.so_far[:, SUMMED.index(first) : SUMMED.index(last) + 1]

    def features(self) -> torch.Tensor:
        """Return what members read of each layer, [batch, LAYER_FEATURES, layers]; see `from_rows`."""
        rows = torch.cat([*self.rows(), self.flags.present], dim=1)
        return torch.einsum("fr,brl->bfl", from_rows(), rows)

    def rows(self) -> tuple[torch.Tensor, ...]:
        """Return what `features` are linear in, but for `present`, each [batch, rows, layers]."""
        return self.logs, self.plain[:, -1:], self.stride, self.position


def from_rows() -> torch.Tensor:
    """Return the matrix from `Quantities.rows` and `present` to the members' features, [features, rows + 1].

    The logarithms, three times the change of width, dropout, half of the stride beyond 1, and the position.
    """
    logs = len(COUNTS)
    change, dropout, stride, position = range(logs, LAYER_FEATURES)
    matrix = torch.zeros(LAYER_FEATURES, logs + len(("dropout", "stride", "position", "present")))
    matrix[:logs, :logs] = torch.eye(logs)
    matrix[change, COUNTS.index("channels")] = 3.0
    matrix[change, COUNTS.index("channels_in")] = -3.0
    matrix[dropout, logs] = 1.0
    matrix[stride, logs + 1], matrix[stride, -1] = 0.5, -0.5
    matrix[position, logs + 2] = 0.02
    return matrix


class LayerQuantities(nn.Module):
    """Derives `Quantities` from extended codes int [batch, layers, columns] of a task with images of one shape."""

    origin: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, image: Shape) -> None:
        super().__init__()
        self.flags = LayerFlags()
        whole = {"width": image.channels, "map_height": image.height, "map_width": image.width}
        # Codes are read as what they exceed the image by: the zeros before the first layer then stand for the image.
        origin = [float(whole.get(column, 0)) for column in EXTENDED.columns]
        forms_of = _forms(image)
        self.rows = [len(block) for block in forms_of.values()]
        forms = [form for block in forms_of.values() for form in block]
        weight, bias = torch.zeros(len(forms), len(EXTENDED.columns), 2), torch.zeros(len(forms))
        for row, form in enumerate(forms):
            for name, factor in form.items():
                if name != "one":
                    column = EXTENDED.columns.index(name.removeprefix("before: "))
                    weight[row, column, 0 if name.startswith("before: ") else 1] = factor
                bias[row] += factor * (1.0 if name == "one" else origin[column])
        self.register_buffer("origin", torch.tensor(origin).unsqueeze(1))
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, codes: torch.Tensor) -> Quantities:
        numbers = codes.float().transpose(1, 2) - self.origin
        flags = self.flags(numbers)
        blocks = F.conv1d(F.pad(numbers, (1, 0)), self.weight, self.bias).split(self.rows, dim=1)
        sides, other_sides, channels, plain, stride, margin, width_before = blocks
        products = sides * other_sides  # area_in, window, area
        area_in, _, area = products.split(1, dim=1)
        channels_in, channels_out = channels.split(1, dim=1)
        of_linear, of_conv = (channels_in * channels_out * flags.weighted * products[:, :2]).split(1, dim=1)
        params, flops = of_linear + of_conv, of_linear + of_conv * area
        step = margin / torch.clamp(width_before, min=1.0)
        summed = torch.cat([step, params, flops, flags.counted], dim=1)
        so_far = torch.cumsum(summed, dim=2)
        totals = so_far[:, : SUMMED.index("present") + 1]
        counts = torch.cat([channels, products, channels_out * area, params, flops, totals], dim=1) * flags.present
        return Quantities(
            flags=flags,
            logs=torch.log1p(counts) * LOG_SCALE,
            plain=plain,
            stride=stride,
            params=params,
            flops=flops,
            area_in=area_in,
            area=area,
            so_far=so_far,
            position=counts[:, COUNTS.index("position") :],
        )
