"""Boosted regression trees in plain numpy: what was fitted elsewhere is stored as complete binary trees."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
BATCH = 64  # networks at a time


@dataclass(frozen=True)
class BoostedTrees:
    """A sum of trees for each output. Node i of a tree has the children 2i + 1 and 2i + 2.

    Attributes:
        feature: which feature a node reads [trees of all outputs, nodes].
        threshold: a network goes left where its feature is not above it; same shape.
        leaf: what a tree adds [trees of all outputs, nodes + 1].
        start: of each output, before any tree [outputs].
    """

    feature: NDArray[np.int16]
    threshold: NDArray[np.float32]
    leaf: NDArray[np.float32]
    start: Floats

    def predict(self, features: Floats) -> Floats:
        """Return the outputs [batch, outputs] of features [batch, features]."""
        parts = [features[start : start + BATCH] for start in range(0, len(features), BATCH)]
        return np.concatenate([self._predict(part.astype(np.float32)) for part in parts])

    def _predict(self, features: NDArray[np.float32]) -> Floats:
        trees, nodes = self.feature.shape
        at = np.zeros((len(features), trees), dtype=np.intp)
        first = np.arange(trees) * nodes
        for _ in range((nodes + 1).bit_length() - 1):
            place = first + at
            is_above = np.take_along_axis(features, self.feature.ravel()[place], 1) > self.threshold.ravel()[place]
            at = 2 * at + 1 + is_above
        found = self.leaf[np.arange(trees), at - nodes].astype(np.float64)
        return np.asarray(found.reshape(len(features), len(self.start), -1).sum(axis=2) + self.start)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the fitted numbers as named arrays."""
        return {
            "tree_feature": self.feature,
            "tree_threshold": self.threshold,
            "tree_leaf": self.leaf,
            "tree_start": self.start,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "BoostedTrees":
        """Undo `arrays`.

        Raises:
            KeyError: when one is missing.
        """
        return cls(arrays["tree_feature"], arrays["tree_threshold"], arrays["tree_leaf"], arrays["tree_start"])
