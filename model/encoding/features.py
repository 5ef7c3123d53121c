"""Hand features: what the layer list of a network says, in numbers of about the same size.

`layer_features` describe each layer; the neural members read them. `network_features` describe a whole network; the
Gaussian process, the members and the tabular baselines read them. Both follow from the `Attributes` of the layers.

A feature of a network is a sum of a value over a set of layers, a mean, the largest value, or that of the last layer:
`DEFINITIONS` says which. One matrix product gives all sums, so that a single network takes few numpy calls.

"log" stands for `LOG_SCALE` * log(1 + count). The mean over no layers is 0. What holds of a layer is 1, else 0. Behind
a network's last layer all attributes are 0. Arrays of layers are float32 [..., batch, layers].
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..network.shapes import Shape
from .layer_code import DROPOUT_UNITS, EXTENDED, STAND_INS

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

LOG_SCALE = 0.1
TYPES = tuple(EXTENDED.kernels)
KINDS = (*TYPES, "pool", "activation")
# The window is a kernel's positions, the volume channels times area; the reach is what the receptive field behind a
# layer exceeds 1 by, in pixels of the image.
COUNTS = (
    *("channels_in", "channels", "area_in", "window", "area", "volume", "params", "flops"),
    *("reach", "params_so_far", "flops_so_far", "position"),
)
LAYER_FEATURES = (*(f"log {name}" for name in COUNTS), "widening", "dropout", "stride", "position")
KERNELS = (1, 2, 3, 4, 5)
# Ranges, without the low end: of the share of the image's positions that a map has left, and of positions.
STAGES = {"stage 0": (0.5, 1.0), "stage 1": (0.1, 0.5), "stage 2": (0.02, 0.1), "stage 3": (0.0, 0.02)}
AREAS = {"area 0": (0, 9), "area 1": (9, 36), "area 2": (36, 81), "area 3": (81, 300), "area 4": (300, np.inf)}
FIRST_CONVS, LAST_CONVS, FIRST_POOLS = (1, 2, 3, 4), (1, 2, 3), (1, 2, 3)
SQUASHING = ("sigmoid", "tanh", "relu")
# Change of the signal's log standard deviation at a layer: half of log 2, and a round guess for the saturating two.
GAINS = {"conv": 0.35, "pool": 0.0, "sigmoid": -3.0, "tanh": -1.0, "relu": -0.35}
RUNS = (*GAINS, "linear conv")
MEMORY = 32  # layers among which a run's beginning is looked for; without one, it counts from the first layer
PAIRS = (  # which layer before which
    *product(("conv", "batch_norm", "pool"), ("conv", "batch_norm", "relu", "sigmoid", "tanh")),
    *((kind, kind) for kind in SQUASHING),
    *((kind, "batch_norm") for kind in SQUASHING),
)


BEFORE = tuple(dict.fromkeys(before for before, _ in PAIRS))
SETS = (  # of layers, over which values are summed
    *(*KINDS, "all", "conv or linear", *STAGES, *AREAS),
    *(f"conv {n}" for n in FIRST_CONVS),
    *(f"conv {n} from the end" for n in LAST_CONVS),
    *(f"pool {n}" for n in FIRST_POOLS),
)
VALUES = (
    *("one", "conv", *(f"after {kind}" for kind in BEFORE), *(f"kernel {n}" for n in KERNELS)),
    *("larger kernel", "large kernel", "unnormalised", "params", "flops", "kernel", "kernel width", "kernel height"),
    *("margin", "log flops", "log params", "log area", "log channels", "squared log channels"),
    *("widening", "narrowing", "dropout", "convs so far", "walk"),
)
CONVS = (*STAGES, "conv")  # sets of convolutions of which the widest and narrowest are looked for
ROWS = (  # what is known of each layer; the largest or the last of it is a feature of the network
    *LAYER_FEATURES,
    *("walk", "-walk", *(f"run of {run}" for run in RUNS)),
    *(f"{sign}log channels: {convs}" for sign in ("", "-") for convs in CONVS),
)


class Definition(NamedTuple):
    """How a feature follows from the attributes of layers.

    Attributes:
        column: its place among the sums [values * sets], the largest values and those of the last layer.
        over: the place of what it is divided by.
        scale: factor.
        is_log: whether its logarithm is the feature.
    """

    column: int
    over: int | None = None
    scale: float = 1.0
    is_log: bool = False


def _place(value: str, layers: str) -> int:
    return VALUES.index(value) * len(SETS) + SETS.index(layers)


def _sum(value: str, layers: str = "all", scale: float = 1.0) -> Definition:
    return Definition(_place(value, layers), scale=scale)


def _log(value: str, layers: str = "all") -> Definition:
    return Definition(_place(value, layers), is_log=True)


def _mean(value: str, layers: str, over: str = "", scale: float = 1.0) -> Definition:
    return Definition(_place(value, layers), _place("one", over or layers), scale)


def _largest(row: str, scale: float = 1.0, *, is_log: bool = False) -> Definition:
    return Definition(len(VALUES) * len(SETS) + ROWS.index(row), scale=scale, is_log=is_log)


def _last(row: str, *, is_log: bool = False) -> Definition:
    return Definition(len(VALUES) * len(SETS) + len(ROWS) + ROWS.index(row), is_log=is_log)


# How large and how deep the network is, and how many layers of each type there are.
_SIZE = {
    **{"log params": _log("params"), "log flops": _log("flops"), "log layers": _log("one")},
    **{f"log count: {kind}": _log("one", kind) for kind in TYPES},
    **{f"share: {kind}": _mean("one", kind, "all") for kind in TYPES},
    **{f"share of activations: {kind}": _mean("one", kind, "activation") for kind in ("sigmoid", "tanh")},
    **{f"log count: {kind}, kernel {n}": _log(f"kernel {n}", kind) for kind in ("conv", "pool") for n in KERNELS},
}
# What the convolutions are like that make maps of about the same area, or read maps of one stage; the margin is the sum
# of what their kernels exceed 1 by.
_STAGES = {
    **{f"log count of conv: {area}": _log("conv", area) for area in AREAS},
    **{f"log params: {area}": _log("params", area) for area in AREAS},
    **{f"log count: {stage}": _log("one", stage) for stage in STAGES},
    **{f"log {value}: {stage}": _log(value, stage) for value in ("flops", "params") for stage in STAGES},
    **{
        f"log count of {value}s: {stage}": _log(value, stage)
        for value in ("larger kernel", "large kernel")
        for stage in STAGES
    },
    **{f"margin: {stage}": _sum("margin", stage, 0.05) for stage in STAGES},
    **{f"mean kernel: {stage}": _mean("kernel", stage, scale=0.2) for stage in STAGES},
    **{f"mean log channels: {stage}": _mean("log channels", stage) for stage in STAGES},
    **{f"widest: {stage}": _largest(f"log channels: {stage}") for stage in STAGES},
    **{f"narrowest: {stage}": _largest(f"-log channels: {stage}", -1) for stage in STAGES},
    "widest conv": _largest("log channels: conv"),
    "narrowest conv": _largest("-log channels: conv", -1),
}
_PAIRS = {f"log count: {kind} after {before}": _log(f"after {before}", kind) for before, kind in PAIRS}
# What the first and last convolutions, the first pools and the last layer are like.
_PLACES = {
    **{f"{what}: conv {n}": _sum(what, f"conv {n}") for what in ("log area", "log channels") for n in FIRST_CONVS},
    **{f"kernel: conv {n}": _sum("kernel", f"conv {n}", 0.2) for n in FIRST_CONVS},
    **{f"log channels: conv {n} from the end": _sum("log channels", f"conv {n} from the end") for n in LAST_CONVS},
    **{f"kernel: conv {n} from the end": _sum("kernel", f"conv {n} from the end", 0.2) for n in LAST_CONVS},
    **{f"present: pool {n}": _sum("one", f"pool {n}") for n in FIRST_POOLS},
    **{f"kernel: pool {n}": _sum("kernel", f"pool {n}", 0.2) for n in FIRST_POOLS},
    **{f"convs before: pool {n}": _sum("convs so far", f"pool {n}", 0.1) for n in FIRST_POOLS},
    **{f"{what}: last": _last(what) for what in ("log area", "log channels", "log volume", "dropout")},
}
# What convolutions are like on average, what dropout and fully connected layers, and the largest of all layers.
_AVERAGES = {
    **{f"mean {what}": _mean(what, "conv") for what in ("log flops", "log params", "log area")},
    **{f"mean {what}": _mean(what, "conv", scale=0.2) for what in ("kernel width", "kernel height")},
    "mean log channels": _mean("log channels", "conv"),
    "variance of log channels": _mean("squared log channels", "conv"),  # the square of the mean goes off
    **{what: _sum(what, "conv") for what in ("widening", "narrowing")},
    "mean log channels: conv and linear": _mean("log channels", "conv or linear"),
    "log params: linear": _sum("log params", "linear"),
    "mean log area: all layers": _mean("log area", "all"),
    "mean dropout": _mean("dropout", "dropout"),
    "largest dropout": _largest("dropout"),
    "largest log flops": _largest("log flops"),
    "log receptive field": _largest("log reach"),
}
# Whether a signal survives the depth: how long the runs of layers between two batch normalisations are. Under He's
# initialisation a convolution and a ReLU together keep the signal's variance; a sigmoid all but flattens it, a tanh
# saturates, convolutions alone amplify it, and batch normalisation brings it back to unit variance (He et al., arXiv
# 1502.01852; Schoenholz et al., arXiv 1611.01232). Most networks that never train lose their signal in such a run. The
# walk is the change of the signal's log standard deviation since the last normalisation. A run of linear convolutions
# ends at an activation.
_SIGNAL = {
    **{f"log run of {run}: last": _last(f"run of {run}", is_log=True) for run in RUNS},
    **{f"log run of {run}: longest": _largest(f"run of {run}", is_log=True) for run in RUNS},
    **{f"log count: {kind} before any normalisation": _log("unnormalised", kind) for kind in GAINS},
    "walk: last": _last("walk"),
    "rise of the signal": _largest("walk"),
    "fall of the signal": _largest("-walk"),
    "walk: mean": _mean("walk", "all"),
}
DEFINITIONS = {
    **(_SIZE | _STAGES | _PAIRS),
    "share of conv before batch_norm": _mean("after conv", "batch_norm", "conv"),
    **(_PLACES | _AVERAGES | _SIGNAL),
}
FEATURES = tuple(DEFINITIONS)
SIGNAL = (*_SIGNAL, *(f"log count: {kind} after {before}" for before, kind in PAIRS if before in SQUASHING))


@dataclass(slots=True)
class Attributes:
    """What the code says of the layers of networks.

    Attributes:
        layers: `ROWS` of each layer [rows, batch, layers].
        sums: of each of `VALUES` over each of `SETS` [batch, values * sets].
        largest: of `ROWS`; 0 where no layer has one [batch, rows].
        last: `ROWS` of each network's last layer [batch, rows].
    """

    layers: Floats
    sums: Floats
    largest: Floats
    last: Floats


def _column(values: Iterable[float]) -> Floats:
    """Return constants to compare the attributes of layers [batch, layers] with."""
    return np.array([*values], dtype=np.float32)[:, None, None]


def _sets(*names: str) -> list[int]:
    return [SETS.index(name) for name in names]


def _slice(names: Sequence[str], first: str, last: str) -> slice:
    return slice(names.index(first), names.index(last) + 1)


_CONV, _LINEAR, _NORM, _MAX_POOL, _AVG_POOL, _POOL, _ACTIVATION, _ALL, _CONV_OR_LINEAR = _sets(
    *("conv", "linear", "batch_norm", "max_pool", "avg_pool", "pool", "activation", "all", "conv or linear")
)
_SQUASHING, _BEFORE, _CONVS, _COUNTED = _sets(*SQUASHING), _sets(*BEFORE), _sets(*CONVS), [*_sets(*GAINS), _CONV]
_RESETS = [*[_NORM] * len(GAINS), _ACTIVATION]
_OF_STAGE, _OF_AREA = _slice(SETS, "stage 0", "stage 3"), _slice(SETS, "area 0", "area 4")
_FIRST_CONV, _LAST_CONV = _slice(SETS, "conv 1", "conv 4"), _slice(SETS, "conv 1 from the end", "conv 3 from the end")
_FIRST_POOL = _slice(SETS, "pool 1", "pool 3")
_OTHERS, _WALKS = _slice(ROWS, "widening", "position"), _slice(ROWS, "walk", "-walk")
_RUNS = _slice(ROWS, "run of conv", "run of linear conv")
_WIDTHS = _slice(ROWS, "log channels: stage 0", "log channels: conv")
_NARROWNESS = _slice(ROWS, "-log channels: stage 0", "-log channels: conv")
_IDS = _column(range(1, 1 + len(TYPES)))
_STAGE_ENDS, _AREA_ENDS = ([*map(_column, zip(*ends.values(), strict=True))] for ends in (STAGES, AREAS))
_KERNELS, _FIRST_CONVS, _LAST_CONVS, _FIRST_POOLS = map(_column, (KERNELS, FIRST_CONVS, LAST_CONVS, FIRST_POOLS))
_GAINS = np.array([*GAINS.values()], dtype=np.float32)
_COLUMNS = np.array([one.column for one in DEFINITIONS.values()])
_SCALES = np.array([one.scale for one in DEFINITIONS.values()], dtype=np.float32)
_MEANS = np.array([place for place, one in enumerate(DEFINITIONS.values()) if one.over is not None])
_OVER = np.array([one.over for one in DEFINITIONS.values() if one.over is not None])
_LOGS = np.array([place for place, one in enumerate(DEFINITIONS.values()) if one.is_log])
_VARIANCE, _MEAN = map(FEATURES.index, ("variance of log channels", "mean log channels"))


def attributes(codes: NDArray[np.int32], lengths: NDArray[np.int32], image: Shape) -> Attributes:
    """Return the attributes of layers in the extended code, int32 [batch, layers, columns], on images of one shape."""
    columns = codes.transpose(2, 0, 1).astype(np.float32, order="C")
    _, kernel_width, kernel_height, _, stride, dropout, channels, height, width, groups, dilation = columns[:11]
    channels_in, height_in, width_in = columns[11:14]
    dropout /= DROPOUT_UNITS
    code = STAND_INS[codes[:, :, 0]]
    present = np.minimum(code, 1)
    sets = np.empty((len(SETS), *code.shape), dtype=np.float32)
    sets[: len(TYPES)] = code == _IDS
    sets[_POOL] = sets[_MAX_POOL] + sets[_AVG_POOL]
    sets[_ACTIVATION] = sets[_SQUASHING].sum(0)
    sets[_CONV_OR_LINEAR] = sets[_CONV] + sets[_LINEAR]
    sets[_ALL] = present
    conv = sets[_CONV]

    area_in, area = height_in * width_in, height * width
    window, kernel = kernel_width * kernel_height, (kernel_width + kernel_height) / 2
    margin = kernel - present
    params = channels_in / np.maximum(groups, 1) * channels * (window * conv + area_in * sets[_LINEAR])
    flops = params * area
    growth = margin * dilation * image.width / np.maximum(width_in, 1)
    totals = np.cumsum(np.array([growth, params, flops, present]), axis=-1)
    layers = np.empty((len(ROWS), *code.shape), dtype=np.float32)
    logs = layers[: len(COUNTS)]
    np.stack([channels_in, channels, area_in, window, area, channels * area, params, flops, *totals], out=logs)
    logs *= present
    logs += 1
    np.log(logs, out=logs)
    logs *= LOG_SCALE
    log_channels = logs[1]
    wider = log_channels - logs[0]
    place = totals[-1]
    np.stack([3 * wider, dropout, 0.5 * (stride - present), 0.02 * place * present], out=layers[_OTHERS])

    runs, (walk, down) = layers[_RUNS], layers[_WALKS]
    so_far, runs[:], is_unnormalised = _runs(sets, place)
    np.dot(_GAINS, runs[: len(GAINS)].reshape(len(GAINS), -1), out=walk.reshape(-1))
    np.negative(walk, out=down)
    _fill_sets(sets, area_in / (image.height * image.width), area, so_far)
    layers[_WIDTHS] = sets[_CONVS]
    layers[_NARROWNESS] = np.where(layers[_WIDTHS] > 0, -log_channels, -np.inf)
    layers[_WIDTHS] *= log_channels
    behind = np.zeros((len(BEFORE), *code.shape), dtype=np.float32)
    behind[:, :, 1:] = sets[_BEFORE, :, :-1]
    values = [
        *(present, conv, *behind, *(kernel_width == _KERNELS), kernel > 1, kernel > 3.5, is_unnormalised),
        *(params, flops, kernel, kernel_width, kernel_height, margin, logs[7], logs[6], logs[4], log_channels),
        *(log_channels * log_channels, np.maximum(wider, 0), np.maximum(-wider, 0), dropout, so_far[0], walk),
    ]
    sums = np.array(values, dtype=np.float32).transpose(1, 0, 2) @ sets.transpose(1, 2, 0)
    largest = layers.max(axis=-1)
    largest[largest == -np.inf] = 0
    np.maximum(largest[_WALKS], 0, out=largest[_WALKS])
    last = layers[:, np.arange(len(lengths)), lengths - 1]
    return Attributes(layers, sums.reshape(len(lengths), -1), largest.T, last.T)


def _runs(sets: Floats, place: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return counts of layers up to each and `RUNS`, both [runs, batch, layers]; and which no normalisation precedes.

    Args:
        sets: whether a layer is of each of `KINDS` [at least kinds, batch, layers].
        place: of a layer in its network, from 1 [batch, layers].
    """
    so_far, is_reset = np.cumsum(sets[_COUNTED], axis=-1), sets[_RESETS]
    reset = np.maximum.accumulate(np.where(is_reset > 0, place, -MEMORY), axis=-1)
    at_reset = np.maximum.accumulate(is_reset * so_far, axis=-1)
    return so_far, (so_far - at_reset * (place - reset < MEMORY)) * sets[_ALL], reset[0] < 0


def _fill_sets(sets: Floats, share: Floats, area: Floats, so_far: Floats) -> None:
    """Fill in the sets that go by the size of a map and by the place among convolutions or pools.

    Args:
        sets: [sets, batch, layers].
        share: of the image's positions that the map has that a layer reads [batch, layers].
        area: positions of the map that a layer makes [batch, layers].
        so_far: convolutions, pools and others up to each layer [runs, batch, layers].
    """
    is_conv, convs, pools = sets[_CONV] > 0, so_far[0], so_far[1]
    sets[_OF_STAGE] = (share > _STAGE_ENDS[0]) & (share <= _STAGE_ENDS[1]) & is_conv
    sets[_OF_AREA] = (area > _AREA_ENDS[0]) & (area <= _AREA_ENDS[1])
    sets[_FIRST_CONV] = (convs == _FIRST_CONVS) & is_conv
    sets[_LAST_CONV] = (convs[:, -1:] - convs + 1 == _LAST_CONVS) & is_conv
    sets[_FIRST_POOL] = (pools == _FIRST_POOLS) & (sets[_POOL] > 0)


def layer_features(layers: Attributes) -> NDArray[np.float32]:
    """Return `LAYER_FEATURES` of each layer, float32 [batch, layers, features]."""
    return np.ascontiguousarray(layers.layers[: len(LAYER_FEATURES)].transpose(1, 2, 0), dtype=np.float32)


def network_features(layers: Attributes) -> NDArray[np.float64]:
    """Return `FEATURES` of each network, float64 [batch, features]."""
    known = np.concatenate([layers.sums, layers.largest, layers.last], axis=1)
    found = known[:, _COLUMNS]
    found[:, _MEANS] /= np.maximum(known[:, _OVER], 1)
    found *= _SCALES
    found[:, _LOGS] = LOG_SCALE * np.log1p(found[:, _LOGS])
    found[:, _VARIANCE] = 10 * (found[:, _VARIANCE] - found[:, _MEAN] ** 2)
    return found.astype(np.float64)
