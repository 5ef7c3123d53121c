"""Hand features: what the layer list of a network says, in numbers of about the same size.

`layer_features` describe each layer; the neural members read them. `network_features` describe a whole network; the
Gaussian process, the members and the tabular baselines read them. Both follow from the `Attributes` of the layers.
Each group of network features is a function below the names of its columns.

"log" stands for `LOG_SCALE` * log(1 + count). The mean over no layers is 0. Arrays are [layers, batch]: batches are
wide, so that sums along the layers are fast. Behind a network's last layer all attributes are 0.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..network.shapes import Shape
from .layer_code import DROPOUT_UNITS, EXTENDED

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Ints = NDArray[np.integer[Any]]

LOG_SCALE = 0.1
KINDS = tuple(EXTENDED.rows)  # the id of a layer type is 1 + its place
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
FOLLOWERS = ("conv", "batch_norm", "relu", "sigmoid", "tanh")
# Change of the signal's log standard deviation at a layer: half of log 2, and a round guess for the saturating two.
GAINS = {"conv": 0.35, "pool": 0.0, "sigmoid": -3.0, "tanh": -1.0, "relu": -0.35}
RUNS = (*GAINS, "linear conv")
COUNTED = (*GAINS, "batch_norm")
MEMORY = 32  # layers among which a run's beginning is looked for; without one, it counts from the first layer


@dataclass(frozen=True, slots=True)
class Attributes:
    """What the code says of each layer, [layers, batch].

    Attributes:
        lengths: layers of each network [batch].
        is_kind: whether a layer is of each type [types, layers, batch].
        conv: whether it is a convolution.
        pool: whether it is a max or average pool.
        kernel: the mean of the kernel's sides; 1 for a layer without kernel.
        area_in: positions of the map that the layer reads, as a share of the image's.
        params: weights without biases.
        flops: multiply-adds.
        logs: `COUNTS` as logarithms, float32 [counts, layers, batch].
        counted: whether it is one of `COUNTED` [counted, layers, batch].
        so_far: how many of these there are up to each layer, itself included [counted, layers, batch].
    """

    lengths: Ints
    is_kind: Bools
    conv: Bools
    pool: Bools
    kernel_width: Floats
    kernel_height: Floats
    kernel: Floats
    stride: Floats
    dropout: Floats
    area: Floats
    area_in: Floats
    params: Floats
    flops: Floats
    logs: Floats
    counted: Bools
    so_far: Floats

    def kind(self, *names: str) -> Bools:
        """Return rows of `is_kind` [names, layers, batch]."""
        return np.asarray(self.is_kind[[KINDS.index(name) for name in names]])

    def log(self, name: str) -> Floats:
        """Return a row of `logs` [layers, batch]."""
        return np.asarray(self.logs[COUNTS.index(name)])

    def last(self, values: Floats) -> Floats:
        """Return values of each network's last layer [..., batch]."""
        return np.asarray(values[..., self.lengths - 1, np.arange(len(self.lengths))])


def attributes(codes: NDArray[np.int32], lengths: NDArray[np.int32], image: Shape) -> Attributes:
    """Return the attributes of layers in the extended code, int32 [batch, layers, columns], on images of one shape."""
    columns = codes.transpose(2, 1, 0).astype(np.float64, order="C")
    kind, kernel_width, kernel_height, _, stride, dropout, channels, height, width = columns
    before = np.empty_like(columns[-3:])
    before[:, 0] = [[image.channels], [image.height], [image.width]]
    before[:, 1:] = columns[-3:, :-1]
    channels_in, height_in, width_in = before
    is_kind = kind == np.arange(1, 1 + len(KINDS))[:, None, None]
    present, conv, linear = kind > 0, is_kind[KINDS.index("conv")], is_kind[KINDS.index("linear")]

    area_in, area = height_in * width_in, height * width
    window, kernel = kernel_width * kernel_height, (kernel_width + kernel_height) / 2
    params = channels_in * channels * (window * conv + area_in * linear)
    flops = params * area
    growth = (kernel - present) * image.width / np.maximum(width_in, 1)
    totals = np.cumsum([growth, params, flops, present], axis=1)
    counts = channels_in, channels, area_in, window, area, channels * area, params, flops, *totals
    logs = np.empty((len(COUNTS), *kind.shape), dtype=np.float32)
    for row, count in zip(logs, counts, strict=True):
        np.multiply(count, present, out=row, casting="same_kind")
    logs += 1
    np.log(logs, out=logs)
    logs *= LOG_SCALE
    pool = is_kind[KINDS.index("max_pool")] | is_kind[KINDS.index("avg_pool")]
    counted = np.array([pool if name == "pool" else is_kind[KINDS.index(name)] for name in COUNTED])
    return Attributes(
        lengths=lengths,
        is_kind=is_kind,
        conv=conv,
        pool=pool,
        kernel_width=kernel_width,
        kernel_height=kernel_height,
        kernel=kernel,
        stride=stride,
        dropout=dropout / DROPOUT_UNITS,
        area=area,
        area_in=area_in / (image.height * image.width),
        params=params,
        flops=flops,
        logs=logs,
        counted=counted,
        so_far=np.cumsum(counted.astype(np.float32), axis=1),
    )


def layer_features(layers: Attributes) -> NDArray[np.float32]:
    """Return `LAYER_FEATURES` of each layer, float32 [batch, features, layers]."""
    _, depth, batch = layers.is_kind.shape
    found = np.empty((batch, len(LAYER_FEATURES), depth), dtype=np.float32)
    rows = found.transpose(1, 2, 0)
    position = np.arange(1, depth + 1)[:, None]
    present = position <= layers.lengths
    rows[:-4] = layers.logs
    rows[-4] = 3 * (layers.log("channels") - layers.log("channels_in"))
    rows[-3] = layers.dropout
    rows[-2] = 0.5 * (layers.stride - present)
    rows[-1] = 0.02 * position * present
    return found


Blocks = Iterable[Floats]  # each one feature [batch], or several [features, batch]
GROUPS: list[tuple[tuple[str, ...], Callable[[Attributes], Blocks]]] = []


def _group(*names: str) -> Callable[[Callable[[Attributes], Blocks]], Callable[[Attributes], Blocks]]:
    """Name a function's features and list it in `GROUPS`."""

    def add(function: Callable[[Attributes], Blocks]) -> Callable[[Attributes], Blocks]:
        GROUPS.append((names, function))
        return function

    return add


@_group("log params", "log flops", "log layers")
def size(layers: Attributes) -> Blocks:
    """How large and how deep the network is."""
    yield _log(np.stack([layers.params.sum(0), layers.flops.sum(0), layers.lengths]))


@_group(
    *(f"{what}: {kind}" for what in ("log count", "share") for kind in KINDS),
    *("share of activations: sigmoid", "share of activations: tanh"),
)
def types(layers: Attributes) -> Blocks:
    """How many layers of each type there are."""
    counts = _count(layers.is_kind)
    activations = counts[[KINDS.index(kind) for kind in SQUASHING]]
    yield _log(counts)
    yield counts / layers.lengths
    yield _mean(activations[:2], activations.sum(0))


@_group(*(f"log count: {kind}, kernel {size}" for kind in ("conv", "pool") for size in KERNELS))
def kernels(layers: Attributes) -> Blocks:
    """How wide the kernels of convolutions and pools are."""
    has_size = layers.kernel_width == np.reshape(KERNELS, (-1, 1, 1))
    yield _log(_count(layers.conv & has_size))
    yield _log(_count(layers.pool & has_size))


@_group(*(f"{what}: {area}" for what in ("log count of conv", "log params") for area in AREAS))
def areas(layers: Attributes) -> Blocks:
    """How many convolutions, and how many parameters, make maps of about the same area."""
    yield from _log(_sums(_within(layers.area, AREAS), layers.conv, layers.params))


@_group(
    *(
        f"{what}: {stage}"
        for what in (
            *("log count", "log flops", "log params", "log count of larger kernels", "log count of large kernels"),
            *("margin", "mean kernel", "mean log channels", "widest", "narrowest"),
        )
        for stage in STAGES
    ),
    *("widest conv", "narrowest conv"),
)
def stages(layers: Attributes) -> Blocks:
    """What the convolutions on maps of one stage are like; the margin is the sum of what their kernels exceed 1 by."""
    of_stage = layers.conv & _within(layers.area_in, STAGES)
    sides, channels = layers.kernel_width + layers.kernel_height, layers.log("channels")
    sums = _sums(of_stage, layers.conv, layers.flops, layers.params, sides > 2, sides > 7, layers.kernel, channels)
    count, kernel, widths = sums[0], sums[5], sums[6]
    widest = np.where(of_stage, channels, 0).max(1)
    narrowest = np.where(of_stage, channels, np.inf).min(1)
    yield from _log(sums[:5])
    yield 0.05 * (kernel - count)
    yield 0.2 * _mean(kernel, count)
    yield _mean(widths, count)
    for extreme in (widest, narrowest, widest.max(0), narrowest.min(0)):
        yield np.where(np.isinf(extreme), 0, extreme)


@_group(
    *(f"log count: {kind} after {before}" for before in ("conv", "batch_norm", "pool") for kind in FOLLOWERS),
    *(f"log count: {kind} after {kind}" for kind in SQUASHING),
    *(f"log count: batch_norm after {kind}" for kind in SQUASHING),
    "share of conv before batch_norm",
)
def neighbours(layers: Attributes) -> Blocks:
    """Which layers follow which."""
    followers, squashing, norm = layers.kind(*FOLLOWERS), layers.kind(*SQUASHING), layers.kind("batch_norm")
    after_conv = _count(layers.conv[:-1] & followers[:, 1:])
    yield _log(after_conv)
    yield _log(_count(norm[0, :-1] & followers[:, 1:]))
    yield _log(_count(layers.pool[:-1] & followers[:, 1:]))
    yield _log(_count(squashing[:, :-1] & squashing[:, 1:]))
    yield _log(_count(squashing[:, :-1] & norm[:, 1:]))
    yield _mean(after_conv[FOLLOWERS.index("batch_norm")], _count(layers.conv))


@_group(
    *(f"{what}: conv {n}" for what in ("log area", "log channels", "kernel") for n in FIRST_CONVS),
    *(f"{what}: conv {n} from the end" for what in ("log channels", "kernel") for n in LAST_CONVS),
    *(f"{what}: pool {n}" for what in ("present", "kernel", "convs before") for n in FIRST_POOLS),
    *("log area: last", "log channels: last", "log volume: last", "dropout: last"),
)
def places(layers: Attributes) -> Blocks:
    """What the first and last convolutions, the first pools and the last layer are like."""
    convs, pools = layers.so_far[:2]
    first = layers.conv & (convs == np.reshape(FIRST_CONVS, (-1, 1, 1)))
    last = layers.conv & (convs[-1] - convs + 1 == np.reshape(LAST_CONVS, (-1, 1, 1)))
    pool = layers.pool & (pools == np.reshape(FIRST_POOLS, (-1, 1, 1)))
    area, channels, kernel = layers.log("area"), layers.log("channels"), 0.2 * layers.kernel
    yield from _sums(first, area, channels, kernel)
    yield from _sums(last, channels, kernel)
    yield from _sums(pool, layers.pool, kernel, 0.1 * convs)
    logs = layers.last(layers.logs)
    yield from (logs[COUNTS.index(name)] for name in ("area", "channels", "volume"))
    yield layers.last(layers.dropout)


@_group(
    *("mean log flops", "mean log params", "mean log area", "mean kernel width", "mean kernel height"),
    *("widening", "narrowing", "mean log channels", "variance of log channels"),
    *("mean log channels: conv and linear", "log params: linear", "mean log area: all layers"),
    *("mean dropout", "largest dropout", "largest log flops", "log receptive field"),
)
def averages(layers: Attributes) -> Blocks:
    """What convolutions are like on average, what dropout and fully connected layers, and the largest of all layers."""
    channels = layers.log("channels")
    change = channels - layers.log("channels_in")
    kinds = np.stack([layers.conv, *layers.kind("linear", "dropout")])
    sums = _sums(
        kinds,
        *(layers.log("flops"), layers.log("params"), layers.log("area")),
        *(0.2 * layers.kernel_width, 0.2 * layers.kernel_height, np.maximum(change, 0), np.maximum(-change, 0)),
        *(channels, channels**2, layers.dropout),
    )
    convs, linears, dropouts = _count(kinds)
    of_conv, of_linear, of_dropout = sums.transpose(1, 0, 2)
    yield _mean(of_conv[:5], convs)
    yield of_conv[5:7]
    mean, mean_square = _mean(of_conv[7:9], convs)
    yield mean
    yield 10 * (mean_square - mean**2)
    yield _mean(of_conv[7] + of_linear[7], convs + linears)
    yield of_linear[1]
    yield layers.log("area").sum(0, dtype=np.float64) / layers.lengths
    yield _mean(of_dropout[9], dropouts)
    for values in (layers.dropout, layers.log("flops"), layers.log("reach")):
        yield values.max(0)


@_group(
    *(f"log run of {run}: {where}" for where in ("last", "longest") for run in RUNS),
    *(f"log count: {kind} before any normalisation" for kind in GAINS),
    *("walk: last", "walk: mean", "rise of the signal", "fall of the signal"),
)
def signal_propagation(layers: Attributes) -> Blocks:
    """Whether a signal survives the depth: how long the runs of layers between two batch normalisations are.

    Under He's initialisation a convolution and a ReLU together keep the signal's variance; a sigmoid all but flattens
    it, a tanh saturates, convolutions alone amplify it, and batch normalisation brings it back to unit variance (He et
    al., arXiv 1502.01852; Schoenholz et al., arXiv 1611.01232). Most networks that never train lose their signal in
    such a run. The walk is the change of the signal's log standard deviation since the last normalisation. A run of
    linear convolutions ends at an activation.
    """
    counted, norm = layers.counted[:-1], layers.counted[-1]
    so_far, norms = layers.so_far[:-1], layers.so_far[-1]
    activation = np.logical_or.reduce(layers.kind(*SQUASHING))
    runs = np.concatenate([_since(norm, so_far), _since(activation, so_far[:1])])
    runs *= layers.is_kind.any(0)
    walk = np.einsum("rlb,r->lb", runs[:-1], [*GAINS.values()])
    yield _log(layers.last(runs))
    yield _log(runs.max(1))
    yield _log(_count(counted & (norms == 0)))
    yield layers.last(walk)
    yield walk.sum(0) / layers.lengths
    yield np.maximum(walk.max(0), 0)
    yield np.maximum(-walk.min(0), 0)


FEATURES = tuple(name for names, _ in GROUPS for name in names)


def network_features(layers: Attributes) -> Floats:
    """Return `FEATURES` of each network, float64 [batch, features]."""
    return np.vstack([block for _, group in GROUPS for block in group(layers)]).T


def select(names: Sequence[str]) -> NDArray[np.intp]:
    """Return the columns of the named features.

    Raises:
        ValueError: when there is no feature of that name.
    """
    unknown = sorted(set(names) - set(FEATURES))
    if unknown:
        raise ValueError(f"there is no feature {unknown[0]!r}")
    return np.array([FEATURES.index(name) for name in names], dtype=np.intp)


def _log(counts: Floats | Ints) -> Floats:
    return LOG_SCALE * np.log1p(counts)


def _mean(sums: Floats, counts: Floats) -> Floats:
    return sums / np.maximum(counts, 1)


def _count(which: Bools) -> Floats:
    """Count layers, [..., layers, batch] to [..., batch]."""
    return np.asarray(which.sum(-2, dtype=np.float64))


def _within(values: Floats, ranges: Mapping[str, tuple[float, float]]) -> Bools:
    """Return which layers' values lie in each range [ranges, layers, batch]."""
    low, high = np.array([*ranges.values()]).T[:, :, None, None]
    return np.asarray((values > low) & (values <= high))


def _sums(which: Bools, *values: Floats | Bools) -> Floats:
    """Sum values [layers, batch] over each set of layers [sets, layers, batch]; returns [values, sets, batch]."""
    return np.asarray(np.einsum("vlb,slb->vsb", np.array(values, dtype=np.float64), which.astype(np.float64)))


def _since(is_reset: Bools, so_far: Floats) -> Floats:
    """Return what was counted since the last reset, where counts up to each layer are [rows, layers, batch]."""
    rows, depth, batch = so_far.shape
    place = np.arange(depth)[:, None]
    reset = np.maximum.accumulate(np.where(is_reset, place, -MEMORY), axis=0)
    at_reset = np.take(so_far.reshape(rows, -1), np.maximum(reset, 0) * batch + np.arange(batch), axis=1)
    return np.asarray(so_far - (place - reset < MEMORY) * at_reset)
