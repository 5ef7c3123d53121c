"""Predictors in this process: what the service answers, without a service."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import RequestError, ServiceError
from .exchange import Call
from .model.artifact import ZOO, ArtifactError, read_artifact, shipped
from .model.loaded import Model, load_model
from .model.network.faults import Fault
from .model.network.schema import MAX_ARCHITECTURES, MAX_LAYERS
from .model.requests.curves import every_epoch, predict_curves, untrained_curves
from .model.requests.errors import InvalidRequestError, parse
from .model.requests.in_context import InContext
from .model.requests.predict import answer, read_call
from .model.requests.schema import PREDICT_REQUEST, PredictRequest
from .model.requests.stop import decide, parse_stop, read_question
from .predictor import Predictor

LIMITS = {"max_architectures": MAX_ARCHITECTURES, "max_layers": MAX_LAYERS}


class LocalPredictor(Predictor):
    """Loaded artifacts; `peephole.load` returns it.

    A pickled one holds where the artifacts are, and loads them again.
    """

    def __init__(self, *artifacts: str | Path, threads: int = 1) -> None:
        self._folders = [find_artifact(one) for one in artifacts] if artifacts else shipped()
        self._threads = threads
        self._models: dict[str, Model] = {}
        for folder in self._folders:
            model = load_model(read_artifact(folder), threads=threads, weights=False)
            if model.card.task in self._models:
                raise ArtifactError(f"{folder}: task {model.card.task} is loaded twice")
            self._models[model.card.task] = model
        self._in_context = InContext()

    def __repr__(self) -> str:
        return f"<peephole.LocalPredictor of {', '.join(self._models)}>"

    def __getstate__(self) -> dict[str, Any]:
        # another machine has what ships elsewhere
        names = [one.name if one.parent == ZOO else str(one) for one in self._folders]
        return {"artifacts": names, "threads": self._threads}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(*state["artifacts"], threads=state["threads"])  # type: ignore[misc]

    def _send(self, call: Call) -> Any:
        routes: dict[str, Callable[[bytes], Any]] = {
            "/info": lambda _: {"limits": LIMITS},
            "/tasks": self._tasks,
            "/predict": self._predict,
            "/stop": self._stop,
        }
        try:
            return routes[call.path](call.body or b"")
        except InvalidRequestError as error:
            raise RequestError(str(error), faults=error.faults) from None

    def _tasks(self, _: bytes) -> list[dict[str, Any]]:
        cards = [model.card for model in self._models.values()]
        return [
            {
                "task": card.task,
                "description": card.description,
                "epochs": card.epochs,
                "input": [card.image.channels, card.image.height, card.image.width],
                "version": card.version,
            }
            for card in cards
        ]

    def _predict(self, body: bytes) -> dict[str, Any]:
        document = parse(PREDICT_REQUEST, body, PredictRequest)
        if "context" in document:
            return self._in_context.answer(document, self._models, **LIMITS)[0]
        if "prior" in document:
            raise InvalidRequestError(Fault("/prior", "excluded", "only a request with a `context` has a prior"))
        call = read_call(document, self._choose(document.get("task")), **LIMITS)
        curves = predict_curves(call.model, call.networks, call.epochs)
        failed = np.flatnonzero(~np.isfinite(curves.accuracy).all(axis=1)).tolist()
        if failed:
            raise ServiceError(f"the predictor fails on networks {failed[:10]}")
        return answer(call, curves)

    def _stop(self, body: bytes) -> dict[str, Any]:
        document = parse_stop(body)
        question = read_question(document, self._choose(document.get("task")), **LIMITS)
        model = question.model
        predicted: NDArray[np.floating] = np.empty((0, model.card.epochs))
        if question.networks.known:
            predicted = untrained_curves(model, question.networks.codes, every_epoch(model)).accuracy
        return decide(question, predicted)

    def _choose(self, task: str | None) -> Model:
        """Return the predictor of a task; the only one when no task is named."""
        known = ", ".join(self._models)
        if task is None and len(self._models) == 1:
            return next(iter(self._models.values()))
        if task is None:
            raise InvalidRequestError(Fault("/task", "missing", f"several predictors are loaded; name one of: {known}"))
        if task not in self._models:
            raise InvalidRequestError(Fault("/task", "unknown-task", f"must be one of: {known}"))
        return self._models[task]


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
        known = ", ".join(names)
        raise ArtifactError(f"no predictor {str(artifact)!r}; there are {known}; or give an artifact's folder")
    return folder
