"""Networks trained by processes of this machine, one thread each."""

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from threading import Thread

import torch

from training.measuring import datasets
from training.measuring.collect import Job, Row, Submit
from training.measuring.train import OutOfTimeError, train_network
from training.protocols import TrainingProtocol


@contextmanager
def processes(
    protocol: TrainingProtocol, deadline: float, *, workers: int | None = None, device: str = "cpu"
) -> Iterator[Submit]:
    """Train in processes.

    Args:
        protocol: the training recipe.
        deadline: in `time.time()` seconds.
        workers: how many processes; all cores by default. They share a GPU: one small network leaves it idle.
        device: where they train: `cpu`, `cuda`, `cuda:1`.

    """
    datasets.load(protocol)  # fail here, in one line, and not in every worker; decoded images are cached
    lanes = [_Lane() for _ in range(workers or os.cpu_count() or 1)]

    def submit(job: Job) -> Future[Row] | None:
        free = next((lane for lane in lanes if lane.is_free), None)
        return free.submit(job, protocol, device, deadline) if free else None

    try:
        yield submit
    finally:
        for lane in lanes:
            lane.pool.shutdown(cancel_futures=True)


class _Lane:
    """A pool of one process: when that dies, so does one network's training and no other's."""

    def __init__(self) -> None:
        self.pool = _start_process()
        self.running: Future[Row] | None = None

    @property
    def is_free(self) -> bool:
        return self.running is None or self.running.done()

    def submit(self, job: Job, protocol: TrainingProtocol, device: str, deadline: float) -> Future[Row]:
        if self.running is not None and isinstance(self.running.exception(), BrokenProcessPool):
            self.pool = _start_process()
        self.running = self.pool.submit(train_job, job, protocol, device, deadline)
        return self.running


def _start_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent)


def train_job(job: Job, protocol: TrainingProtocol, device: str, deadline: float) -> Row:
    """Train a network in a worker process; `None` when the deadline passes first."""
    try:
        return train_network(job.layers, protocol, _images(protocol, device), seed=job.seed, deadline=deadline)
    except OutOfTimeError:
        return None


@cache
def _images(protocol: TrainingProtocol, device: str) -> tuple[datasets.Images, datasets.Images]:
    """Load the images once in each worker process, which trains on one thread."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # sigmoid stacks are several times slower on denormals
    train, validation = (
        datasets.Images(part.images.to(device, memory_format=torch.channels_last), part.labels.to(device))
        for part in datasets.load(protocol)
    )
    return train, validation


def _end_with_parent() -> None:
    """Let this worker end when the collecting process dies; else it would go on and hold much memory."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None  # noqa: S101 - a worker has one
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()
