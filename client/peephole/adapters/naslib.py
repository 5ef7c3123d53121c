"""A predictor in NASLib's form: `fit` and `query`, for code written against it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..client import Client
from ..predictor import Predictor
from .rule import Layers, NetworkOf
from .screening import Screening

LEAST, MOST = 3, 1000  # networks of a context


class PeepholePredictor:
    """Answers `query` with predicted final accuracies.

    With a `Client`, the networks of `fit` are the context of the predictions: these are then for their data set.

    Args:
        predictor: a `Client`, or what `load` returns.
        network: gives the layers of an architecture; layers by default.
        task: which predictor; optional where there is one. Without it, and with a `Client` and `input`, `fit` counts.
        input: channels, height and width of the images of the context.
        percent: whether accuracies are from 0 to 100, as NASLib's are.
    """

    def __init__(
        self,
        predictor: Predictor,
        network: NetworkOf | None = None,
        task: str | None = None,
        *,
        input: Sequence[int] | None = None,  # noqa: A002 - the request's name for it
        percent: bool = True,
    ) -> None:
        self._predictor, self._task, self._input = predictor, task, input
        self._network, self._scale = network or _layers, 100.0 if percent else 1.0
        self._screening = Screening(predictor, self._network, task, input=input)
        self._mean = 0.0

    def pre_process(self) -> None:
        """Do nothing: there is nothing to prepare."""

    def pre_compute(self, xtrain: Any, xtest: Any, unlabeled: Any = None) -> None:
        """Do nothing: networks are encoded as they come."""

    def get_data_reqs(self) -> dict[str, Any]:
        """Return what the predictor needs beside architectures: nothing."""
        return {"requires_partial_lc": False, "metric": None, "requires_hyperparameters": False, "hyperparams": None}

    def fit(self, xtrain: Sequence[Any], ytrain: Sequence[float], train_info: Any = None, **_: Any) -> None:
        """Take measured networks as the context of predictions, the last thousand of them."""
        del train_info
        accuracies = np.asarray(ytrain, dtype=np.float64) / self._scale
        self._mean = float(accuracies.mean()) if len(accuracies) else 0.0
        measured = [
            {"layers": self._network(one), "accuracy": float(accuracy)}
            for one, accuracy in zip(xtrain, accuracies, strict=True)
        ]
        has_context = isinstance(self._predictor, Client) and self._input is not None and self._task is None
        context = {"context": measured[-MOST:]} if has_context and len(measured) >= LEAST else {}
        self._screening = Screening(self._predictor, self._network, self._task, input=self._input, **context)

    def query(self, xtest: Sequence[Any], info: Any = None) -> NDArray[np.float64]:
        """Return predicted accuracies [networks]; without an answer, the mean of those that were fitted to."""
        del info
        found = np.full(len(xtest), self._mean)
        known, predictions = self._screening.predict(list(xtest))
        for place, one in zip(known, predictions or (), strict=False):
            found[place] = one.final_accuracy
        return found * self._scale


def _layers(architecture: Any) -> Layers:
    return architecture  # type: ignore[no-any-return]
