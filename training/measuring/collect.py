"""Train many sampled networks and record their learning curves."""

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Thread

import torch

from model.network.schema import Layer
from training.measuring import datasets
from training.measuring.journal import Journal
from training.measuring.train import OutOfTimeError, train_network
from training.observations.observation import Observation, split_of
from training.protocols import Protocol

SECONDS_BETWEEN_FOLDS = 300.0


@dataclass(frozen=True)
class Job:
    """One network to train under one seed."""

    network_id: str
    layers: list[Layer]
    seed: int


def plan(
    protocol: Protocol,
    networks: int,
    seeds: int = 1,
    *,
    only_held_out: bool = False,
    measured: Sequence[Observation] = (),
) -> list[Job]:
    """Return the runs that measure a population's first networks under seeds 0 to `seeds` - 1, in a fixed order.

    Args:
        protocol: whose population.
        networks: how many networks.
        seeds: how often each is trained.
        only_held_out: count and train networks of the test split alone.
        measured: rows that there are already; networks in them keep the split they have there.
    """
    split = {row.canonical: row.split for row in measured}

    def wanted(network_id: str) -> bool:
        return not only_held_out or split.get(network_id, split_of(network_id)) == "test"

    chosen = (one for one in protocol.population() if wanted(one.network_id))
    return [Job(one.network_id, one.layers, seed) for one in islice(chosen, networks) for seed in range(seeds)]


def left_to_do(journal: Journal, protocol: Protocol, jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs that the journal's table does not have, each once."""
    done = {(row.canonical, row.seed) for row in journal.fold() if row.protocol == protocol.key}
    return [job for key, job in {(job.network_id, job.seed): job for job in jobs}.items() if key not in done]


_images: tuple[datasets.Images, datasets.Images]


def _end_with_parent() -> None:
    """End this worker when the collecting process has died; else it would go on and hold much memory."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - a worker has one
    parent.join()
    os._exit(1)


def _start_worker(protocol: Protocol, device: str) -> None:
    global _images  # noqa: PLW0603 - each worker process loads the images once
    Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # sigmoid stacks are several times slower on denormals
    train, validation = datasets.load(protocol)
    _images = tuple(  # type: ignore[assignment]
        datasets.Images(part.images.to(device, memory_format=torch.channels_last), part.labels.to(device))
        for part in (train, validation)
    )


def _work(job: Job, protocol: Protocol, deadline: float) -> Observation | None:
    try:
        return train_network(job.layers, protocol, _images, seed=job.seed, deadline=deadline)
    except OutOfTimeError:
        return None


def collect(
    protocol: Protocol,
    out: Path,
    jobs: Sequence[Job],
    *,
    workers: int | None = None,
    device: str = "cpu",
    time_limit: float = float("inf"),
    on_start: Callable[[int, int], None] = lambda done, total: None,
    on_row: Callable[[Observation], None] = lambda row: None,
) -> int:
    """Train networks until all are measured or the time is up, and return how many rows were added.

    Args:
        protocol: the training recipe.
        out: the Parquet table; rows it already has are not measured again.
        jobs: which networks, under which seeds.
        workers: processes, one thread each; all cores by default. They share a GPU: one small network leaves it idle.
        device: where they train: `cpu`, `cuda`, `cuda:1`.
        time_limit: seconds after which networks in flight are given up.
        on_start: called with the number of runs already measured and the total.
        on_row: called with each new row, after it is on disk.

    Raises:
        RuntimeError: when a worker process dies; what was measured is kept.
    """
    deadline = time.time() + time_limit
    datasets.load(protocol)  # fail here, in one line, and not in every worker; decoded images are cached
    journal = Journal(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    missing = left_to_do(journal, protocol, jobs)
    on_start(len(jobs) - len(missing), len(jobs))
    added = 0
    count = workers or os.cpu_count() or 1
    queue = iter(missing)
    last_fold = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_start_worker, initargs=(protocol, device)) as pool:
        pending: set[Future[Observation | None]] = set()
        try:
            while True:
                while len(pending) < count and time.time() < deadline and (job := next(queue, None)):
                    pending.add(pool.submit(_work, job, protocol, deadline))
                if not pending:
                    break
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    if (row := future.result()) is not None:
                        journal.append(row)
                        on_row(row)
                        added += 1
                if time.monotonic() - last_fold > SECONDS_BETWEEN_FOLDS:
                    journal.fold()
                    last_fold = time.monotonic()
        except BrokenProcessPool as error:
            raise RuntimeError("a worker process died; run the same command again to go on where it stopped") from error
        finally:
            for future in pending:
                future.cancel()
            journal.fold()
    return added
