"""Hand features of graphs: what the paths from the image to the output are like, in numbers of about the same size.

A step is a convolution or a pool; norms, activations and merges lie between steps. One pass along the rows of a network
keeps, for each row, figures of all paths that end there: their number, the most and the least of something on one of
them, and means over them. Each group of features is a function below the names of its columns.

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
SMALL, DEAD = 1e-30, -1e6
_COLUMN = {name: place for place, name in enumerate(EXTENDED.columns)}
_BACK = [_COLUMN[name] for name in EDGES]
_ADDS = [TYPE_IDS[name] for name in ("add", "mul", "concat")]
_CONV, _NORM, _RELU, _AVG_POOL = (TYPE_IDS[name] for name in ("conv", "batch_norm", "relu", "avg_pool"))
_POOLS = [TYPE_IDS["max_pool"], TYPE_IDS["avg_pool"]]
_GLOBAL = TYPE_IDS["global_avg_pool"]


@dataclass(slots=True)
class Paths:
    """The rows of networks, and what the paths that end at each row are like.

    Attributes:
        present: whether there is a row [rows, batch].
        steps: whether it is each of `STEPS` [steps, rows, batch].
        is_merge: whether it reads two rows [rows, batch].
        readers: how many rows read it [rows, batch].
        merges: how many of these are merges [rows, batch].
        operands: how many of the two rows that a merge reads are one step's result, by kind [steps, rows, batch].
        area: positions of the map that it reads, as a share of the image's [rows, batch].
        channels: of its map [rows, batch].
        groups: of a convolution [rows, batch].
        is_alive: whether a path leads from the image to the output [batch].
        most: of `COUNTED` on a path to the output, and `least` [counted, batch].
        log_weights: of all paths to the output together, by `WEIGHTS` [weights, batch].
        means: of `AVERAGED` over the paths to the output [weights, averaged, batch].
        deviation: of the number of steps of a path [weights, batch].
        reads: how many steps of each kind a row reads [rows, batch, reads].
        output_reads: the same of the output [batch, reads].
    """

    present: Floats
    steps: Floats
    is_merge: Floats
    readers: Floats
    merges: Floats
    operands: Floats
    area: Floats
    channels: Floats
    groups: Floats
    is_alive: NDArray[np.bool_]
    most: Floats
    least: Floats
    log_weights: Floats
    means: Floats
    deviation: Floats
    reads: Floats
    triples: Floats
    output_reads: Floats


def paths(codes: NDArray[np.int32], lengths: NDArray[np.int32], image: Shape) -> Paths:
    """Return what the paths of networks are like; codes and lengths are as in `features.attributes`."""
    columns = codes.transpose(2, 1, 0)
    kind = columns[0]
    like = STAND_INS[kind]
    kernel, channels, groups, dilation = (
        columns[_COLUMN[name]].astype(np.float32) for name in ("kernel_width", "width", "groups", "dilation")
    )
    channels_in, height_in, width_in = (
        columns[_COLUMN[name]].astype(np.float32) for name in ("channels_in", "height_in", "width_in")
    )
    kernel = (kernel + columns[_COLUMN["kernel_height"]]) / 2
    is_conv, is_merge = kind == _CONV, columns[_BACK[1]] > 0
    steps = np.array([is_conv & (kernel > 1), is_conv & (kernel <= 1), np.isin(kind, _POOLS)], dtype=np.float32)
    activation = (like == _RELU) | (like == TYPE_IDS["sigmoid"]) | (like == TYPE_IDS["tanh"])
    reach = np.maximum(kernel - 1, 0) * dilation * image.width / np.maximum(width_in, 1)
    return _along(
        columns,
        lengths,
        Paths(
            present=(kind > 0).astype(np.float32),
            steps=steps,
            is_merge=is_merge.astype(np.float32),
            readers=np.zeros(kind.shape),
            merges=np.zeros(kind.shape),
            operands=steps,
            area=height_in * width_in / (image.height * image.width),
            channels=channels,
            groups=groups,
            is_alive=np.zeros(0, dtype=bool),
            **dict.fromkeys(("most", "least", "log_weights", "means", "deviation", "reads", "triples", "output_reads"), steps),
        ),
        np.array([*steps, activation, LOG_SCALE * reach], dtype=np.float32),
        np.where(is_conv, np.sqrt(kernel**2 * channels_in / np.maximum(groups, 1)), 1.0),
    )


def _along(columns: Ints, lengths: Ints, found: Paths, own: Floats, gain: Floats) -> Paths:
    """Fill in what follows from a pass along the rows.

    Args:
        columns: of the codes [columns, rows, batch].
        lengths: [batch].
        found: to be completed.
        own: `AVERAGED` of each row [averaged, rows, batch].
        gain: of each row [rows, batch].
    """
    kind = columns[0]
    rows, batch = kind.shape
    step = found.steps.sum(0)
    subsets = [sum(found.steps[STEPS.index(name)] for name in some.split(" or ")) for some in SETS]
    counted = np.array([*subsets, *own[-2:]])
    costs = np.concatenate([counted, -counted]).transpose(1, 2, 0).copy()
    costs[kind == TYPE_IDS["zero"]] = DEAD
    moments = np.array([*own, step]).transpose(1, 2, 0)[:, :, None, :].copy()  # [rows, batch, 1, moments]

    resets = STAND_INS[kind] == _NORM
    factor = np.ones((rows, batch, len(WEIGHTS)))
    factor[:, :, 1] = np.where(kind == _AVG_POOL, 0.5, 1.0)
    factor[:, :, 2] = gain
    factor[kind == TYPE_IDS["zero"]] = SMALL
    is_concat = kind == TYPE_IDS["concat"]
    factor[:, :, 1][is_concat] = 0.5

    first = np.arange(rows)[:, None] + 2 - columns[_BACK[0]]
    first[first == 1] = 0  # the image
    second = np.where(columns[_BACK[1]] > 0, np.arange(rows)[:, None] + 2 - columns[_BACK[1]], 1)
    second[(columns[_BACK[1]] > 0) & (second == 1)] = 0
    places = np.array([first, second]) * batch + np.arange(batch)

    extreme = np.zeros((rows + 2, batch, costs.shape[2]))
    extreme[1] = 2 * DEAD
    weight = np.ones((rows + 2, batch, len(WEIGHTS)))
    weight[1] = 0
    mean = np.zeros((rows + 2, batch, len(WEIGHTS), moments.shape[3]))
    square = np.zeros((rows + 2, batch, len(WEIGHTS)))
    reads = np.zeros((rows + 2, batch, len(READS)))
    reads[0, :, 0] = 1
    emitted = np.concatenate([np.zeros((1, rows, batch)), found.steps]).transpose(1, 2, 0)
    read_by = np.zeros((rows, batch, len(READS)))
    chains = np.zeros((rows + 2, batch, len(STEPS) * len(READS)))
    flat_chains = chains.reshape(-1, chains.shape[2])
    triples = np.zeros((rows, batch, chains.shape[2]))
    kinds = found.steps.transpose(1, 2, 0)[:, :, :, None]
    flat = [array.reshape(-1, *array.shape[2:]) for array in (extreme, weight, mean, square, reads)]
    is_step = step[:, :, None] > 0
    for row in range(rows):
        one, other = places[:, row]
        np.maximum(flat[0][one], flat[0][other], out=extreme[row + 2])
        extreme[row + 2] += costs[row]
        w1, w2 = flat[1][one], flat[1][other]
        both = np.maximum(w1 + w2, 1e-280)
        share = w2 / both
        m1, m2 = flat[2][one], flat[2][other]
        here = m1 + share[:, :, None] * (m2 - m1)
        s1, s2 = flat[3][one], flat[3][other]
        spread = s1 + share * (s2 - s1) + share * (1 - share) * (m2[:, :, -1] - m1[:, :, -1]) ** 2
        mean[row + 2] = here + moments[row]
        square[row + 2] = spread
        both *= factor[row]
        both[:, 1] = np.where(resets[row], np.minimum(both[:, 1] * 1e20, 1.0), both[:, 1])
        weight[row + 2] = np.minimum(both, 1e280)
        before = flat[4][one] + flat[4][other]
        read_by[row] = before
        triples[row] = flat_chains[one] + flat_chains[other]
        made = (kinds[row] * before[:, None, :]).reshape(batch, -1)
        chains[row + 2] = np.where(is_step[row], made, triples[row])
        reads[row + 2] = np.where(is_step[row], emitted[row], before)

    last = lengths + 1, np.arange(batch)
    ends = extreme[last].T
    alive = ends[0] > DEAD / 2
    half = len(COUNTED)
    found.is_alive = alive
    found.most, found.least = ends[:half] * alive, -ends[half:] * alive
    found.log_weights = (np.log(weight[last]) * alive[:, None]).T
    found.means = (mean[last] * alive[:, None, None]).transpose(1, 2, 0)[:, :-1]
    found.deviation = (np.sqrt(square[last]) * alive[:, None]).T
    found.reads, found.output_reads, found.triples = read_by, reads[last], triples
    single = (flat[4] == 1) & (flat[4].sum(1, keepdims=True) == 1)
    found.operands = ((single[places[0]] * 1.0 + single[places[1]]) * found.is_merge[:, :, None]).transpose(2, 0, 1)[1:]
    counts = np.zeros((2, (rows + 2) * batch))
    for place, which in ((places[0], found.present > 0), (places[1], found.is_merge > 0)):
        for into, chosen in enumerate((which, which & (found.is_merge > 0))):
            counts[into] += np.bincount(place[chosen], minlength=counts.shape[1])
    found.readers, found.merges = counts.reshape(2, rows + 2, batch)[:, 2:]
    return found


Blocks = Iterable[Floats]  # each one feature [batch] or several [..., batch]
GROUPS: list[tuple[tuple[str, ...], Callable[[Paths], Blocks]]] = []


def _group(*names: str) -> Callable[[Callable[[Paths], Blocks]], Callable[[Paths], Blocks]]:
    """Name a function's features and list it in `GROUPS`."""

    def add(function: Callable[[Paths], Blocks]) -> Callable[[Paths], Blocks]:
        GROUPS.append((names, function))
        return function

    return add


@_group(
    *(f"{what} on a path: {some}" for what in ("most", "least", "between least and most") for some in COUNTED),
    "no path",
)
def extremes(found: Paths) -> Blocks:
    """The most and the least of something on a path; on the longest and shortest paths, where it is of all steps."""
    most, least = _root(found.most), _root(found.least)
    yield most
    yield least
    yield most - least
    yield ~found.is_alive


@_group(
    *(f"mean on a path, by {weight}: {what}" for weight in WEIGHTS for what in AVERAGED),
    *(f"deviation of steps, by {weight}" for weight in WEIGHTS),
    *(f"log {weight}" for weight in WEIGHTS),
)
def averages(found: Paths) -> Blocks:
    """What a path is like on average; the weights of all paths together are their number, the variance, the gain."""
    yield _root(found.means)
    yield _root(found.deviation)
    yield LOG_SCALE * found.log_weights


@_group(
    *(f"count: {step} that reads {read}" for step, read in product((*STEPS, "output"), READS)),
    *(f"count: {step} that reads nothing else" for step in STEPS),
)
def pairs(found: Paths) -> Blocks:
    """Which steps read which, through what lies between."""
    counts = np.einsum("srb,rbk->skb", found.steps, found.reads)
    yield _root(counts)
    yield _root(found.output_reads.T)
    alone = found.reads.sum(2) <= 1
    yield _root((found.steps * alone).sum(1))


@_group(*(f"count: {last} that reads {one} that reads {two}" for last, one, two in product(STEPS, STEPS, READS)))
def triples(found: Paths) -> Blocks:
    """Which steps read which that read which."""
    yield _root(np.einsum("srb,rbk->skb", found.steps, found.triples))


@_group(
    *(f"count: merge of {kind}" for kind in ("two", "two steps' results", "a merge")),
    *(f"count: read by {number}" for number in ("two", "three or more")),
    *(f"count: {step} that a merge reads" for step in STEPS),
    "most readers",
    *(f"count: {what}, {stage}" for what in ("merge", "grouped conv", "pool") for stage in STAGES),
)
def degrees(found: Paths) -> Blocks:
    """How many rows read a row, and how many a row reads."""
    merges = found.is_merge
    yield _root(merges.sum(0))
    yield _root((merges * (found.reads.sum(2) == 2)).sum(0))
    yield _root((merges * (found.merges > 0)).sum(0))
    yield _root(np.array([(found.readers == 2).sum(0), (found.readers > 2).sum(0)]))
    yield _root(found.operands.sum(1))
    yield _root(found.readers.max(0))
    low, high = np.array([*STAGES.values()]).T[:, :, None, None]
    within = (found.area > low) & (found.area <= high)
    for values in (merges, found.steps[:2].sum(0) * (found.groups > 1), found.steps[2]):
        yield _root((values * within).sum(1))


GRAPH_FEATURES = tuple(name for names, _ in GROUPS for name in names)


def is_graph(codes: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return which networks are no chains [batch]."""
    return np.asarray((codes[:, :, _BACK] > (1, 0)).any(axis=(1, 2)))


def graph_features(codes: NDArray[np.int32], lengths: NDArray[np.int32], image: Shape) -> NDArray[np.float64]:
    """Return `GRAPH_FEATURES` of each network, float64 [batch, features]; arguments are as in `features.attributes`."""
    found, batch = paths(codes, lengths, image), len(lengths)
    blocks = [np.asarray(block).reshape(-1, batch) for _, group in GROUPS for block in group(found)]
    return np.concatenate(blocks, dtype=np.float64).T


def _root(counts: Floats) -> Floats:
    return ROOT_SCALE * np.sqrt(counts)
