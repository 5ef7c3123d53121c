"""Which of some candidates is predicted best."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import RequestError
from ..model.network.graph import sources_of
from ..model.network.schema import LAYERS
from ..predictions import Predictions
from ..predictor import Predictor
from .guard import Guard
from .rule import Layers, NetworkOf


class Screening:
    """Predicts the networks of configurations.

    Args:
        predictor: a `Client`, or what `load` returns.
        network: gives the layers of a configuration; `None`, or an error, for one that makes no network.
        task: which predictor; optional where there is one.
        options: of `predict`. By default ranks penalise what is out of distribution.
    """

    def __init__(self, predictor: Predictor, network: NetworkOf, task: str | None = None, **options: Any) -> None:
        self._guard = Guard(
            predictor, requests=3
        )  # the service's limits, the networks, and once more those that can be predicted
        self._network = network
        self._options = {"task": task, "out_of_distribution": "penalise", **options}

    def predict(self, configurations: Sequence[Mapping[str, Any]]) -> tuple[list[int], Predictions | None]:
        """Return which configurations have a network, and the predictions of these; `None` without an answer."""
        layers = {place: self._layers(one) for place, one in enumerate(configurations)}
        known = [place for place, one in layers.items() if one is not None]
        found = self._guard.ask(lambda predictor: self._ask(predictor, known, layers)) if known else None
        return (known, None) if found is None else found

    def best(self, configurations: Sequence[Mapping[str, Any]]) -> int:
        """Return the place of the configuration that is predicted best; without an answer, of the first network."""
        known, predictions = self.predict(configurations)
        best = predictions.top(1) if predictions is not None else ()
        return known[best[0].index if best else 0] if known else 0

    def _ask(
        self, predictor: Predictor, known: list[int], layers: Mapping[int, Layers | None]
    ) -> tuple[list[int], Predictions]:
        networks: Any = [layers[place] for place in known]
        try:
            return known, predictor.predict(networks, **self._options)
        except RequestError as error:
            parts = [fault.pointer.split("/") for fault in error.faults]
            wrong = {int(part[2]) for part in parts if part[1:2] == ["architectures"] and part[2:3] != []}
            left = [place for index, place in enumerate(known) if index not in wrong]
            if not wrong or not left:
                raise
            self._guard.warn("rejected", f"some candidates cannot be predicted: {error}")
            return left, predictor.predict([layers[place] for place in left], **self._options)  # type: ignore[misc]

    def _layers(self, configuration: Mapping[str, Any]) -> Layers | None:
        try:
            layers = self._network(configuration)
            return None if layers is None else checked(layers)
        except Exception as error:  # such a candidate is not chosen
            self._guard.warn("network", f"some candidates make no network: {error!r}")
            return None


def checked(layers: Layers) -> Layers:
    """Return layers of the form.

    Raises:
        ValueError: when they are of another form, or not connected.
    """
    found = LAYERS.validate_python([dict(layer) for layer in layers])
    sources_of(found)
    return found
