"""Hand features of graphs: what the paths from the image to the output are like, in numbers of about the same size.

A step is a convolution or a pool; norms, activations and merges lie between steps. One pass along the rows of a network
keeps figures of all paths that end at each row: their number, the most and the least of something on one of them, and
means over them. Each group of features is a function below the names of its columns.

Counts are square roots, times `ROOT_SCALE`: networks of repeated cells have n, 2 n, 3 n of something, which logarithms
hardly tell apart.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..network.layer_types import TYPE_IDS
from ..network.shapes import Shape
from .features import LOG_SCALE, STAGES
from .layer_code import EDGES, EXTENDED, STAND_INS

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

STEPS = ("wide conv", "1x1 conv", "pool")
SETS = tuple(" or ".join(some) for count in (1, 2, 3) for some in combinations(STEPS, count))
COUNTED = (*SETS, "activation", "reach")  # on a path; the reach is what a kernel adds to the receptive field, in pixels
# How the paths that meet at a merge are weighed: each alike; by the signal's variance, which normalisation brings back
# to 1; by the product of the convolutions' mean absolute weights, as the proxy synflow does (Tanaka et al., 2020).
WEIGHTS = ("path", "variance", "gain")
AVERAGED = (*STEPS, "activation", "reach")
READS = ("input", *STEPS)  # what a step reads, through norms, activations and merges
ROOT_SCALE = 0.1
NEVER = -1e6  # of a path that does not exist
TINY, HUGE = 1e-280, 1e280
NO_WEIGHT = 1e-30  # of a path through zeros
IMAGE, NOTHING = 0, 1  # places before the rows
_COLUMN = {name: place for place, name in enumerate(EXTENDED.columns)}
_BACK = [_COLUMN[name] for name in EDGES]
_CONV, _NORM, _ZERO, _CONCAT = (TYPE_IDS[name] for name in ("conv", "batch_norm", "zero", "concat"))
_AVG_POOL, _POOLS = TYPE_IDS["avg_pool"], [TYPE_IDS["max_pool"], TYPE_IDS["avg_pool"]]
_ACTIVATIONS = [TYPE_IDS[name] for name in ("relu", "sigmoid", "tanh")]


@dataclass(slots=True)
class Rows:
    """The rows of networks.

    Figures of the rows are kept as [rows + 2, batch, ...]: the image, nothing (which lies on no path), the rows.

    Attributes:
        lengths: rows of each network [batch].
        kind: type ids [rows, batch].
        places: of the two rows that each reads, in the flattened figures; the second may be nothing [2, rows, batch].
        steps: whether it is each of `STEPS` [steps, rows, batch].
        own: what it adds to `AVERAGED` [averaged, rows, batch].
        gain: of its weights [rows, batch].
        is_merge: whether it reads two rows [rows, batch].
        area: positions of the map that it reads, as a share of the image's [rows, batch].
        is_grouped: whether it is a convolution of several groups [rows, batch].
    """

    lengths: Ints
    kind: Ints
    places: Ints
    steps: Floats
    own: Floats
    gain: Floats
    is_merge: NDArray[np.bool_]
    area: Floats
    is_grouped: NDArray[np.bool_]

    def figures(self, *shape: int) -> Floats:
        """Return zeros for the image, nothing and the rows [rows + 2, batch, ...]."""
        rows, batch = self.kind.shape
        return np.zeros((rows + 2, batch, *shape))

    def read(self, figures: Floats, row: int) -> tuple[Floats, Floats]:
        """Return the figures of the two rows that a row reads [batch, ...]."""
        flat = figures.reshape(-1, *figures.shape[2:])
        return flat[self.places[0, row]], flat[self.places[1, row]]

    def last(self, figures: Floats) -> Floats:
        """Return the figures of each network's last row [batch, ...]."""
        return np.asarray(figures[self.lengths + 1, np.arange(len(self.lengths))])


def rows_of(codes: NDArray[np.int32], lengths: NDArray[np.int32], image: Shape) -> Rows:
    """Return the rows of networks; the arguments are as in `features.attributes`."""
    columns = codes.transpose(2, 1, 0)
    kind = columns[0]
    rows, batch = kind.shape
    across, down, groups, dilation, channels_in, height_in, width_in = (
        columns[_COLUMN[name]].astype(np.float32)
        for name in ("kernel_width", "kernel_height", "groups", "dilation", "channels_in", "height_in", "width_in")
    )
    kernel, is_conv = (across + down) / 2, kind == _CONV
    steps = np.array([is_conv & (kernel > 1), is_conv & (kernel <= 1), np.isin(kind, _POOLS)], dtype=np.float32)
    activation = np.isin(STAND_INS[kind], _ACTIVATIONS)
    reach = np.maximum(kernel - 1, 0) * dilation * image.width / np.maximum(width_in, 1)
    back = columns[_BACK]
    place = np.arange(rows)[:, None] + 2 - back
    place[(place == NOTHING) & (back > 0)] = IMAGE
    place[1][back[1] == 0] = NOTHING
    return Rows(
        lengths=lengths,
        kind=kind,
        places=place * batch + np.arange(batch),
        steps=steps,
        own=np.array([*steps, activation, LOG_SCALE * reach], dtype=np.float32),
        gain=np.where(is_conv, np.sqrt(kernel**2 * channels_in / np.maximum(groups, 1)), 1.0),
        is_merge=back[1] > 0,
        area=height_in * width_in / (image.height * image.width),
        is_grouped=is_conv & (groups > 1),
    )


def most_and_least(rows: Rows) -> Floats:
    """Return the most and minus the least of `COUNTED` on a path to the output [batch, 2 * counted].

    All are below `NEVER` / 2 where no path leads from the image to the output.
    """
    subsets = [sum(rows.steps[STEPS.index(name)] for name in some.split(" or ")) for some in SETS]
    counted = np.array([*subsets, *rows.own[-2:]])
    costs = np.concatenate([counted, -counted]).transpose(1, 2, 0).copy()
    costs[rows.kind == _ZERO] = NEVER
    found = rows.figures(costs.shape[2])
    found[NOTHING] = 2 * NEVER
    for row, cost in enumerate(costs):
        np.maximum(*rows.read(found, row), out=found[row + 2])
        found[row + 2] += cost
    return rows.last(found)


def weighted(rows: Rows) -> tuple[Floats, Floats, Floats]:
    """Return what the paths to the output are like on average.

    Returns:
        The log of their weight together [batch, weights], means of `AVERAGED` [batch, weights, averaged], and the
        deviation of the number of steps [batch, weights].
    """
    factors = np.ones((*rows.kind.shape, len(WEIGHTS)))
    halved = np.isin(rows.kind, [_AVG_POOL, _CONCAT])  # an average has a smaller variance; a sum a larger one
    factors[:, :, WEIGHTS.index("variance")][halved] = 0.5
    factors[:, :, WEIGHTS.index("gain")] = rows.gain
    factors[rows.kind == _ZERO] = NO_WEIGHT
    is_norm = STAND_INS[rows.kind] == _NORM
    own = np.array([*rows.own, rows.steps.sum(0)]).transpose(1, 2, 0)[:, :, None, :]
    weight, spread = rows.figures(len(WEIGHTS)), rows.figures(len(WEIGHTS))
    mean = rows.figures(len(WEIGHTS), own.shape[3])
    weight[:] = 1
    weight[NOTHING] = 0
    for row, factor in enumerate(factors):
        one, other = rows.read(weight, row)
        both = np.maximum(one + other, TINY)
        share = other / both
        first, second = rows.read(mean, row)
        mean[row + 2] = first + share[:, :, None] * (second - first) + own[row]
        narrow, wide = rows.read(spread, row)
        apart = share * (1 - share) * (second[:, :, -1] - first[:, :, -1]) ** 2
        spread[row + 2] = narrow + share * (wide - narrow) + apart
        both *= factor
        variance = both[:, WEIGHTS.index("variance")]
        variance[is_norm[row]] = np.minimum(variance[is_norm[row]] * 1e20, 1.0)  # zeros stay zeros
        weight[row + 2] = np.minimum(both, HUGE)
    return np.log(rows.last(weight)), rows.last(mean)[:, :, :-1], np.sqrt(rows.last(spread))


def step_reads(rows: Rows) -> tuple[Floats, Floats, Floats]:
    """Return what steps read, through what lies between them.

    Returns:
        How many of `READS` each row reads [rows, batch, reads]; how many pairs of a step and what that reads [rows,
        batch, steps * reads]; and what a row passes on to those that read it, as figures [rows + 2, batch, reads].
    """
    depth, batch = rows.kind.shape
    steps = rows.steps.transpose(1, 2, 0)
    is_step = steps.max(2, keepdims=True) > 0
    emitted = np.concatenate([np.zeros((depth, batch, 1)), steps], axis=2)
    reads, pairs = np.empty((depth, batch, len(READS))), np.empty((depth, batch, len(STEPS) * len(READS)))
    passed, passed_pairs = rows.figures(reads.shape[2]), rows.figures(pairs.shape[2])
    passed[IMAGE, :, 0] = 1
    for row in range(depth):
        reads[row] = np.add(*rows.read(passed, row))
        pairs[row] = np.add(*rows.read(passed_pairs, row))
        passed[row + 2] = np.where(is_step[row], emitted[row], reads[row])
        made = (steps[row, :, :, None] * reads[row, :, None, :]).reshape(batch, -1)
        passed_pairs[row + 2] = np.where(is_step[row], made, pairs[row])
    return reads, pairs, passed


def readers(rows: Rows) -> tuple[Floats, Floats]:
    """Return how many rows read each row, and how many merges do [rows, batch]."""
    size = (rows.kind.shape[0] + 2) * rows.kind.shape[1]
    present = rows.kind > 0
    counts = [
        sum(np.bincount(place[which & some], minlength=size) for place, which in zip(rows.places, whiches, strict=True))
        for some in (present, rows.is_merge)
        for whiches in [(present, rows.is_merge)]
    ]
    everyone, merges = (np.reshape(count, (-1, rows.kind.shape[1]))[2:] for count in counts)
    return everyone, merges


Blocks = Iterable[Floats]  # each one feature [batch] or several [..., batch]
GROUPS: list[tuple[tuple[str, ...], Callable[[Rows], Blocks]]] = []


def _group(*names: str) -> Callable[[Callable[[Rows], Blocks]], Callable[[Rows], Blocks]]:
    """Name a function's features and list it in `GROUPS`."""

    def add(function: Callable[[Rows], Blocks]) -> Callable[[Rows], Blocks]:
        GROUPS.append((names, function))
        return function

    return add


@_group(
    *(f"{what} on a path: {some}" for what in ("most", "least", "between least and most") for some in COUNTED),
    "no path",
    *(f"mean on a path, by {weight}: {what}" for weight in WEIGHTS for what in AVERAGED),
    *(f"deviation of steps, by {weight}" for weight in WEIGHTS),
    *(f"log {weight}" for weight in WEIGHTS),
)
def on_paths(rows: Rows) -> Blocks:
    """What the paths are like: the most, the least and the mean of something on one; 0 where there is no path.

    The weights of all paths together are their number, the variance of the output, the gain from input to output.
    """
    ends = most_and_least(rows).T
    is_alive = ends[0] > NEVER / 2
    most, least = _root(ends[: len(COUNTED)] * is_alive), _root(-ends[len(COUNTED) :] * is_alive)
    yield most
    yield least
    yield most - least
    yield 1.0 - is_alive
    weight, mean, deviation = weighted(rows)
    yield _root(mean.transpose(1, 2, 0) * is_alive)
    yield _root(deviation.T * is_alive)
    yield LOG_SCALE * weight.T * is_alive


@_group(
    *(f"count: {step} that reads {read}" for step, read in product((*STEPS, "output"), READS)),
    *(f"count: {step} that reads nothing else" for step in STEPS),
    *(f"count: {last} that reads {one} that reads {two}" for last, one, two in product(STEPS, STEPS, READS)),
    *(f"count: merge of {kind}" for kind in ("two", "two steps' results", "a merge")),
    *(f"count: read by {number}" for number in ("two", "three or more")),
    *(f"count: {step} that a merge reads" for step in STEPS),
    "most readers",
)
def wiring(rows: Rows) -> Blocks:
    """Which steps read which, what merges read, and how many rows read a row."""
    reads, pairs, passed = step_reads(rows)
    in_all = reads.sum(2)
    yield _root(np.einsum("srb,rbk->skb", rows.steps, reads))
    yield _root(rows.last(passed).T)
    yield _root((rows.steps * (in_all <= 1)).sum(1))
    yield _root(np.einsum("srb,rbk->skb", rows.steps, pairs))

    everyone, merges = readers(rows)
    yield _root(rows.is_merge.sum(0))
    yield _root((rows.is_merge & (in_all == 2)).sum(0))
    yield _root((rows.is_merge & (merges > 0)).sum(0))
    yield _root(np.array([(everyone == 2).sum(0), (everyone > 2).sum(0)]))
    is_single = ((passed == 1) & (passed.sum(2, keepdims=True) == 1)).reshape(-1, len(READS))
    operands = (is_single[rows.places].sum(0) * rows.is_merge[:, :, None]).sum(0)
    yield _root(operands.T[1:])
    yield _root(everyone.max(0))


@_group(*(f"count: {what}, {stage}" for what in ("merge", "grouped conv", "pool") for stage in STAGES))
def by_stage(rows: Rows) -> Blocks:
    """How many there are on maps of each stage."""
    low, high = np.array([*STAGES.values()]).T[:, :, None, None]
    is_within = (rows.area > low) & (rows.area <= high)
    for which in (rows.is_merge, rows.is_grouped, rows.steps[STEPS.index("pool")] > 0):
        yield _root((which & is_within).sum(1))


GRAPH_FEATURES = tuple(name for names, _ in GROUPS for name in names)


def is_graph(codes: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return which networks are no chains [batch]."""
    return np.asarray((codes[:, :, _BACK] > (1, 0)).any(axis=(1, 2)))


def graph_features(codes: NDArray[np.int32], lengths: NDArray[np.int32], image: Shape) -> NDArray[np.float64]:
    """Return `GRAPH_FEATURES` of each network, float64 [batch, features]; arguments are as in `features.attributes`."""
    rows, batch = rows_of(codes, lengths, image), len(lengths)
    blocks = [np.asarray(block).reshape(-1, batch) for _, group in GROUPS for block in group(rows)]
    return np.concatenate(blocks, dtype=np.float64).T


def _root(counts: Floats) -> Floats:
    return ROOT_SCALE * np.sqrt(counts)
