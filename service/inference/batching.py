"""Jobs and batches: networks of similar length share a call of the predictor, so that little of it is padding.

One unit of cost is one padded layer: a batch of n networks, the longest of L layers, costs n * L.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from model.loaded import Model
from model.runtime import Curves, Floats

Ints = NDArray[np.int32]
MIN_BATCH = 256  # padded layers; below it a batch takes as long for each layer as a larger one, or longer
MAX_PADDING = 128  # padded layers that cost less than another call of the predictor


class Job:
    """The networks of one request that were not in the cache, and the future of their results.

    Attributes:
        networks: codes int32 [layers, columns] each.
        rows: results float32 [networks, 3 * epochs + 1]; see `to_rows`.
        remaining: networks without a result.
        failed: indices of the networks for which the predictor failed.
        started: when the first batch began, on the monotonic clock.
    """

    def __init__(self, model: Model, networks: Sequence[Ints], epochs: tuple[int, ...], deadline: float) -> None:
        self.model = model
        self.networks = networks
        self.epochs = epochs
        self.deadline = deadline
        self.rows: Floats = np.empty((len(networks), 3 * len(epochs) + 1), dtype=np.float32)
        self.remaining = len(networks)
        self.failed: list[int] = []
        self.started: float | None = None
        self.future: asyncio.Future[Floats] = asyncio.get_running_loop().create_future()

    @property
    def is_over(self) -> bool:
        """Whether no request waits for the results any more."""
        return self.future.done() or monotonic() > self.deadline


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Networks of one job that go into the same batch: their indices, and the layers of the longest."""

    job: Job
    indices: tuple[int, ...]
    longest: int

    @property
    def cost(self) -> int:
        """Padded layers."""
        return len(self.indices) * self.longest

    def shares_batch(self, other: "Chunk") -> bool:
        """Whether one call of the predictor can compute both."""
        return self.job.model is other.job.model and self.job.epochs == other.job.epochs


def split(job: Job, *, workers: int, max_cost: int) -> list[Chunk]:
    """Cut a job into chunks: longest networks first, a share for each worker, cut where padding would be wasted."""
    lengths = [len(network) for network in job.networks]
    most = min(max_cost, max(MIN_BATCH, -(-sum(lengths) // workers)))
    chunks: list[Chunk] = []
    indices: list[int] = []
    layers = longest = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        padded = (len(indices) + 1) * longest
        if indices and (padded > most or padded - layers - lengths[index] > MAX_PADDING + layers // 8):
            chunks.append(Chunk(job, tuple(indices), longest))
            indices, layers = [], 0
        if not indices:
            longest = lengths[index]
        indices.append(index)
        layers += lengths[index]
    return [*chunks, Chunk(job, tuple(indices), longest)]


def to_rows(curves: Curves) -> Floats:
    """Join curves into one array [networks, 3 * epochs + 1], a row a network: what is cached and handed around."""
    return np.concatenate([curves.accuracy, curves.lower, curves.upper, curves.distance[:, None]], axis=1)


def to_curves(rows: Floats) -> Curves:
    """Undo `to_rows`."""
    epochs = rows.shape[1] // 3
    return Curves(rows[:, :epochs], rows[:, epochs : 2 * epochs], rows[:, 2 * epochs : -1], rows[:, -1])
