"""Published and obvious ways to predict the final accuracy, behind one interface, to compare with.

Each has `fit(curves, features)`, whole curves [networks, epochs] and a description of the networks, and
`predict(seen, features)`, the first epochs of other networks [networks, seen], which returns their final accuracies
[networks]. Methods that predict before training are given no epochs: `seen` is [networks, 0]. The description is hand
features [networks, features] (`model.encoding.features`), or layer codes [networks, layers, columns] for the
methods that read layers.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Description = NDArray[Any]


class FinalPredictor(Protocol):
    """What every baseline does."""

    def fit(self, curves: Floats, features: Description) -> None:
        """Learn from whole curves."""

    def predict(self, seen: Floats, features: Description) -> Floats:
        """Return final accuracies of networks of which the first epochs were seen."""
