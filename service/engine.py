"""Inference threads: they take batches from the backlog, run the predictor, and hand each caller its own answer.

Inference threads never touch a future: results reach the event loop by `call_soon_threadsafe`, and only there is a
future resolved, once. A thread that dies or stalls is noticed by `supervise`, which answers everybody who waits.

A network that comes alone to an idle engine is predicted on the event loop instead, where a `Watchdog` looks on.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Thread
from time import monotonic

import numpy as np

from model.encoding.layer_code import pad
from model.runtime import Floats
from service.backlog import Backlog, ClosedError
from service.jobs import Chunk, Job, columns
from service.ledger import Ledger
from service.logs import log
from service.metrics import Metrics
from service.models import Model
from service.pace import Pace
from service.quickness import Quickness
from service.vocabulary import Ints
from service.watchdog import Watchdog

PATIENCE = 0.25
TICK = 0.1
STANDSTILL = 1.0  # seconds in which nobody looked at the heartbeats: the whole process was paused or starved


class PredictionError(Exception):
    """The predictor failed on networks of the job: `rows`."""

    def __init__(self, rows: Sequence[int]) -> None:
        super().__init__()
        self.rows = rows


class EngineDownError(Exception):
    """The inference threads do not work any more."""


class _Worker(Thread):
    """One inference thread and its heartbeat."""

    def __init__(self, engine: "Engine", index: int) -> None:
        super().__init__(name=f"inference-{index}", daemon=True)
        self.engine = engine
        self.lane = index
        self.beat = monotonic()
        self.finished = False

    def run(self) -> None:
        """Take and run batches until the backlog is closed and empty."""
        if sys.platform == "linux":  # elsewhere this is not for a thread but for the process
            with suppress(OSError):  # a sandbox that forbids it
                os.nice(self.engine.niceness)
        backlog = self.engine.backlog
        while True:
            since = self.beat = monotonic()
            is_idle = not len(backlog)
            try:
                batch = backlog.take(PATIENCE)
            except ClosedError:
                self.finished = True
                return
            if batch:
                self.beat = monotonic()
                self.engine.execute(batch, self.beat if is_idle else since, self.lane)


class Engine:
    """The inference threads of an application. Its methods are for the event loop, but for `execute`."""

    def __init__(
        self, metrics: Metrics, ledger: Ledger, *, workers: int, max_cost: int, max_batch: int, niceness: int = 0
    ) -> None:
        """Prepare; `niceness` is by how much the inference threads give way to the event loop (Linux)."""
        self.metrics = metrics
        self.ledger = ledger
        self.niceness = niceness
        self.backlog = Backlog(max_cost=max_cost, max_batch=max_batch, takers=workers)
        self._pace = Pace()
        self.failure: str | None = None
        self.watchdog: Watchdog | None = None  # without one nothing is predicted on the event loop
        self._quickness = Quickness()
        self._broke = False
        self._jobs: set[Job] = set()
        self._looked = self._awake_since = monotonic()
        self._workers = [_Worker(self, index) for index in range(workers)]
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Start the threads."""
        self._loop = asyncio.get_running_loop()
        for worker in self._workers:
            worker.start()

    def submit(self, job: Job) -> None:
        """Let the inference threads work on a job; its future gets the result [networks, 3 * epochs + 1].

        The future may also get a `PredictionError` or an `EngineDownError`. Whoever submits a job must `forget` it.

        Raises:
            FullError: when there is no room for it now.
            EngineDownError: when the inference threads died, stalled or were closed.
        """
        if self.failure is not None:
            raise EngineDownError(self.failure)
        try:
            self.backlog.put(job)
        except ClosedError:
            raise EngineDownError("the service is stopping") from None
        self._jobs.add(job)

    def forget(self, job: Job) -> None:
        """Let go of a job: nobody waits for it any more."""
        if job in self._jobs:
            self._jobs.discard(job)
            self.backlog.discard(job)
        job.future.cancel()

    def suits_loop(self, model: Model, layers: int) -> bool:
        """Whether a network may be predicted on the event loop.

        There must be nothing else to do, and it must be sure to be quick. On a GPU native code can hang: never there.
        """
        return (
            self.watchdog is not None
            and not self.backlog.cost
            and not self.backlog.is_closed
            and layers <= self.backlog.max_cost
            and self._quickness.expects(model.card.sha256, layers)
            and model.predictor.provider == "CPUExecutionProvider"
        )

    def predict_here(self, model: Model, codes: Ints, epochs: tuple[int, ...]) -> Floats:
        """Predict one network on the event loop; return [1, 3 * epochs + 1].

        Raises:
            PredictionError: when the predictor failed on it.
            EngineDownError: when the predictor ended its thread, were it on one of its own.
        """
        assert self.watchdog is not None  # noqa: S101 - `suits_loop` has looked
        began = monotonic()
        try:
            with self.watchdog:
                result, failed = self._predict(model, [codes], epochs)
        except SystemExit:
            self._broke = True
            raise EngineDownError("the prediction was broken off") from None
        seconds = monotonic() - began
        self._note(len(codes), seconds)
        self._quickness.note(model.card.sha256, len(codes), seconds)
        self.ledger.enter(self._count, model, 1, len(codes), len(codes), seconds)
        if failed:
            raise PredictionError(failed)
        return result

    def execute(self, batch: Sequence[Chunk], since: float, lane: int) -> None:
        """Run a batch on an inference thread and pass its results to the event loop; it was ready `since` then."""
        assert self._loop is not None  # noqa: S101 - `start` set it
        began = monotonic()
        for chunk in batch:
            chunk.job.started = chunk.job.started or began
        rows = [(chunk.job, row) for chunk in batch for row in chunk.rows]
        first = batch[0].job
        result, failed = self._predict(first.model, [owner.codes[row] for owner, row in rows], first.epochs, lane)
        ended = monotonic()
        for index, (owner, row) in enumerate(rows):
            owner.result[row] = result[index]
        self.backlog.release(batch)
        poisonous: dict[Job, list[int]] = {}
        for index in failed:
            owner, row = rows[index]
            poisonous.setdefault(owner, []).append(row)
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
            self._loop.call_soon_threadsafe(self._deliver, batch, poisonous, ended - began, ended - since)

    def _predict(
        self, model: Model, codes: Sequence[Ints], epochs: tuple[int, ...], lane: int = 0
    ) -> tuple[Floats, list[int]]:
        """Return the networks' results and the indices of those that failed; a failing batch is halved to find them."""
        try:
            result = columns(model.predictor.run(*pad(codes), epochs, lane=lane))
        except Exception as error:  # ONNX Runtime raises a different class for each status
            if len(codes) == 1:
                log.warning("network_failed", task=model.card.task, error=type(error).__name__)
                return np.full((1, 3 * len(epochs) + 1), np.nan, dtype=np.float32), [0]
            middle = len(codes) // 2
            left, left_failed = self._predict(model, codes[:middle], epochs, lane)
            right, right_failed = self._predict(model, codes[middle:], epochs, lane)
            return np.concatenate([left, right]), left_failed + [middle + index for index in right_failed]
        finite = np.isfinite(result)
        return result, [] if finite.all() else np.flatnonzero(~finite.all(axis=1)).tolist()

    def _deliver(
        self, batch: Sequence[Chunk], poisonous: Mapping[Job, list[int]], seconds: float, busy_seconds: float
    ) -> None:
        for chunk in batch:
            job = chunk.job
            job.left -= len(chunk.rows)
            if job.future.done():
                continue
            if job in poisonous:
                job.future.set_exception(PredictionError(poisonous[job]))
            elif job.left == 0:
                job.future.set_result(job.result)
        self._note(sum(chunk.cost for chunk in batch), busy_seconds)
        if len(batch) == 1 and len(batch[0].rows) == 1:
            self._quickness.note(batch[0].job.model.card.sha256, batch[0].longest, seconds)
        self.ledger.enter(self._count_batch, batch, seconds)

    def _note(self, cost: int, busy_seconds: float) -> None:
        self._pace.note(cost * len(self._workers), busy_seconds)

    def _count_batch(self, batch: Sequence[Chunk], seconds: float) -> None:
        networks = sum(len(chunk.rows) for chunk in batch)
        layers = sum(len(chunk.job.codes[row]) for chunk in batch for row in chunk.rows)
        cost = sum(chunk.cost for chunk in batch)
        self._count(batch[0].job.model, networks, layers, cost, seconds)

    def _count(self, model: Model, networks: int, layers: int, cost: int, seconds: float) -> None:
        task = model.card.task
        self.metrics.inference_seconds_of(task).observe(seconds)
        self.metrics.batches_of(task).inc()
        self.metrics.batch_architectures.observe(networks)
        self.metrics.batch_cost.observe(cost)
        self.metrics.batch_padding.observe(1 - layers / cost)

    @property
    def rate(self) -> float:
        """Padded layers a second, as measured of late while there was work."""
        return self._pace.rate

    def retry_after(self) -> int:
        """Seconds until the backlog of now is done, at the rate measured."""
        return max(1, min(60, round(self.backlog.cost / self.rate)))

    def heartbeat_age(self) -> float:
        """Seconds since the most silent inference thread was last heard of.

        When nobody asked for longer than `STANDSTILL`, not only an inference thread stood still: then all have just
        been heard of. `supervise` asks again and again.
        """
        now = monotonic()
        if now - self._looked > STANDSTILL:
            self._awake_since = now
        self._looked = now
        beats = (max(worker.beat, self._awake_since) for worker in self._workers if not worker.finished)
        return max((now - beat for beat in beats), default=0.0)

    def has_dead_thread(self) -> bool:
        """Whether an inference thread ended though nobody asked it to, or a prediction would have ended it."""
        return self._broke or any(
            worker.ident is not None and not worker.is_alive() and not worker.finished for worker in self._workers
        )

    def fail(self, reason: str) -> None:
        """Answer everybody who waits; take nothing more."""
        self.failure = reason
        self.backlog.close()
        for job in list(self._jobs):
            if not job.future.done():
                job.future.set_exception(EngineDownError(reason))

    def close(self) -> None:
        """Take nothing more; the threads end when the backlog is empty."""
        self.backlog.close()

    def ended(self, most_seconds: float) -> bool:
        """Whether every thread ends within the time; waits for it."""
        until = monotonic() + most_seconds
        for worker in self._workers:
            if worker.ident is not None:
                worker.join(max(0.0, until - monotonic()))
        return not any(worker.is_alive() for worker in self._workers)


async def supervise(engine: Engine, *, stall_seconds: float, on_failure: Callable[[str], None]) -> None:
    """Watch the inference threads; fail the engine when one died, or was silent for `stall_seconds`."""
    while True:
        await asyncio.sleep(TICK)
        reason = None
        if engine.has_dead_thread():
            reason = "an inference thread died"
        elif engine.heartbeat_age() > stall_seconds:
            reason = f"an inference thread is stalled for more than {stall_seconds:g} s"
        if reason is not None:
            engine.fail(reason)
            on_failure(reason)
            return
