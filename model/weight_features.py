"""A trained network's weights as features (Unterthiner et al., arXiv 2002.11448): statistics of each tensor, lined up.

Networks differ in depth, so the statistics of the first and last weight tensors stand by themselves, and those of all
are summarised. Only numpy is needed; nothing here knows how the tensors were stored.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
STATISTICS = ("mean", "variance", *(f"quantile_{int(100 * q)}" for q in QUANTILES))
ENDS = 3
PLACES = tuple(f"first_{i + 1}" for i in range(ENDS)) + tuple(f"last_{i + 1}" for i in range(ENDS))
KINDS = ("weight", "bias")
SUMMARIES = ("mean", "std", "min", "max")
FEATURES = (
    "tensors",
    *(f"{kind}.{place}.{name}" for kind in KINDS for place in PLACES for name in STATISTICS),
    *(f"{kind}.{summary}.{name}" for kind in KINDS for summary in SUMMARIES for name in STATISTICS),
)

Floats = NDArray[np.floating]
Statistics = Mapping[str, Sequence[float]]


def tensor_statistics(tensors: Mapping[str, Floats]) -> dict[str, list[float]]:
    """Return mean, variance and quantiles of each tensor, in the order of `STATISTICS`.

    Raises:
        ValueError: naming the tensors that are empty or hold values that are not finite.
    """
    found, bad = {}, []
    for name, tensor in tensors.items():
        values = np.asarray(tensor, dtype=np.float64).ravel()
        if not values.size or not np.isfinite(values).all():
            bad.append(name)
            continue
        found[name] = [float(values.mean()), float(values.var()), *np.quantile(values, QUANTILES).tolist()]
    if bad:
        raise ValueError(f"tensors that are empty or hold values that are not finite: {', '.join(sorted(bad)[:5])}")
    return found


def natural_order(name: str) -> tuple[bool, list[tuple[int, str]]]:
    """Sort key: layer2 before layer10, the classifier (`head`, `fc`, `classifier`) last."""
    parts = re.findall(r"\d+|\D+", name)
    is_head = not {"head", "fc", "classifier", "output"}.isdisjoint(name.split("."))
    return is_head, [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _squash(values: Floats) -> Floats:
    """Bring variances of very different sizes to one scale, signs kept."""
    return np.asarray(np.sign(values) * np.log1p(1e3 * np.abs(values)))


def features(statistics: Statistics) -> Floats:
    """Return one row of features, float64 [len(FEATURES)], in the order of `FEATURES`.

    Args:
        statistics: by tensor name, as `tensor_statistics` or a measured row's `weight_stats` has them. Tensors whose
            name ends in `weight` or `bias` count; the order is that of the layer numbers in the names.

    Raises:
        ValueError: when there is no `weight` tensor.
    """
    row: list[Floats] = []
    names = sorted(statistics, key=natural_order)
    count = 0
    for kind in KINDS:
        table: Floats = np.array([statistics[name] for name in names if name.split(".")[-1] == kind], dtype=np.float64)
        if kind == "weight":
            count = len(table)
            if not count:
                raise ValueError("no tensor whose name ends in 'weight': these are not a network's weights")
        table = _squash(table) if len(table) else np.zeros((1, len(STATISTICS)))
        index = [min(i, len(table) - 1) for i in range(ENDS)] + [max(len(table) - 1 - i, 0) for i in range(ENDS)]
        row.append(table[index].ravel())
        row.append(np.concatenate([table.mean(0), table.std(0), table.min(0), table.max(0)]))
    ends, sums = [row[0], row[2]], [row[1], row[3]]
    return np.concatenate([[np.log1p(count)], *ends, *sums])
