"""A request's networks on their way through the inference threads."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from time import monotonic

import numpy as np

from model.runtime import Curves, Floats
from service.models import Model
from service.vocabulary import Ints

WASTE = 128  # padded layers that cost less than a further call of the predictor


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Networks of one job, of similar length: what is scheduled.

    Attributes:
        job: whose networks they are.
        rows: their indices in the job, those of longer networks first.
    """

    job: "Job"
    rows: tuple[int, ...]

    @property
    def longest(self) -> int:
        """Layers that each is padded to."""
        return len(self.job.codes[self.rows[0]])

    @property
    def cost(self) -> int:
        """Padded layers."""
        return len(self.rows) * self.longest

    def split(self, most: int) -> "tuple[Chunk, Chunk]":
        """Return its longest networks, as few as cost `most` or more, and the others, at least one."""
        count = min(ceil(most / self.longest), len(self.rows) - 1)
        return Chunk(self.job, self.rows[:count]), Chunk(self.job, self.rows[count:])


class Job:
    """Networks to predict for one caller, and the future that one answer goes to.

    The future belongs to the event loop; inference threads only read whether it is done.
    """

    __slots__ = (
        "chunks",
        "codes",
        "cost",
        "deadline",
        "epochs",
        "future",
        "left",
        "model",
        "result",
        "started",
        "submitted",
    )

    def __init__(
        self, model: Model, codes: Sequence[Ints], epochs: tuple[int, ...], deadline: float, *, max_chunk: int
    ) -> None:
        self.model = model
        self.codes = codes
        self.epochs = epochs
        self.deadline = deadline
        self.result = np.empty((len(codes), 3 * len(epochs) + 1), dtype=np.float32)
        self.chunks = deque(self._cut(max_chunk))
        self.cost = sum(chunk.cost for chunk in self.chunks)
        self.left = len(codes)
        self.future: asyncio.Future[Floats] = asyncio.get_running_loop().create_future()
        self.submitted = monotonic()
        self.started: float | None = None

    @property
    def group(self) -> tuple[int, tuple[int, ...]]:
        """Jobs with equal groups may share a call of the predictor."""
        return id(self.model), self.epochs

    def is_over(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.future.done()

    def _cut(self, most: int) -> list[Chunk]:
        """Sort by length and cut where a chunk is full or padding would cost more than another call.

        Longer networks come first: what is left in the end is shared more evenly by the inference threads.
        """
        order = sorted(range(len(self.codes)), key=lambda row: -len(self.codes[row]))
        chunks: list[Chunk] = []
        rows: list[int] = []
        layers = longest = 0
        for row in order:
            length = len(self.codes[row])
            padded = (len(rows) + 1) * longest
            if rows and (padded > most or padded - layers - length > WASTE + layers // 8):
                chunks.append(Chunk(self, tuple(rows)))
                rows, layers = [], 0
            if not rows:
                longest = length
            rows.append(row)
            layers += length
        chunks.append(Chunk(self, tuple(rows)))
        return chunks


def columns(curves: Curves) -> Floats:
    """Join curves into one float32 array [networks, 3 * epochs + 1]."""
    return np.concatenate([curves.accuracy, curves.lower, curves.upper, curves.distance[:, None]], axis=1)


def split(joined: Floats) -> Curves:
    """Undo `columns`."""
    epochs = (joined.shape[1] - 1) // 3
    return Curves(joined[:, :epochs], joined[:, epochs : 2 * epochs], joined[:, 2 * epochs : -1], joined[:, -1])
