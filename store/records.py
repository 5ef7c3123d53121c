"""What goes into the store and comes out of it, and its errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from model.network.schema import Layer
from model.network.shapes import Shape

Accuracy = float | list[float]  # of the last epoch, or after each
CONTEXT = "context"  # the version that predicts from the observations, without a fit
FitState = Literal["queued", "running", "done", "failed"]


class Key(NamedTuple):
    """Whose task, and its name."""

    owner: str
    name: str


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A task: what its networks read, and the task whose predictor is the prior ("auto": it is chosen)."""

    name: str
    image: Shape
    description: str | None
    prior: str | None
    created_at: str


@dataclass(frozen=True, slots=True)
class Observation:
    """A measured network.

    Attributes:
        id: the client's name for it.
        network: hash of its canonical form.
        seed: of the training run.
        layers: as they were sent.
        accuracy: after the last epoch, or after each.
        proxies: zero-cost scores by name.
        added_at: UTC, ISO 8601.
    """

    id: str | None
    network: str
    seed: int
    layers: list[Layer]
    accuracy: Accuracy
    proxies: Mapping[str, float] | None
    added_at: str


@dataclass(frozen=True, slots=True)
class NewObservation:
    """A measured network to store; the fields are those of `Observation`."""

    network: str
    layers: list[Layer]
    accuracy: Accuracy
    seed: int = 0
    id: str | None = None
    proxies: Mapping[str, float] | None = None

    @property
    def final_accuracy(self) -> float:
        """Accuracy after the last epoch."""
        return self.accuracy[-1] if isinstance(self.accuracy, list) else self.accuracy


@dataclass(frozen=True, slots=True)
class Summary:
    """A task and what it holds.

    Attributes:
        task: the task.
        networks: distinct networks.
        observations: of them.
        best: of the highest final accuracy, the first of equals.
        version: that predicts: `CONTEXT`, or that of a fit.
        versions: of fits, the newest first.
    """

    task: StoredTask
    networks: int
    observations: int
    best: Observation | None
    version: str = CONTEXT
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Added:
    """What became of observations: added, or repeated (network and seed were there); networks of the task now."""

    added: int
    repeated: int
    networks: int


@dataclass(frozen=True, slots=True)
class Page:
    """Observations in the order in which they were added; `cursor` is where the next page begins, if there is one."""

    observations: list[Observation]
    cursor: int | None


@dataclass(frozen=True, slots=True)
class Context:
    """What a prediction for a stored task is made from.

    Attributes:
        task: the task.
        observations: the newest, oldest first.
        networks: distinct networks of the task.
        version: equal for equal contents: a cached model of the context is valid as long as it stays.
    """

    task: StoredTask
    observations: list[Observation]
    networks: int
    version: tuple[int, int]


@dataclass(frozen=True, slots=True)
class FitJob:
    """A background fit.

    Attributes:
        id: of the fit.
        state: where it stands.
        progress: 0 to 1.
        log: lines, each with its time.
        attempts: how often a worker took it up.
        result: of a fit that is done.
        error: of one that failed.
        created_at: UTC, ISO 8601, as are `started_at` and `finished_at`.
        started_at: when a worker took it up last.
        finished_at: when it was done or had failed.
    """

    id: int
    state: FitState
    progress: float
    log: tuple[str, ...]
    attempts: int
    result: Mapping[str, Any] | None
    error: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's hold on a fit, which ends when the worker is silent for a lease."""

    fit: int
    token: str
    key: Key
    task: StoredTask


@dataclass(frozen=True, slots=True)
class Version:
    """A fitted artifact that was published.

    Attributes:
        version: its name.
        sha256: of the artifact.
        result: of the fit.
        created_at: UTC, ISO 8601.
    """

    version: str
    sha256: str
    result: Mapping[str, Any]
    created_at: str


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of a task, the newest first; which of them predicts, and which was pinned."""

    served: str
    pinned: str | None
    versions: list[Version]


@dataclass(frozen=True, slots=True)
class Served:
    """What predicts a task: a version of the task with this id, or `CONTEXT`."""

    id: int
    task: StoredTask
    version: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What the metrics say of the store.

    Attributes:
        observations: by task.
        jobs: fits by state.
        oldest: seconds since the oldest queued fit was queued and the oldest running one was taken up, by state.
        fitted_at: by task with a served version, when that was published: seconds since 1970.
    """

    observations: Mapping[Key, int]
    jobs: Mapping[str, int]
    oldest: Mapping[str, float]
    fitted_at: Mapping[Key, float]


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's key of a request, and the digest of what the request says."""

    key: str
    digest: str


class UnknownTaskError(LookupError):
    """The owner has no task of this name."""


class TaskConflictError(ValueError):
    """The task is there with another input."""


class QuotaError(ValueError):
    """An owner's quota would be exceeded; the message names it."""


class KeyReusedError(ValueError):
    """The idempotency key belongs to another request."""


class UnknownFitError(LookupError):
    """The task has no fit of this id."""


class UnknownVersionError(LookupError):
    """The task has no version of this name."""


class ClaimLostError(Exception):
    """The fit is no longer the worker's: its task was deleted, or another worker took it up."""
