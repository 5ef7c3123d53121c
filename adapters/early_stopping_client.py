"""Early-stopping clients: how probable it is that a run ends at or below the best so far.

`InProcess` loads an artifact, `Service` sends requests to a running service.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from pydantic import TypeAdapter

from model.artifact import ZOO, ArtifactError, read_artifact
from model.continuation import read_continuation
from model.encoding.layer_code import encode
from model.network.schema import Layer
from model.runtime import Predictor

Layers = Sequence[dict[str, Any]]
_LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
SECONDS = 10.0


class EarlyStoppingClient(Protocol):
    """Continues curves of one task."""

    def below(self, observed: Sequence[float], best: float, layers: Layers | None = None) -> float:
        """Return the probability that a run ends at or below `best`.

        Args:
            observed: accuracies after epochs 1, 2, ..., each from 0 to 1.
            best: best final accuracy so far.
            layers: the network, as in `POST /predict`; without it the curve alone decides.
        """


class InProcess:
    """An artifact loaded into this process; needs onnxruntime, no service.

    Args:
        artifact: an artifact's folder, or the name of a task whose predictor ships.

    Raises:
        ArtifactError: when there is no such artifact, or it has nothing to continue its predictor's curves with.
    """

    def __init__(self, artifact: Path | str) -> None:
        folder = Path(artifact)
        if not folder.exists() and (ZOO / str(artifact)).exists():
            folder = ZOO / str(artifact)
        loaded = read_artifact(folder)
        continuation = read_continuation(folder)
        if continuation is None:
            raise ArtifactError(f"{folder} cannot predict during training; fit that with `peephole fit-continuation`")
        if continuation.card.predictor_sha256 != loaded.card.sha256:
            raise ArtifactError(
                f"the continuation of {folder} belongs to another predictor; refit it with `peephole fit-continuation`"
            )
        self.epochs = loaded.card.epochs
        self._card, self._continuation = loaded.card, continuation
        self._predictor = Predictor(loaded)
        self._priors: dict[str, np.ndarray[Any, np.dtype[np.float32]]] = {}

    def below(self, observed: Sequence[float], best: float, layers: Layers | None = None) -> float:
        """Return the probability that a run ends at or below `best`; see `EarlyStoppingClient`.

        Raises:
            ValueError: when the curve is empty, longer than the task's, or holds anything but numbers from 0 to 1.
        """
        prior = None if layers is None else self._prior(layers)
        return float(self._continuation.run([observed], prior=prior, best=best).below[0])

    def _prior(self, layers: Layers) -> "np.ndarray[Any, np.dtype[np.float32]]":
        key = repr(layers)
        if key not in self._priors:
            codes = encode(_LAYERS.validate_python(list(layers)), self._card.layer_code, self._card.image).codes
            lengths = np.array([len(codes)], dtype=np.int32)
            self._priors[key] = self._predictor.run(codes[None], lengths, range(1, self.epochs + 1)).accuracy
        return self._priors[key]


class Service:
    """A running service; needs the `client` extra.

    Args:
        url: where it listens, such as `http://localhost:8000`.
        task: which predictor; optional when the service has one.
        key: API key, where the service requires one.
        client: an `httpx2.Client` of your own, for proxies, retries or tests.
    """

    def __init__(self, url: str, task: str | None = None, *, key: str | None = None, client: Any = None) -> None:
        if client is None:
            import httpx2  # noqa: PLC0415 - only clients of a service need it

            client = httpx2.Client(base_url=url, timeout=SECONDS)
        self._client, self._task = client, task
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}

    def below(self, observed: Sequence[float], best: float, layers: Layers | None = None) -> float:
        """Return the probability that a run ends at or below `best`; see `EarlyStoppingClient`.

        Raises:
            ValueError: with the service's message, when it rejects the request.
        """
        body: dict[str, Any] = {"observed": list(observed), "best": best}
        if self._task is not None:
            body["task"] = self._task
        if layers is not None:
            body["layers"] = list(layers)
        answer = self._client.post("/stop", json=body, headers=self._headers)
        if answer.status_code != 200:
            raise ValueError(f"the service answered {answer.status_code}: {answer.json().get('detail', '')}")
        return float(answer.json()["decisions"][0]["probability_below"])
