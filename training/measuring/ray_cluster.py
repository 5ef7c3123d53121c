"""Networks trained on a Ray cluster: on its GPUs, and on the cores that are left.

A network whose machine dies is trained again elsewhere. Machines may join and leave meanwhile. Needs the `cluster`
extra, and this package on every machine, with the images where the protocol reads them.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import ray

from training.measuring.collect import Job, Row, Submit
from training.measuring.processes import train_job
from training.protocols import TrainingProtocol

NETWORKS_PER_GPU = 4  # they are small: one alone leaves a GPU idle
RESOURCES: dict[str, dict[str, Any]] = {
    "cuda": {"num_cpus": 1, "num_gpus": 1 / NETWORKS_PER_GPU},
    "cpu": {"num_cpus": 1},
}


@contextmanager
def ray_cluster(protocol: TrainingProtocol, deadline: float, *, address: str) -> Iterator[Submit]:
    """Train on a cluster.

    Args:
        protocol: the training recipe.
        deadline: in `time.time()` seconds.
        address: of the cluster, as `ray.init` takes it: `host:6379`, or `auto` on a machine of the cluster.

    Raises:
        ConnectionError: when no cluster answers at the address.
    """
    if not ray.is_initialized():
        ray.init(address=address, log_to_driver=False)
    remote = ray.remote(max_retries=-1)(train_job)  # a task dies with its machine only; then it is run elsewhere
    tasks: dict[Future[Row], tuple[Any, str]] = {}

    def submit(job: Job) -> Future[Row] | None:
        for done in [future for future in tasks if future.done()]:
            del tasks[done]
        busy = Counter(kind for _, kind in tasks.values())
        kind = next((kind for kind, count in slots().items() if busy[kind] < count), None)
        if kind is None:
            return None
        reference = remote.options(**RESOURCES[kind]).remote(job, protocol, kind, deadline)
        future: Future[Row] = reference.future()
        tasks[future] = reference, kind
        return future

    try:
        yield submit
    finally:
        for reference, _ in tasks.values():
            ray.cancel(reference, force=True)


def slots() -> dict[str, int]:
    """Return how many networks the cluster can train at once, on each kind of device."""
    resources = ray.cluster_resources()
    cores = int(resources.get("CPU", 0))
    on_gpus = min(cores, int(resources.get("GPU", 0) * NETWORKS_PER_GPU))
    return {"cuda": on_gpus, "cpu": cores - on_gpus}
