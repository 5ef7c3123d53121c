"""The queue between requests and worker threads: bounded by cost, fair between requests, batched without waiting."""

from collections import deque
from collections.abc import Sequence
from threading import Condition

from service.inference.batching import MAX_PADDING, MIN_BATCH, Chunk


class QueueFullError(Exception):
    """The queue has no room for the work now."""


class QueueClosedError(Exception):
    """The queue accepts no more work."""


class WorkQueue:
    """The chunks of jobs, in turns: a job whose chunk was taken goes to the end of the line with the rest.

    So a small request waits for one batch of each request before it at most, and small ones do not starve a large one.

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
        self._line: deque[deque[Chunk]] = deque()  # what is left of each job
        self._changed = Condition()
        self._closed = False

    @property
    def requests(self) -> int:
        """Requests with work in the queue."""
        return len(self._line)

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
            self._line.append(deque(chunks))
            self._changed.notify(len(chunks))

    def take(self, timeout: float) -> list[Chunk] | None:
        """Return the chunks of the next batch; empty when none came within `timeout` seconds, `None` when closed.

        A batch holds one worker's share of the queue, at most `max_batch`; chunks of several requests share it.
        """
        with self._changed:
            if not self._line:
                if self._closed:
                    return None
                self._changed.wait(timeout)
            most = min(self.max_batch, max(MIN_BATCH, -(-self.waiting // self.workers)))
            batch: list[Chunk] = []
            networks = padded = longest = 0
            while self._line:
                left = self._line[0]
                chunk = left[0]
                if chunk.job.is_over:
                    self._drop(self._line.popleft())
                    continue
                together = (networks + len(chunk.indices)) * max(longest, chunk.longest)
                fits = together <= most and together - padded - chunk.cost <= MAX_PADDING
                if batch and not (fits and chunk.shares_batch(batch[0])):
                    break
                batch.append(left.popleft())
                self.waiting -= chunk.cost
                networks, padded, longest = networks + len(chunk.indices), together, max(longest, chunk.longest)
                self._line.popleft()
                if left:
                    self._line.append(left)
            return batch

    def _drop(self, chunks: Sequence[Chunk]) -> None:
        """Free the room of chunks that no request waits for any more."""
        cost = sum(chunk.cost for chunk in chunks)
        self.waiting -= cost
        self.cost -= cost

    def done(self, chunks: Sequence[Chunk]) -> None:
        """Free the room of chunks that were computed."""
        with self._changed:
            self.cost -= sum(chunk.cost for chunk in chunks)

    def close(self) -> None:
        """Accept no more work; what waits is still handed out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
