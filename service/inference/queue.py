"""The queue between requests and worker threads: bounded by cost, fair between requests, batched without waiting."""

import heapq
from collections.abc import Sequence
from itertools import count
from threading import Condition

from service.inference.batching import MAX_PADDING, MIN_BATCH, Chunk


class QueueFullError(Exception):
    """The queue has no room for the work now."""


class QueueClosedError(Exception):
    """The queue accepts no more work."""


class WorkQueue:
    """Chunks of jobs in the order of their rounds: the k-th chunk of a job waits k rounds.

    So a small request that comes behind a large one is in the next batch, not behind all batches of the large one.

    Attributes:
        cost: padded layers in the queue or in inference.
        waiting: padded layers in the queue.
    """

    def __init__(self, *, max_cost: int, max_batch: int, workers: int) -> None:
        self.max_cost = max_cost
        self.max_batch = max_batch
        self.workers = workers
        self.cost = 0
        self.waiting = 0
        self._heap: list[tuple[int, int, Chunk]] = []
        self._round = 0
        self._order = count()
        self._changed = Condition()
        self._closed = False

    @property
    def requests(self) -> int:
        """Requests with work in the queue."""
        with self._changed:
            return len({id(chunk.job) for _, _, chunk in self._heap})

    def put(self, chunks: Sequence[Chunk]) -> None:
        """Add the chunks of a job.

        Raises:
            QueueFullError: when their cost does not fit; nothing is added.
            QueueClosedError: when the queue is closed.
        """
        cost = sum(chunk.cost for chunk in chunks)
        with self._changed:
            if self._closed:
                raise QueueClosedError
            if self.cost and self.cost + cost > self.max_cost:
                raise QueueFullError
            self.cost += cost
            self.waiting += cost
            for number, chunk in enumerate(chunks):
                heapq.heappush(self._heap, (self._round + number, next(self._order), chunk))
            self._changed.notify(len(chunks))

    def take(self, timeout: float) -> list[Chunk] | None:
        """Return the chunks of the next batch; empty when none came within `timeout` seconds, `None` when closed.

        A batch holds one worker's share of the queue, at most `max_batch`; chunks of several requests share it.
        """
        with self._changed:
            if not self._heap:
                if self._closed:
                    return None
                self._changed.wait(timeout)
            most = min(self.max_batch, max(MIN_BATCH, -(-self.waiting // self.workers)))
            batch: list[Chunk] = []
            networks = padded = longest = 0
            while self._heap:
                round_, _, chunk = self._heap[0]
                is_over = chunk.job.is_over
                together = (networks + len(chunk.indices)) * max(longest, chunk.longest)
                fits = together <= most and together - padded - chunk.cost <= MAX_PADDING
                if batch and not is_over and not (fits and chunk.shares_batch(batch[0])):
                    break
                heapq.heappop(self._heap)
                self._round = max(self._round, round_)
                self.waiting -= chunk.cost
                if is_over:
                    self.cost -= chunk.cost
                    continue
                batch.append(chunk)
                networks, padded, longest = networks + len(chunk.indices), together, max(longest, chunk.longest)
            return batch

    def done(self, chunks: Sequence[Chunk]) -> None:
        """Free the room of chunks that were computed."""
        with self._changed:
            self.cost -= sum(chunk.cost for chunk in chunks)

    def close(self) -> None:
        """Accept no more work; what waits is still handed out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
