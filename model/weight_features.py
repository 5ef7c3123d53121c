"""A trained network's weights as features (Unterthiner et al., arXiv 2002.11448): statistics of each tensor, lined up.

Networks differ in depth and in kinds of layers. Tensors are therefore sorted by what they are (weights, the biases of
those, scales and shifts of normalisation), weights are measured in the standard deviation they start from (He et al.,
arXiv 1502.01852). As a summary, the first and last tensors of each kind stand by themselves, and those of all are
described together; besides, there are the layers one by one. Only numpy is needed; nothing here knows how the tensors
were stored.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .tensor_names import named, natural_order

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
KINDS = ("weight", "bias", "scale", "shift")
STATISTICS = (
    *("log_deviation", "log_spread", "log_largest", "log_mean", "mean", "spread"),
    *("least", "median", "most", "range", "peak", "skew", "offset", "log_fan_in"),
)
ENDS = 3
PLACES = tuple(f"first_{i + 1}" for i in range(ENDS)) + tuple(f"last_{i + 1}" for i in range(ENDS))
SUMMARIES = ("mean", "std", "min", "max", "median", "slope", "step")
FEATURES = (
    *(f"{kind}.tensors" for kind in KINDS),
    *(f"{kind}.{place}.{name}" for kind in KINDS for place in (*PLACES, *SUMMARIES) for name in STATISTICS),
)
LAYER_STATISTICS = (
    *(f"weight.{name}" for name in STATISTICS),
    *(f"bias.{name}" for name in STATISTICS),
    "normalisation",
)
ABSENT = -20.0
LARGEST = 1e38
"""What single precision holds; squares of more would soon be endless."""
_TINY = 1e-12
_SINGLE_ROUNDING, _COARSE_ROUNDING = 1e-5, 1e-2
_NORMAL_SPREAD = 1.349
"""Interquartile range of a normal distribution, in standard deviations."""

Floats = NDArray[np.floating]
Statistics = Mapping[str, Sequence[float]]


class FeaturesError(ValueError):
    """Tensors that nothing can be read of; the message, which is meant for the client, says why."""


@dataclass(frozen=True)
class Weights:
    """What is read of a network.

    Attributes:
        statistics: by tensor name, as `tensor_statistics` or a measured row's `weight_stats` has them.
        fan_in: by name of each `weight` tensor, the inputs of a unit, 0 for normalisation (`fan_ins`).
        notes: what was not read.
    """

    statistics: Statistics
    fan_in: Mapping[str, int]
    notes: tuple[str, ...] = ()

    @cached_property
    def described(self) -> list[tuple[str, str, list[float]]]:
        """Layer, kind and `STATISTICS` of each tensor, in the order of the layer numbers in the names.

        Tensors whose name ends in `weight` or `bias` count.

        Raises:
            FeaturesError: when there is no `weight` tensor.
        """
        found = []
        names = [name for name in self.statistics if name.rpartition(".")[2] in ("weight", "bias")]
        names.sort(key=natural_order)
        classifier = names[-1].rpartition(".")[0] if names else ""
        for name in names:
            layer, _, last = name.rpartition(".")
            fan_in = self.fan_in.get(f"{layer}.weight" if layer else "weight", 0)
            kind = (("weight", "bias") if fan_in else ("scale", "shift"))[last == "bias"]
            values = self.statistics[name]
            if kind == "bias" and layer == classifier:
                values = _without_rounding(values)
            found.append((layer, kind, _described(values, kind, fan_in)))
        if not any(kind == "weight" for _, kind, _ in found):
            raise FeaturesError("no tensor of a layer whose name ends in 'weight': these are not a network's weights")
        return found


def tensor_statistics(tensors: Mapping[str, Floats]) -> dict[str, list[float]]:
    """Return mean, variance and `QUANTILES` of each tensor, in that order.

    Raises:
        FeaturesError: naming tensors that are empty or hold values that are not finite or absurd.
    """
    found, bad = {}, []
    for name, tensor in tensors.items():
        values = np.asarray(tensor, dtype=np.float64).ravel()
        if _is_usable(values):
            found[name] = [float(values.mean()), float(values.var()), *np.quantile(values, QUANTILES).tolist()]
        else:
            bad.append(name)
    _reject(bad)
    return found


def check_values(tensors: Mapping[str, Floats]) -> None:
    """Reject tensors that are empty or hold values that are not finite or absurd.

    Raises:
        FeaturesError: naming them.
    """
    _reject([name for name, tensor in tensors.items() if not _is_usable(np.asarray(tensor, dtype=np.float64))])


def _is_usable(values: Floats) -> bool:
    return bool(values.size and np.abs(values).max() <= LARGEST)  # not so for NaN either


def _reject(bad: Sequence[str]) -> None:
    if bad:
        raise FeaturesError(
            f"tensors that are empty or hold values that are not finite or over {LARGEST:g}: {named(bad)}"
        )


def fan_ins(shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Return the inputs of a unit for each `weight` tensor, [out, in, ...]; 0 for normalisation, [channels]."""
    return {
        name: math.prod(shape[1:]) if len(shape) > 1 else 0
        for name, shape in shapes.items()
        if name.split(".")[-1] == "weight"
    }


def _log(value: float) -> float:
    return math.log(max(abs(value), _TINY))


def _without_rounding(values: Sequence[float]) -> Sequence[float]:
    """Return a classifier's biases with the mean of single precision where a coarser format's rounding made it.

    Training keeps their mean at 0, but for rounding: up to 1e-5 of their size in single precision, 1e-3 in bfloat16 or
    after quantisation. Predictors read its logarithm.
    """
    mean, variance, *rest = values
    size = math.sqrt(max(variance, 0.0) + mean**2)
    if _SINGLE_ROUNDING * size < abs(mean) < _COARSE_ROUNDING * size:
        return [mean * _SINGLE_ROUNDING / _COARSE_ROUNDING, variance, *rest]
    return values


def _described(values: Sequence[float], kind: str, fan_in: int) -> list[float]:
    """Return one tensor's `STATISTICS`, from mean, variance and quantiles.

    Weights are in units of the deviation they start from, scales are taken less the 1 that they start from.
    """
    unit = math.sqrt(2 / fan_in) if kind == "weight" else 1.0
    start = 1.0 if kind == "scale" else 0.0
    mean, least, low, median, high, most = ((v - start) / unit for v in (values[0], *values[2:]))
    deviation = math.sqrt(max(values[1], 0.0)) / unit
    spread, safe = (high - low) / _NORMAL_SPREAD, max(deviation, _TINY)
    logs = [_log(deviation), _log(spread), _log(max(abs(least), abs(most))), _log(mean)]
    shape = [(most - least) / safe, spread / safe, (most + least) / safe, mean / safe]
    return [*logs, mean, spread, least, median, most, *shape, math.log(max(fan_in, 1))]


def _lined_up(table: Floats) -> Floats:
    """Return the tensors of one kind [tensors, statistics] as one row: the ends, then the summaries."""
    count = len(table)
    index = [min(i, count - 1) for i in range(ENDS)] + [max(count - 1 - i, 0) for i in range(ENDS)]
    depth = np.linspace(-1, 1, count)[:, None] if count > 1 else np.zeros((1, 1))
    slope = (table * depth).sum(0) / max(float((depth**2).sum()), _TINY)
    step = np.abs(np.diff(table, axis=0)).max(0) if count > 1 else np.zeros(table.shape[1])
    sums = [table.mean(0), table.std(0), table.min(0), table.max(0), np.median(table, axis=0), slope, step]
    return np.concatenate([table[index].ravel(), *sums])


def features(weights: Weights) -> Floats:
    """Return one row of features, float64 [len(FEATURES)], in the order of `FEATURES`.

    Raises:
        FeaturesError: when there is no `weight` tensor.
    """
    tables: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
    for _, kind, described in weights.described:
        tables[kind].append(described)
    nothing = np.full((len(PLACES) + len(SUMMARIES)) * len(STATISTICS), ABSENT)
    rows = [_lined_up(np.array(tables[kind])) if tables[kind] else nothing for kind in KINDS]
    return np.concatenate([[float(len(tables[kind])) for kind in KINDS], *rows])


def layer_statistics(weights: Weights) -> Floats:
    """Return the layers one by one, float64 [layers, len(LAYER_STATISTICS)]; what a layer does not have is 0.

    Raises:
        FeaturesError: when there is no `weight` tensor.
    """
    rows: dict[str, Floats] = {}
    for layer, kind, described in weights.described:
        row = rows.setdefault(layer, np.zeros(len(LAYER_STATISTICS)))
        first = 0 if kind in ("weight", "scale") else len(STATISTICS)
        row[first : first + len(STATISTICS)] = described
        row[-1] = kind in ("scale", "shift")
    return np.stack(list(rows.values()))
