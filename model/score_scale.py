"""Zero-cost scores as normal quantiles of their ranks: units and outliers do not matter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class ScoreScale:
    """The ranks of scores among known networks; between them it is interpolated, beyond them it is constant.

    Attributes:
        names: of the scores.
        values: of each score among the known networks, increasing.
        quantiles: of the normal distribution, for each of `values`; equal values share the mean of theirs.
    """

    names: tuple[str, ...]
    values: tuple[Floats, ...]
    quantiles: tuple[Floats, ...]

    @classmethod
    def of(cls, known: Sequence[Mapping[str, float]]) -> "ScoreScale":
        """Return the scale of the scores that all of some networks have."""
        shared = set(known[0]).intersection(*known[1:]) if known else set()
        names = tuple(sorted(shared))
        shares = ndtri((np.arange(len(known)) + 0.5) / max(len(known), 1))
        values, quantiles = [], []
        for name in names:
            distinct, group = np.unique(np.sort([one[name] for one in known]), return_inverse=True)
            values.append(distinct)
            quantiles.append(np.bincount(group, weights=shares) / np.bincount(group))
        return cls(names, tuple(values), tuple(quantiles))

    def __call__(self, scores: Sequence[Mapping[str, float]]) -> Floats:
        """Scale the scores of networks, each of which has all of them [networks, scores]."""
        columns = [
            np.interp([one[name] for one in scores], values, quantiles)
            for name, values, quantiles in zip(self.names, self.values, self.quantiles, strict=True)
        ]
        return np.array(columns).reshape(len(self.names), len(scores)).T
