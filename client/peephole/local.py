"""A predictor in this process: what the service answers, without a service."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import RequestError, ServiceError
from .exchange import Call
from .model.artifact import ZOO, ArtifactError, Card, read_artifact, shipped
from .model.loaded import load_model
from .model.network.faults import Fault
from .model.network.schema import MAX_ARCHITECTURES, MAX_LAYERS
from .model.requests.curves import every_epoch, predict_curves, untrained_curves
from .model.requests.errors import InvalidRequestError, parse
from .model.requests.predict import answer, read_call
from .model.requests.schema import PREDICT_REQUEST, PredictRequest
from .model.requests.stop import decide, parse_stop, read_question
from .predictor import Predictor


class LocalPredictor(Predictor):
    """A loaded artifact; `peephole.load` returns it.

    A pickled one holds where the artifact is, and loads it again.

    Attributes:
        card: the task, its epochs and images, and how good the predictor is.
    """

    def __init__(self, artifact: str | Path, *, threads: int = 1) -> None:
        self._folder = find_artifact(artifact)
        self._threads = threads
        self._model = load_model(read_artifact(self._folder), threads=threads, weights=False)

    @property
    def card(self) -> Card:
        """The artifact's card."""
        return self._model.card

    def __repr__(self) -> str:
        return f"<peephole.LocalPredictor of {self.card.task}>"

    def __getstate__(self) -> dict[str, Any]:
        name = self._folder.name if self._folder.parent == ZOO else None  # another machine has it elsewhere
        return {"artifact": name or str(self._folder), "threads": self._threads}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["artifact"], threads=state["threads"])  # type: ignore[misc]

    def _send(self, call: Call) -> Any:
        if call.path == "/info":
            return {"limits": {"max_architectures": MAX_ARCHITECTURES}}
        try:
            return (self._predict if call.path == "/predict" else self._stop)(call.body or b"")
        except InvalidRequestError as error:
            raise RequestError(str(error), faults=error.faults) from None

    def _predict(self, body: bytes) -> dict[str, Any]:
        document = parse(PREDICT_REQUEST, body, PredictRequest)
        self._check_task(document.get("task"))
        call = read_call(document, self._model, max_architectures=len(body), max_layers=MAX_LAYERS)
        curves = predict_curves(self._model, call.networks, call.epochs)
        failed = np.flatnonzero(~np.isfinite(curves.accuracy).all(axis=1)).tolist()
        if failed:
            raise ServiceError(f"the predictor fails on networks {failed[:10]}")
        return answer(call, curves)

    def _stop(self, body: bytes) -> dict[str, Any]:
        document = parse_stop(body)
        self._check_task(document.get("task"))
        question = read_question(document, self._model, max_architectures=len(body), max_layers=MAX_LAYERS)
        predicted: NDArray[np.floating] = np.empty((0, self.card.epochs))
        if question.networks.known:
            predicted = untrained_curves(self._model, question.networks.codes, every_epoch(self._model)).accuracy
        return decide(question, predicted)

    def _check_task(self, task: str | None) -> None:
        if task not in {None, self.card.task}:
            raise InvalidRequestError(Fault("/task", "unknown-task", f"must be one of: {self.card.task}"))


def find_artifact(artifact: str | Path) -> Path:
    """Return the folder of a shipped task, or a given folder.

    Raises:
        ArtifactError: when it is neither.
    """
    names = [folder.name for folder in shipped()]
    if str(artifact) in names:
        return ZOO / str(artifact)
    folder = Path(artifact).absolute()
    if not folder.is_dir():
        raise ArtifactError(
            f"no predictor {str(artifact)!r}; there are {', '.join(names)}; or give an artifact's folder"
        )
    return folder
