"""Jobs that wait for an inference thread: bounded by cost, shared fairly, batched without waiting for more."""

from collections import deque
from collections.abc import Sequence
from math import ceil
from threading import Condition
from time import monotonic

from service.jobs import WASTE, Chunk, Job

LEAST_BATCH = 512  # padded layers; the predictor takes no more time for each than in larger batches
_LOOK_AHEAD = 64  # jobs that one batch may pass over


class FullError(Exception):
    """The backlog has no room for the job now."""


class ClosedError(Exception):
    """The backlog takes no more jobs."""


class Backlog:
    """A queue of jobs. One unit of cost is one padded layer.

    An inference thread takes its share of what waits, up to one batch: the next chunk of the job whose turn it is, and
    chunks of other jobs that fit beside it. A job with more to do goes to the end of the line, so that a large request
    delays a small one by at most a batch.

    Attributes:
        cost: of everything that is not computed yet.
        waiting: of what no inference thread has taken yet.
    """

    def __init__(self, *, max_cost: int, max_batch: int, takers: int) -> None:
        """Prepare; `takers` inference threads share what waits."""
        self.max_cost = max_cost
        self.max_batch = max_batch
        self.takers = takers
        self.cost = 0
        self.waiting = 0
        self._jobs: deque[Job] = deque()
        self._changed = Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def is_closed(self) -> bool:
        """Whether no more jobs are taken."""
        return self._closed

    def put(self, job: Job) -> None:
        """Add a job.

        Raises:
            FullError: when its cost does not fit.
            ClosedError: when the backlog is closed.
        """
        with self._changed:
            if self._closed:
                raise ClosedError
            if self.cost + job.cost > self.max_cost:
                raise FullError
            self.cost += job.cost
            self.waiting += job.cost
            self._jobs.append(job)
            self._changed.notify()

    def take(self, patience: float) -> list[Chunk]:
        """Return the chunks of the next batch, oldest turn first; none when nothing came within `patience` seconds.

        Raises:
            ClosedError: when the backlog is closed and empty.
        """
        with self._changed:
            if not self._jobs:
                if self._closed:
                    raise ClosedError
                self._changed.wait(patience)
            batch = self._batch()
            if self._jobs:
                self._changed.notify()  # there is work for another thread
            return batch

    def release(self, chunks: Sequence[Chunk]) -> None:
        """Give back the room of chunks that were computed."""
        with self._changed:
            self.cost -= sum(chunk.cost for chunk in chunks)

    def close(self) -> None:
        """Take no more jobs; what waits is still handed out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def discard(self, job: Job) -> None:
        """Forget what is left of a job that nobody waits for."""
        with self._changed:
            self._discard(job)

    def _discard(self, job: Job) -> None:
        cost = sum(chunk.cost for chunk in job.chunks)
        self.waiting -= cost
        self.cost -= cost
        job.chunks.clear()

    def _split(self, job: Job, most: int) -> Chunk:
        """Split a job's next chunk, which spares padding; return its first part."""
        whole = job.chunks.popleft()
        first, second = whole.split(most)
        job.chunks.extendleft((second, first))
        spared = whole.cost - first.cost - second.cost
        self.waiting -= spared
        self.cost -= spared
        return first

    def _batch(self) -> list[Chunk]:
        most = self.max_batch
        if self.waiting >= 2 * LEAST_BATCH:
            most = min(most, max(LEAST_BATCH, ceil(self.waiting / self.takers)))
        batch: list[Chunk] = []
        networks = padded = longest = 0
        passed: list[Job] = []
        served: list[Job] = []
        now = monotonic()
        while self._jobs and padded < most and len(passed) < _LOOK_AHEAD:
            job = self._jobs.popleft()
            if job.is_over() or job.deadline <= now:
                self._discard(job)
            took = False
            while job.chunks and (not batch or job.group == batch[0].job.group):
                chunk = job.chunks[0]
                if not batch and chunk.cost > most and len(chunk.rows) > 1:
                    chunk = self._split(job, most)
                together = (networks + len(chunk.rows)) * max(longest, chunk.longest)
                if batch and (together > most or together - padded - chunk.cost > WASTE):
                    break
                batch.append(job.chunks.popleft())
                networks, padded, longest = networks + len(chunk.rows), together, max(longest, chunk.longest)
                took = True
            if job.chunks and took:
                served.append(job)
            elif job.chunks:
                passed.append(job)
        self._jobs.extendleft(reversed(passed))
        self._jobs.extend(served)
        self.waiting -= sum(chunk.cost for chunk in batch)
        return batch
