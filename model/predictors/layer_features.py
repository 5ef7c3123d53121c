"""What the extended code says about each layer beyond Table 1: widths, resolution, parameters, FLOPs, receptive field.

Everything is computed from the integer codes inside the predictor's graph, so that a request carries nothing else. A
graph costs its operations, each a little, and its passes over the layers. Hence quantities are rows of few tensors,
[batch, rows, layers], joined before a function is applied to all of them; layers come last, as one value for each
layer is then multiplied with many rows at the processor's full width.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from ..encoding.layer_code import DROPOUT_UNITS, EXTENDED
from ..network.shapes import Shape
from .layer_flags import BEFORE, COUNTED, FIRST_READ, MORE_STEPS, RUNS, STEPS, Flags, Form, LayerFlags

LAYER_FEATURES = 16
LOG_SCALE = 0.1  # brings logarithms of counts that span magnitudes to about 0 to 2
# The window is a kernel's positions; the volume is channels times positions; the margin is what the mean side of a
# kernel exceeds 1 by, and the reach what the receptive field behind the layer does, in pixels of the image.
COUNTS = (
    *("channels_in", "channels", "area_in", "window", "area", "volume", "params", "flops"),
    *("reach", "params so far", "flops so far", "position"),
)
PLAIN = ("kernel", "kernel_width", "kernel_height", "margin", "dropout", "stride")
SUMMED = ("reach", "params", "flops", *COUNTED)
BESIDE_STEPS = len(COUNTS) + len(("dropout", "stride", "position"))  # rows that members read beside steps
SPARE = -(len(STEPS) - FIRST_READ + len(MORE_STEPS) + BESIDE_STEPS) % 16  # fast convolutions read rows by the sixteen


def _forms(image: Shape) -> dict[str, tuple[Form, ...]]:
    margin = {"kernel_width": 0.5, "kernel_height": 0.5, "one": -1.0}
    return {
        "sides": ({BEFORE + "map_height": 1}, {"kernel_width": 1}, {"map_height": 1}),
        "other sides": ({BEFORE + "map_width": 1}, {"kernel_height": 1}, {"map_width": 1}),
        "channels": ({BEFORE + "width": 1}, {"width": 1}),
        "plain": (
            {"kernel_width": 0.5, "kernel_height": 0.5},
            {"kernel_width": 1},
            {"kernel_height": 1},
            margin,
        ),
        "dropout and stride": ({"dropout": 1 / DROPOUT_UNITS}, {"stride": 1}),
        "margin in the image": ({name: factor * image.width for name, factor in margin.items()},),
        "width before": ({BEFORE + "map_width": 1},),
        "steps": STEPS,
        "more steps": (*MORE_STEPS, *({} for _ in range(SPARE))),
    }


@dataclass(frozen=True)
class Quantities:
    """Rows of quantities of every layer, float32 [batch, rows, layers]; zero where no layer is, unless said otherwise.

    Attributes:
        flags: what kind of layer it is.
        logs: log(1 + count) of `COUNTS`.
        plain: the first of `PLAIN`; the margin is -1 where no layer is.
        dropout_and_stride: the last of `PLAIN`.
        params: one row.
        flops: multiply-adds, one row.
        products: positions before the layer, of its kernel and behind it; where no layer is they mean nothing.
        so_far: sums of `SUMMED` up to each layer. Behind the end the last ones are repeated, but the reach goes astray.
        position: the part of them that counts all layers.
        runs: the part of them that counts `RUNS` and "linear conv".
    """

    flags: Flags
    logs: torch.Tensor
    plain: torch.Tensor
    dropout_and_stride: torch.Tensor
    params: torch.Tensor
    flops: torch.Tensor
    products: torch.Tensor
    so_far: torch.Tensor
    position: torch.Tensor
    runs: torch.Tensor

    def log(self, name: str) -> torch.Tensor:
        """Return one of `logs`, [batch, 1, layers]."""
        at = COUNTS.index(name)
        return self.logs[:, at : at + 1]

    def features(self) -> torch.Tensor:
        """Return what members read of each layer, [batch, LAYER_FEATURES, layers]; see `from_rows`."""
        rows = torch.cat([*self.rows(), self.flags.present], dim=1)
        return torch.einsum("fr,brl->bfl", from_rows(), rows)

    def rows(self) -> tuple[torch.Tensor, ...]:
        """Return what `features` are linear in, but for `present`, each [batch, rows, layers]."""
        return self.logs, self.dropout_and_stride, self.position


def from_rows() -> torch.Tensor:
    """Return the matrix from `Quantities.rows` and `present` to the members' features, [features, rows + 1].

    The logarithms times `LOG_SCALE`, three times the change of width, dropout, half of the stride beyond 1, and the
    position.
    """
    logs = len(COUNTS)
    change, dropout, stride, position = range(logs, LAYER_FEATURES)
    matrix = torch.zeros(LAYER_FEATURES, BESIDE_STEPS + 1)
    matrix[:logs, :logs] = LOG_SCALE * torch.eye(logs)
    matrix[change, COUNTS.index("channels")] = 3.0 * LOG_SCALE
    matrix[change, COUNTS.index("channels_in")] = -3.0 * LOG_SCALE
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
                    column = EXTENDED.columns.index(name.removeprefix(BEFORE))
                    weight[row, column, 0 if name.startswith(BEFORE) else 1] = factor
                bias[row] += factor * (1.0 if name == "one" else origin[column])
        self.register_buffer("origin", torch.tensor(origin).unsqueeze(1))
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, codes: torch.Tensor) -> Quantities:
        numbers = codes.float().transpose(1, 2) - self.origin
        blocks = F.conv1d(F.pad(numbers, (1, 0)), self.weight, self.bias).split(self.rows, dim=1)
        sides, other_sides, channels, plain, dropout_and_stride, margin, width_before, *steps = blocks
        flags = self.flags(*steps)
        products = sides * other_sides
        area = products[:, 2:]
        channels_in, channels_out = channels.split(1, dim=1)
        # A linear layer's kernel is all that came before it, and it leaves one position.
        params = channels_in * channels_out * (flags.weighted * products[:, :2]).sum(1, keepdim=True)
        flops = params * area
        step = margin / torch.clamp(width_before, min=1.0)
        so_far = torch.cumsum(torch.cat([step, params, flops, flags.counted], dim=1), dim=2)
        totals, position, runs, _ = so_far.split([3, 1, len(RUNS) + 1, 1], dim=1)
        counts = torch.cat([channels, products, channels_out * area, params, flops, totals, position], dim=1)
        return Quantities(
            flags=flags,
            logs=torch.log1p(counts * flags.present),
            plain=plain,
            dropout_and_stride=dropout_and_stride,
            params=params,
            flops=flops,
            products=products,
            so_far=so_far,
            position=position,
            runs=runs,
        )
