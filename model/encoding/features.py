"""Hand features: what the layer list of a network says, in numbers of about the same size.

`layer_features` describe each layer; the neural members read them. `network_features` describe a whole network; the
Gaussian process, the members and the tabular baselines read them. Both follow from the `Attributes` of the layers.
Each group of network features is a function below the names of its columns.

"log" stands for `LOG_SCALE` * log(1 + count). The mean over no layers is 0. Arrays are float32 [layers, batch]: batches
are wide, so that sums along the layers are fast. What holds of a layer is 1, else 0. Behind a network's last layer all
attributes are 0.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..network.shapes import Shape
from .layer_code import DROPOUT_UNITS, EXTENDED, STAND_INS

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

LOG_SCALE = 0.1
TYPES = tuple(EXTENDED.kernels)
KINDS = (*TYPES, "pool")
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


def _rows(*kinds: str) -> NDArray[np.intp]:
    return np.array([KINDS.index(kind) for kind in kinds])


_CONV, _LINEAR, _DROPOUT, _NORM, _POOL = _rows("conv", "linear", "dropout", "batch_norm", "pool").tolist()
_POOLS, _COUNTED, _SQUASHING = _rows("max_pool", "avg_pool"), _rows(*GAINS), _rows(*SQUASHING)
_BEFORE, _BEHIND = (_rows(*kinds) for kinds in zip(*PAIRS, strict=True))


@dataclass(slots=True)
class Attributes:
    """What the code says of each layer, [layers, batch].

    Attributes:
        lengths: layers of each network [batch].
        present: whether there is a layer.
        kinds: whether it is of each of `KINDS` [kinds, layers, batch].
        so_far: how many layers of each kind in `GAINS` there are up to this one, itself included [5, layers, batch].
        kernel: the mean of the kernel's sides; 1 for a layer without kernel.
        area_in: positions of the map that the layer reads, as a share of the image's.
        params: weights without biases.
        flops: multiply-adds.
        logs: `COUNTS` as logarithms [counts, layers, batch].
    """

    lengths: Ints
    present: Floats
    kinds: Floats
    so_far: Floats
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

    def log(self, name: str) -> Floats:
        """Return a row of `logs` [layers, batch]."""
        return np.asarray(self.logs[COUNTS.index(name)])

    def last(self, values: Floats) -> Floats:
        """Return values of each network's last layer [..., batch]."""
        return np.asarray(values[..., self.lengths - 1, np.arange(len(self.lengths))])


def attributes(codes: NDArray[np.int32], lengths: NDArray[np.int32], image: Shape) -> Attributes:
    """Return the attributes of layers in the extended code, int32 [batch, layers, columns], on images of one shape."""
    columns = codes.transpose(2, 1, 0).astype(np.float32, order="C")
    _, kernel_width, kernel_height, _, stride, dropout, channels, height, width, groups, dilation = columns[:11]
    channels_in, height_in, width_in = columns[11:14]
    code = STAND_INS[codes[:, :, 0].T]
    present = np.minimum(code, 1)
    kinds = np.empty((len(KINDS), *code.shape), dtype=np.float32)
    kinds[: len(TYPES)] = code == np.arange(1, 1 + len(TYPES))[:, None, None]
    kinds[_POOL] = kinds[_POOLS].sum(0)

    area_in, area = height_in * width_in, height * width
    window, kernel = kernel_width * kernel_height, (kernel_width + kernel_height) / 2
    params = channels_in / np.maximum(groups, 1) * channels * (window * kinds[_CONV] + area_in * kinds[_LINEAR])
    flops = params * area
    growth = (kernel - present) * dilation * image.width / np.maximum(width_in, 1)
    totals = np.cumsum(np.array([growth, params, flops, present]), axis=1)
    counts = [channels_in, channels, area_in, window, area, channels * area, params, flops, *totals]
    logs = LOG_SCALE * np.log(1 + np.array(counts) * present)
    return Attributes(
        lengths=lengths,
        present=present,
        kinds=kinds,
        so_far=np.cumsum(kinds[_COUNTED], axis=1),
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
    )


def layer_features(layers: Attributes) -> NDArray[np.float32]:
    """Return `LAYER_FEATURES` of each layer, float32 [batch, layers, features]."""
    depth, batch = layers.present.shape
    found = np.empty((batch, depth, len(LAYER_FEATURES)), dtype=np.float32)
    rows = found.transpose(2, 1, 0)
    rows[:-4] = layers.logs
    rows[-4] = 3 * (layers.log("channels") - layers.log("channels_in"))
    rows[-3] = layers.dropout
    rows[-2] = 0.5 * (layers.stride - layers.present)
    rows[-1] = 0.02 * np.arange(1, depth + 1)[:, None] * layers.present
    return found


Blocks = Iterable[Floats]  # each one feature [batch] or several [..., batch]
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
    yield _log(_total(np.array([layers.params, layers.flops, layers.present])))


@_group(
    *(f"{what}: {kind}" for what in ("log count", "share") for kind in TYPES),
    *("share of activations: sigmoid", "share of activations: tanh"),
)
def types(layers: Attributes) -> Blocks:
    """How many layers of each type there are."""
    counts = _total(layers.kinds)
    activations = counts[_SQUASHING]
    yield _log(counts[: len(TYPES)])
    yield counts[: len(TYPES)] / layers.lengths
    yield _mean(activations[:2], activations.sum(0))


@_group(*(f"log count: {kind}, kernel {size}" for kind in ("conv", "pool") for size in KERNELS))
def kernels(layers: Attributes) -> Blocks:
    """How wide the kernels of convolutions and pools are."""
    has_size = layers.kernel_width == np.reshape(KERNELS, (-1, 1, 1))
    yield _log(_total(layers.kinds[_CONV] * has_size))
    yield _log(_total(layers.kinds[_POOL] * has_size))


@_group(*(f"{what}: {area}" for what in ("log count of conv", "log params") for area in AREAS))
def areas(layers: Attributes) -> Blocks:
    """How many convolutions, and how many parameters, make maps of about the same area."""
    yield _log(_sums(_within(layers.area, AREAS), layers.kinds[_CONV], layers.params))


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
    of_stage = layers.kinds[_CONV] * _within(layers.area_in, STAGES)
    sides, channels = layers.kernel_width + layers.kernel_height, layers.log("channels")
    sums = _sums(of_stage, layers.present, layers.flops, layers.params, sides > 2, sides > 7, layers.kernel, channels)
    count, kernel, widths = sums[0], sums[5], sums[6]
    yield _log(sums[:5])
    yield 0.05 * (kernel - count)
    yield _mean(np.array([0.2 * kernel, widths]), count)
    widest, narrowest = _largest(of_stage * channels), -_largest(np.where(of_stage > 0, -channels, -np.inf))
    yield widest
    yield np.where(count > 0, narrowest, 0)
    yield widest.max(0)
    yield np.where(count.any(0), narrowest.min(0), 0)


@_group(*(f"log count: {kind} after {before}" for before, kind in PAIRS), "share of conv before batch_norm")
def neighbours(layers: Attributes) -> Blocks:
    """Which layers follow which."""
    counts = _total(layers.kinds[_BEFORE, :-1] * layers.kinds[_BEHIND, 1:])
    yield _log(counts)
    yield _mean(counts[PAIRS.index(("conv", "batch_norm"))], _total(layers.kinds[_CONV]))


@_group(
    *(f"{what}: conv {n}" for what in ("log area", "log channels", "kernel") for n in FIRST_CONVS),
    *(f"{what}: conv {n} from the end" for what in ("log channels", "kernel") for n in LAST_CONVS),
    *(f"{what}: pool {n}" for what in ("present", "kernel", "convs before") for n in FIRST_POOLS),
    *("log area: last", "log channels: last", "log volume: last", "dropout: last"),
)
def places(layers: Attributes) -> Blocks:
    """What the first and last convolutions, the first pools and the last layer are like."""
    convs, pools = layers.so_far[:2]
    area, channels, kernel = layers.log("area"), layers.log("channels"), 0.2 * layers.kernel
    first = layers.kinds[_CONV] * (convs == np.reshape(FIRST_CONVS, (-1, 1, 1)))
    last = layers.kinds[_CONV] * (convs[-1] - convs + 1 == np.reshape(LAST_CONVS, (-1, 1, 1)))
    pool = layers.kinds[_POOL] * (pools == np.reshape(FIRST_POOLS, (-1, 1, 1)))
    yield _sums(first, area, channels, kernel)
    yield _sums(last, channels, kernel)
    yield _sums(pool, layers.present, kernel, 0.1 * convs)
    yield layers.last(np.array([area, channels, layers.log("volume"), layers.dropout]))


@_group(
    *("mean log flops", "mean log params", "mean log area", "mean kernel width", "mean kernel height"),
    *("mean log channels", "variance of log channels", "widening", "narrowing"),
    *("mean log channels: conv and linear", "log params: linear", "mean log area: all layers"),
    *("mean dropout", "largest dropout", "largest log flops", "log receptive field"),
)
def averages(layers: Attributes) -> Blocks:
    """What convolutions are like on average, what dropout and fully connected layers, and the largest of all layers."""
    params, channels, area = layers.log("params"), layers.log("channels"), layers.log("area")
    change = channels - layers.log("channels_in")
    convs, linears, dropouts = _sums(
        layers.kinds[[_CONV, _LINEAR, _DROPOUT]],
        *(layers.log("flops"), params, area, 0.2 * layers.kernel_width, 0.2 * layers.kernel_height),
        *(channels, channels**2, np.maximum(change, 0), np.maximum(-change, 0), layers.dropout, layers.present),
    ).swapaxes(0, 1)
    means = _mean(convs[:7], convs[-1])
    yield means[:6]
    yield 10 * (means[6] - means[5] ** 2)
    yield convs[7:9]
    yield _mean(convs[5] + linears[5], convs[-1] + linears[-1])
    yield linears[1]
    yield _total(area) / layers.lengths
    yield _mean(dropouts[9], dropouts[-1])
    yield _largest(np.array([layers.dropout, layers.log("flops"), layers.log("reach")]))


@_group(
    *(f"log run of {run}: {where}" for where in ("last", "longest") for run in RUNS),
    *(f"log count: {kind} before any normalisation" for kind in GAINS),
    *("walk: last", "rise of the signal", "fall of the signal", "walk: mean"),
)
def signal_propagation(layers: Attributes) -> Blocks:
    """Whether a signal survives the depth: how long the runs of layers between two batch normalisations are.

    Under He's initialisation a convolution and a ReLU together keep the signal's variance; a sigmoid all but flattens
    it, a tanh saturates, convolutions alone amplify it, and batch normalisation brings it back to unit variance (He et
    al., arXiv 1502.01852; Schoenholz et al., arXiv 1611.01232). Most networks that never train lose their signal in
    such a run. The walk is the change of the signal's log standard deviation since the last normalisation. A run of
    linear convolutions ends at an activation.
    """
    norm, activation = layers.kinds[_NORM], layers.kinds[_SQUASHING].sum(0)
    runs = np.concatenate([_since(norm, layers.so_far), _since(activation, layers.so_far[:1])]) * layers.present
    walk = np.einsum("rlb,r->lb", runs[:-1], np.array([*GAINS.values()], dtype=np.float32))
    unnormalised = np.maximum.accumulate(norm, axis=0) == 0
    yield _log(layers.last(runs))
    yield _log(_largest(runs))
    yield _log(_total(layers.kinds[_COUNTED] * unnormalised))
    yield layers.last(walk)
    yield np.maximum(_largest(np.array([walk, -walk])), 0)
    yield _total(walk) / layers.lengths


FEATURES = tuple(name for names, _ in GROUPS for name in names)
SIGNAL = (  # those that tell whether a signal survives
    *next(names for names, group in GROUPS if group is signal_propagation),
    *(f"log count: {kind} after {before}" for before, kind in PAIRS if before in SQUASHING),
)


def network_features(layers: Attributes) -> NDArray[np.float64]:
    """Return `FEATURES` of each network, float64 [batch, features]."""
    batch = len(layers.lengths)
    blocks = [block.reshape(-1, batch) for _, group in GROUPS for block in group(layers)]
    return np.concatenate(blocks, dtype=np.float64).T


def _log(counts: Floats) -> Floats:
    return LOG_SCALE * np.log1p(counts)


def _mean(sums: Floats, counts: Floats) -> Floats:
    return sums / np.maximum(counts, 1)


def _total(values: Floats) -> Floats:
    """Sum over layers, [..., layers, batch] to [..., batch]."""
    return np.asarray(np.add.reduce(values, axis=-2))


def _largest(values: Floats) -> Floats:
    """Return the largest value of all layers, [..., layers, batch] to [..., batch]."""
    return np.asarray(np.maximum.reduce(values, axis=-2))


def _within(values: Floats, ranges: Mapping[str, tuple[float, float]]) -> Floats:
    """Return which layers' values lie in each range [ranges, layers, batch]."""
    low, high = np.array([*ranges.values()], dtype=np.float32).T[:, :, None, None]
    return np.asarray((values > low) & (values <= high), dtype=np.float32)


def _sums(which: Floats, *values: Any) -> Floats:
    """Sum values [layers, batch] over each set of layers [sets, layers, batch]; returns [values, sets, batch]."""
    return np.asarray(np.einsum("vlb,slb->vsb", np.array(values, dtype=np.float32), which))


def _since(is_reset: Floats, so_far: Floats) -> Floats:
    """Return what was counted since the last reset, where counts up to each layer are [rows, layers, batch]."""
    rows, depth, batch = so_far.shape
    place = np.arange(depth)[:, None]
    reset = np.maximum.accumulate(np.where(is_reset > 0, place, -MEMORY), axis=0)
    at_reset = np.take(so_far.reshape(rows, -1), np.maximum(reset, 0) * batch + np.arange(batch), axis=1)
    return np.asarray(so_far - (place - reset < MEMORY) * at_reset)
