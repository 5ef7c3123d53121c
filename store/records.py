"""What goes into the store and comes out of it, and its errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from model.network.schema import Layer
from model.network.shapes import Shape

Accuracy = float | list[float]  # of the last epoch, or after each


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
    """A task, what it holds, and its observation of the highest final accuracy, the first of equals."""

    task: StoredTask
    networks: int
    observations: int
    best: Observation | None


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
