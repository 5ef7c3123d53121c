"""The inference engine: networks in, curves out. Everything between the event loop and the worker threads."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

import numpy as np

from model.loaded import Model
from model.network.faults import Fault, pointer
from model.runtime import Curves, Floats
from service.errors import RETRY_SOON, Problem
from service.inference.batching import Ints, Job, split, to_curves
from service.inference.cache import CurveCache
from service.inference.queue import QueueClosedError, QueueFullError, WorkQueue
from service.inference.workers import Worker, count_batch, run_predictor
from service.observability.metrics import Metrics
from service.settings import Settings

INLINE_LAYERS = 64
CPU = "CPUExecutionProvider"


@dataclass(frozen=True, slots=True)
class Inference:
    """Curves in the order of the networks, and the seconds that they waited in the queue and were computed."""

    curves: Curves
    queue_seconds: float
    infer_seconds: float


class Engine:
    """The queue and the workers of an application. Its methods are for the event loop."""

    def __init__(self, settings: Settings, metrics: Metrics, *, workers: int) -> None:
        self.settings = settings
        self.metrics = metrics
        self.cache = CurveCache(settings.cache_entries)
        self.queue = WorkQueue(max_cost=settings.max_queue_cost, max_batch=settings.batch_cost, workers=workers)
        self.workers = [Worker(index, self.queue, metrics) for index in range(workers)]
        self.failure: str | None = None
        self._jobs: set[Job] = set()

    def start(self) -> None:
        """Start the workers."""
        for worker in self.workers:
            worker.start()

    def stop(self) -> None:
        """Accept no more work; the workers end when the queue is empty."""
        self.queue.close()

    def fail(self, reason: str) -> None:
        """Answer every waiting request with a 503; accept no more."""
        self.failure = reason
        self.queue.close()
        for job in list(self._jobs):
            if not job.future.done():
                job.future.set_exception(_unavailable(reason))

    async def predict(
        self, model: Model, networks: Sequence[Ints], epochs: tuple[int, ...], deadline: float
    ) -> Inference:
        """Return the curves of networks; equal networks and cached ones are computed once.

        Args:
            model: the predictor.
            networks: codes int32 [layers, columns] each.
            epochs: 1-based.
            deadline: on the monotonic clock.

        Raises:
            Problem: 413 for more work than the queue could ever hold, 429, 500 with a pointer to each network that the
                predictor fails on, 503.
            TimeoutError: when the deadline passes.
        """
        keys = self.cache.keys(model.card.sha256, epochs, networks)
        first: dict[int, int] = {}
        for index, key in enumerate(keys):
            first.setdefault(key, index)
        rows = self.cache.get(first)
        missing = {key: index for key, index in first.items() if key not in rows}
        self.metrics.cache_hits.inc(len(keys) - len(missing))
        self.metrics.cache_misses.inc(len(missing))
        queue_seconds = infer_seconds = 0.0
        if missing:
            job = Job(model, [networks[index] for index in missing.values()], epochs, deadline)
            began = monotonic()
            await self._compute(job)
            queue_seconds = (job.started or began) - began
            infer_seconds = monotonic() - (job.started or began)
            if job.failed:
                failed = {list(missing)[index] for index in job.failed}
                places = [place for place, key in enumerate(keys) if key in failed]
                faults = [Fault(pointer("architectures", place), "failed", "no curve comes out") for place in places]
                raise Problem("prediction-failed", "The predictor failed on networks of this request.", faults=faults)
            computed = dict(zip(missing, job.rows, strict=True))
            self.cache.put(computed)
            rows |= computed
        self.metrics.queue_seconds.observe(queue_seconds)
        return Inference(to_curves(np.stack([rows[key] for key in keys])), queue_seconds, infer_seconds)

    async def _compute(self, job: Job) -> Floats:
        """Fill in the rows of a job: at once when it is small and nothing waits, else through the queue."""
        if self.failure is not None:
            raise _unavailable(self.failure)
        if self._suits_event_loop(job):
            job.started = began = monotonic()
            job.rows, job.failed = run_predictor(job.model, job.networks, job.epochs, session=0)
            seconds, layers = monotonic() - began, len(job.networks[0])
            count_batch(self.metrics, job.model, job.networks, layers, seconds)
            return job.rows
        chunks = split(job, workers=len(self.workers), max_cost=self.settings.batch_cost)
        cost = sum(chunk.cost for chunk in chunks)
        if cost > self.settings.max_queue_cost:
            limit = self.settings.max_queue_cost
            raise Problem("too-large", f"The request costs {cost} padded layers; the limit is {limit}.", limit=limit)
        try:
            self.queue.put(chunks)
        except QueueFullError:
            raise queue_full(1) from None
        except QueueClosedError:
            raise _unavailable("the service is stopping") from None
        self._jobs.add(job)
        try:
            async with asyncio.timeout(job.deadline - monotonic()):
                return await job.future
        finally:
            self._jobs.discard(job)

    def _suits_event_loop(self, job: Job) -> bool:
        """Whether a job is a single short network, the workers are idle, and no GPU call could hang the loop."""
        return (
            not self.queue.cost
            and len(job.networks) == 1
            and len(job.networks[0]) <= INLINE_LAYERS
            and job.model.predictor.provider == CPU
        )

    def heartbeat_age(self) -> float:
        """Seconds since the last heartbeat of the most silent worker."""
        return max((monotonic() - worker.beat for worker in self.workers if not worker.has_ended), default=0.0)

    def has_dead_worker(self) -> bool:
        """Whether a worker ended though the queue is open."""
        return any(
            worker.ident is not None and not worker.is_alive() and not worker.has_ended for worker in self.workers
        )


def _unavailable(reason: str) -> Problem:
    return Problem("unavailable", reason, headers=RETRY_SOON)


def queue_full(seconds: float) -> Problem:
    """Return the 429 of a service that expects to have room in so many seconds."""
    whole = max(1, min(60, round(seconds)))
    return Problem("queue-full", f"The queue is full; retry in {whole} s.", headers={"Retry-After": str(whole)})
