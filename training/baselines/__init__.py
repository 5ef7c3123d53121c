"""Published ways to predict the final accuracy from the first epochs, behind one interface, to compare with.

Each has `fit(curves, features)`, whole curves [networks, epochs] and features of the networks [networks, features],
and `predict(seen, features)`, the first epochs of other networks [networks, seen], which returns their final accuracies
[networks].
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


class FinalPredictor(Protocol):
    """What every baseline does."""

    def fit(self, curves: Floats, features: Floats) -> None:
        """Learn from whole curves."""

    def predict(self, seen: Floats, features: Floats) -> Floats:
        """Return final accuracies of networks of which the first epochs were seen."""
