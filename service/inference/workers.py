"""Worker threads: each takes batches from the queue and runs them on an ONNX Runtime session of its own."""

from collections.abc import Sequence
from threading import Thread
from time import monotonic

import numpy as np
import structlog

from model.encoding.layer_code import pad
from model.loaded import Model
from model.runtime import Floats
from service.inference.batching import Chunk, Ints, to_rows
from service.inference.queue import WorkQueue
from service.observability.metrics import Metrics

BEAT_SECONDS = 0.25  # longest time without a heartbeat while there is no work

log = structlog.get_logger("peephole")


class Worker(Thread):
    """One inference thread.

    Attributes:
        beat: when the thread last showed that it is alive, on the monotonic clock; it beats before each batch.
        has_ended: whether it ended because the queue was closed.
    """

    def __init__(self, index: int, queue: WorkQueue, metrics: Metrics) -> None:
        super().__init__(name=f"inference-{index}", daemon=True)
        self.index = index
        self.queue = queue
        self.metrics = metrics
        self.beat = monotonic()
        self.has_ended = False

    def run(self) -> None:
        """Run batches until the queue is closed and empty."""
        while True:
            self.beat = monotonic()
            batch = self.queue.take(BEAT_SECONDS)
            if batch is None:
                self.has_ended = True
                return
            if batch:
                self.beat = monotonic()
                self._run_batch(batch)

    def _run_batch(self, batch: Sequence[Chunk]) -> None:
        began = monotonic()
        places = [(chunk.job, index) for chunk in batch for index in chunk.indices]
        for chunk in batch:
            chunk.job.started = chunk.job.started or began
        first = batch[0].job
        networks = [job.networks[index] for job, index in places]
        rows, failed = run_predictor(first.model, networks, first.epochs, session=self.index)
        for row, (job, index) in zip(rows, places, strict=True):
            job.rows[index] = row
        failures = [places[row] for row in failed]
        seconds = monotonic() - began
        self.queue.done(batch)
        cost = sum(chunk.cost for chunk in batch)
        count_batch(self.metrics, first.model, networks, cost, seconds)
        for chunk in batch:
            mine = [index for job, index in failures if job is chunk.job and index in chunk.indices]
            _call_in_loop(chunk, mine)


def run_predictor(
    model: Model, networks: Sequence[Ints], epochs: tuple[int, ...], *, session: int
) -> tuple[Floats, list[int]]:
    """Return rows [networks, 3 * epochs + 1] and the indices that failed; a failing batch is halved to find them."""
    try:
        rows = to_rows(model.predictor.run(*pad(networks), epochs, lane=session))
    except Exception as error:  # ONNX Runtime raises a different class for each status
        if len(networks) == 1:
            log.warning("network_failed", task=model.card.task, error=type(error).__name__)
            return np.full((1, 3 * len(epochs) + 1), np.nan, dtype=np.float32), [0]
        middle = len(networks) // 2
        left, left_failed = run_predictor(model, networks[:middle], epochs, session=session)
        right, right_failed = run_predictor(model, networks[middle:], epochs, session=session)
        return np.concatenate([left, right]), left_failed + [middle + index for index in right_failed]
    return rows, np.flatnonzero(~np.isfinite(rows).all(axis=1)).tolist()


def count_batch(metrics: Metrics, model: Model, networks: Sequence[Ints], cost: int, seconds: float) -> None:
    """Count one call of the predictor."""
    metrics.inference_seconds.labels(model.card.task).observe(seconds)
    metrics.batches.labels(model.card.task).inc()
    metrics.batch_architectures.observe(len(networks))
    metrics.batch_cost.observe(cost)
    metrics.batch_padding.observe(1 - sum(map(len, networks)) / cost)


def _call_in_loop(chunk: Chunk, failed: list[int]) -> None:
    """Hand a chunk's results to the event loop, which alone touches the job's future."""
    try:
        chunk.job.future.get_loop().call_soon_threadsafe(_deliver, chunk, failed)
    except RuntimeError:  # the loop was closed: no request waits any more
        return


def _deliver(chunk: Chunk, failed: list[int]) -> None:
    job = chunk.job
    job.failed += failed
    job.remaining -= len(chunk.indices)
    if job.remaining == 0 and not job.future.done():
        job.future.set_result(job.rows)
