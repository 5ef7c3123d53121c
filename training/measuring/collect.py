"""Train many sampled networks and record their learning curves."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from model.network.schema import Layer
from model.sampling.population import SearchSpace
from training.measuring.journal import Journal
from training.observations.observation import Observation, split_of
from training.protocols import TrainingProtocol

SECONDS_BETWEEN_FOLDS = 300.0
PATIENCE = 5.0  # seconds after which a backend without room is tried again
MOST_LOST = 5  # networks in a row whose process died: then it is not the networks


@dataclass(frozen=True)
class Job:
    """One network to train under one seed; `space` is where it was drawn from, if that is known."""

    network_id: str
    layers: list[Layer]
    seed: int
    space: SearchSpace | None = None


def plan(
    protocol: TrainingProtocol,
    networks: int,
    seeds: int = 1,
    *,
    space: SearchSpace = "paper",
    only_held_out: bool = False,
    measured: Sequence[Observation] = (),
) -> list[Job]:
    """Return the runs that measure a population's first networks under seeds 0 to `seeds` - 1, in a fixed order.

    Args:
        protocol: whose population.
        networks: how many networks.
        seeds: how often each is trained.
        space: where networks are drawn from.
        only_held_out: count and train networks of the test split alone.
        measured: rows that there are already; networks in them keep the split they have there.
    """
    split = {row.canonical: row.split for row in measured}

    def wanted(network_id: str) -> bool:
        return not only_held_out or split.get(network_id, split_of(network_id)) == "test"

    chosen = (one for one in protocol.population(space=space) if wanted(one.network_id))
    return [Job(one.network_id, one.layers, seed, space) for one in islice(chosen, networks) for seed in range(seeds)]


def left_to_do(journal: Journal, protocol: TrainingProtocol, jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs that the journal's table does not have, each once."""
    done = {(row.canonical, row.seed) for row in journal.fold() if row.protocol == protocol.key}
    return [job for key, job in {(job.network_id, job.seed): job for job in jobs}.items() if key not in done]


Row = Observation | None
Submit = Callable[[Job], "Future[Row] | None"]
"""Starts a job: its row to come (`None` past the deadline), or `None` without room."""
Backend = Callable[[TrainingProtocol, float], AbstractContextManager[Submit]]
"""Starts what trains networks until a deadline in `time.time()` seconds, and stops it at the end."""


def collect(
    protocol: TrainingProtocol,
    out: Path,
    jobs: Sequence[Job],
    backend: Backend,
    *,
    time_limit: float = float("inf"),
    on_start: Callable[[int, int], None] = lambda done, total: None,
    on_row: Callable[[Observation], None] = lambda row: None,
    on_lost: Callable[[Job], None] = lambda job: None,
) -> int:
    """Train networks until all are measured or the time is up, and return how many rows were added.

    A network whose process dies, for lack of memory or in a library, has no row; the others go on.

    Args:
        protocol: the training recipe.
        out: the Parquet table; rows it already has are not measured again.
        jobs: which networks, under which seeds.
        backend: what trains them: `training.measuring.processes` or `training.measuring.ray_cluster`.
        time_limit: seconds after which networks in flight are given up.
        on_start: called with the number of runs already measured and the total.
        on_row: called with each new row, after it is on disk.
        on_lost: called with each job whose process died.

    Raises:
        RuntimeError: when process after process dies; what was measured is kept.
    """
    deadline = time.time() + time_limit
    spaces = {job.network_id: job.space for job in jobs}
    journal = Journal(out)
    missing = deque(left_to_do(journal, protocol, jobs))
    pending: dict[Future[Row], Job] = {}
    added, lost, last_fold = 0, 0, time.monotonic()
    with backend(protocol, deadline) as submit:
        on_start(len(jobs) - len(missing), len(jobs))
        try:
            while pending or (missing and time.time() < deadline):
                while missing and time.time() < deadline and (future := submit(missing[0])):
                    pending[future] = missing.popleft()
                if not pending:  # a cluster without machines; some may join
                    time.sleep(PATIENCE)
                for future in wait(pending, PATIENCE, FIRST_COMPLETED).done:
                    job = pending.pop(future)
                    try:
                        row = future.result()
                    except BrokenProcessPool as error:
                        lost += 1
                        on_lost(job)
                        if lost == MOST_LOST:
                            raise RuntimeError(
                                f"{lost} worker processes died one after another; when the cause is gone, for example "
                                "too little memory, the same command goes on where it stopped"
                            ) from error
                        continue
                    lost = 0
                    if row is not None:
                        journal.append(row.model_copy(update={"space": spaces[row.canonical]}))
                        on_row(row)
                        added += 1
                if time.monotonic() - last_fold > SECONDS_BETWEEN_FOLDS:
                    journal.fold()
                    last_fold = time.monotonic()
        finally:
            journal.fold()
    return added
