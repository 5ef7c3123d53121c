"""Collect on a Ray cluster: the same population, table and guarantees as `training.measuring.collect`.

The table is written here, by the process that started the collection; the machines only train. A network whose machine
dies is trained again elsewhere. Machines may join and leave while it runs. Needs the `cluster` extra, and this package
on every machine, with the images where the protocol reads them.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import ray
import torch

from training.measuring import datasets
from training.measuring.collect import SECONDS_BETWEEN_FOLDS, Job, left_to_do
from training.measuring.journal import Journal
from training.measuring.train import OutOfTimeError, train_network
from training.observations.observation import Observation
from training.protocols import Protocol

NETWORKS_PER_GPU = 4  # they are small: one alone leaves a GPU idle
PATIENCE = 5.0  # seconds after which the size of the cluster is looked at again
RESOURCES: dict[str, dict[str, Any]] = {
    "cpu": {"num_cpus": 1},
    "gpu": {"num_cpus": 1, "num_gpus": 1 / NETWORKS_PER_GPU},
}


@cache
def _images(protocol: Protocol, device: str) -> tuple[datasets.Images, datasets.Images]:
    """Load the images once in each worker process."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    train, validation = (
        datasets.Images(part.images.to(device, memory_format=torch.channels_last), part.labels.to(device))
        for part in datasets.load(protocol)
    )
    return train, validation


def _train(job: Job, protocol: Protocol, deadline: float) -> Observation | None:
    device = "cuda" if ray.get_gpu_ids() else "cpu"
    try:
        return train_network(job.layers, protocol, _images(protocol, device), seed=job.seed, deadline=deadline)
    except OutOfTimeError:
        return None


def slots() -> dict[str, int]:
    """Return how many networks the cluster can train at once, on GPUs and on the cores that are left."""
    resources = ray.cluster_resources()
    cores = int(resources.get("CPU", 0))
    on_gpus = min(cores, int(resources.get("GPU", 0) * NETWORKS_PER_GPU))
    return {"gpu": on_gpus, "cpu": cores - on_gpus}


def collect(
    protocol: Protocol,
    out: Path,
    jobs: Sequence[Job],
    *,
    address: str,
    time_limit: float = float("inf"),
    on_start: Callable[[int, int], None] = lambda done, total: None,
    on_row: Callable[[Observation], None] = lambda row: None,
) -> int:
    """Train networks on a cluster until all are measured or the time is up; return how many rows were added.

    Args:
        protocol: the training recipe.
        out: the Parquet table; rows it already has are not measured again.
        jobs: which networks, under which seeds.
        address: of the cluster, as `ray.init` takes it: `host:6379`, or `auto` on a machine of the cluster.
        time_limit: seconds after which networks in flight are given up.
        on_start: called with the number of runs already measured and the total.
        on_row: called with each new row, after it is on disk.

    Raises:
        ConnectionError: when no cluster answers at the address.
    """
    deadline = time.time() + time_limit
    journal = Journal(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    missing = deque(left_to_do(journal, protocol, jobs))
    on_start(len(jobs) - len(missing), len(jobs))
    if not ray.is_initialized():
        ray.init(address=address, log_to_driver=False)
    remote = ray.remote(max_retries=-1)(_train)  # a task dies with its machine only; then it is run elsewhere
    pending: dict[Any, str] = {}
    added = 0
    last_fold = time.monotonic()
    try:
        while pending or (missing and time.time() < deadline):
            busy = Counter(pending.values())
            for kind, room in slots().items():
                while busy[kind] < room and missing and time.time() < deadline:
                    pending[remote.options(**RESOURCES[kind]).remote(missing.popleft(), protocol, deadline)] = kind
                    busy[kind] += 1
            if not pending:  # no machine is left; others may join
                time.sleep(PATIENCE)
                continue
            finished, _ = ray.wait(list(pending), timeout=PATIENCE)
            for reference in finished:
                del pending[reference]
                if (row := ray.get(reference)) is not None:
                    journal.append(row)
                    on_row(row)
                    added += 1
            if time.monotonic() - last_fold > SECONDS_BETWEEN_FOLDS:
                journal.fold()
                last_fold = time.monotonic()
    finally:
        for reference in pending:
            ray.cancel(reference, force=True)
        journal.fold()
    return added
