"""The paper's predictor as an artifact: its network predicts accuracies, and numpy how far they are to be trusted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .calibration import StandardisedPrediction
from .ensemble import RunNetwork
from .gaussian_process import squared_distances

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class PaperLSTM:
    """A network that reads layers one after the other; the distance is to the nearest structural feature of the fit.

    Attributes:
        structures: structural features of the networks that it is fitted to [networks, features].
    """

    structures: Floats

    # The network's inputs: codes, layers of each network, epochs from 1. Its outputs: curves [batch, epochs], and
    # structural features [batch, features].
    INPUTS: ClassVar = ("codes", "lengths", "epochs")
    OUTPUTS: ClassVar = ("curves", "structures")

    def predict(
        self, run: RunNetwork, codes: NDArray[np.int32], lengths: NDArray[np.int32], index: NDArray[np.integer[Any]]
    ) -> StandardisedPrediction:
        """Predict the epochs at the 0-based index; codes and lengths are those of `model.runtime`."""
        curves, structures = run({"codes": codes, "lengths": lengths, "epochs": index + 1})
        nearest = squared_distances(structures.astype(np.float64), self.structures).min(axis=1)
        return StandardisedPrediction(curves, np.zeros_like(curves), np.sqrt(nearest / structures.shape[1]))

    def arrays(self) -> dict[str, Floats]:
        """Return the fitted numbers as named arrays."""
        return {"structures": self.structures}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Floats]) -> "PaperLSTM":
        """Undo `arrays`.

        Raises:
            KeyError: when one is missing.
        """
        return cls(arrays["structures"])
