"""Zero-cost scores of networks, computed one after another in a child process with a queue of its own."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import monotonic

import structlog
from anyio import BrokenWorkerProcess, to_process
from cachetools import LRUCache

from model.network.faults import Fault, pointer
from model.network.schema import Layer
from service.errors import RETRY_SOON, Problem, invalid
from service.inference.engine import queue_full
from service.observability.metrics import Metrics
from service.proxies.child import score
from service.settings import Settings

KEPT = 4096  # networks whose scores are kept in memory, 4 KiB each
START_SECONDS = 60.0  # that a process may take to import torch and to read the images, on a slow disk
SLOWER = 3  # than expected, that a network may be
FIRST_SECONDS = 1.0  # that a network may take, before the first was measured
MEASURE = "measure them with `peephole proxies` and send them with the architectures"

Scores = dict[str, float]
Key = tuple[tuple[str, ...], str]
log = structlog.get_logger("peephole")


@dataclass(frozen=True, slots=True)
class Network:
    """A network to measure.

    Attributes:
        index: in its request.
        layers: validated.
        key: the training recipes of the predictor, and the canonical hash: equal ones have equal scores.
    """

    index: int
    layers: Sequence[Layer]
    key: Key


class ScoringError(Exception):
    """A network that cannot be measured."""


@dataclass(eq=False, slots=True)
class _Job:
    network: Network
    until: float  # the last deadline of the requests that wait for it
    future: asyncio.Future[Scores]


class Scorer:
    """The queue and the child process of an application. Its methods are for the event loop.

    The process starts with the first network, and again when it died. It ends with the service.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._known: LRUCache[Key, Scores] = LRUCache(KEPT)
        self._jobs: dict[Key, _Job] = {}  # in their order; the first is being computed
        self._work: asyncio.Task[None] | None = None
        self._seconds = FIRST_SECONDS

    @property
    def waiting(self) -> int:
        """Networks that wait or are being measured."""
        return len(self._jobs)

    async def stop(self) -> None:
        """End the process, whatever it does."""
        if self._work is not None:
            self._work.cancel()
            with suppress(asyncio.CancelledError):
                await self._work

    async def scores(self, networks: Sequence[Network], deadline: float) -> dict[int, Scores]:
        """Return the scores of a request's networks by index; known ones and those in the queue are not computed again.

        Args:
            networks: of the request, as far as they are to be measured.
            deadline: on the monotonic clock.

        Raises:
            Problem: 413 for more networks than the queue could ever hold, 429 when it is full, 422 when the images are
                missing, 503 when the process died, 500 with a pointer to each network that cannot be measured.
            TimeoutError: when the deadline passes; what was measured until then is kept.
        """
        found = {one.key: self._known[one.key] for one in networks if one.key in self._known}
        new = {one.key: one for one in networks if one.key not in found and one.key not in self._jobs}
        most = self._settings.max_proxy_queue
        if len(new) > most:
            raise Problem(
                "too-large", f"{len(new)} networks have no scores; the limit is {most}; {MEASURE}.", limit=most
            )
        if len(self._jobs) + len(new) > most:
            raise queue_full((len(self._jobs) + len(new) - most) * self._seconds)
        loop = asyncio.get_running_loop()
        self._jobs |= {key: _Job(one, deadline, loop.create_future()) for key, one in new.items()}
        jobs = {one.key: self._jobs[one.key] for one in networks if one.key not in found}
        for job in jobs.values():
            job.until = max(job.until, deadline)
        if jobs and (self._work is None or self._work.done()):
            self._work = asyncio.create_task(self._compute_all())
        found |= await _results(jobs, networks, deadline)
        return {one.index: found[one.key] for one in networks}

    async def _compute_all(self) -> None:
        while self._jobs:
            key, job = next(iter(self._jobs.items()))
            if job.until <= monotonic():
                job.future.cancel()  # no request waits any more
            else:
                try:
                    self._known[key] = await self._compute(job.network)
                    job.future.set_result(self._known[key])
                except (Problem, ScoringError, TimeoutError) as error:
                    job.future.set_exception(error)
                    job.future.exception()  # it was seen, though no request may wait any more
            del self._jobs[key]

    async def _compute(self, network: Network) -> Scores:
        """Return a network's scores; a process that hangs is killed."""
        began = monotonic()
        call = partial(score, network.key[0], network.layers, gpu=self._settings.provider != "cpu")
        try:
            async with asyncio.timeout(START_SECONDS + SLOWER * self._settings.max_proxy_seconds):
                found = await to_process.run_sync(call, cancellable=True)
        except BrokenWorkerProcess as error:
            log.warning("scores_process_died", reason=repr(error.__cause__ or error))
            detail = "The process that computes zero-cost scores died."
            raise Problem("unavailable", detail, headers=RETRY_SOON) from None
        except LookupError:
            raise invalid(Fault("/proxies", "unsupported", f"the task's images are not known; {MEASURE}")) from None
        except FileNotFoundError as error:
            log.warning("images_not_found", reason=str(error))
            detail = f"the service does not have the task's images (PEEPHOLE_DATA); {MEASURE}"
            raise invalid(Fault("/proxies", "unsupported", detail)) from None
        except TimeoutError:
            log.warning("scores_process_killed", seconds=round(monotonic() - began, 1))
            raise
        except Exception as error:  # whatever it was, the next network may be measured
            log.warning("scores_failed", reason=repr(error))
            raise ScoringError from None
        seconds = monotonic() - began
        self._metrics.proxy_seconds.observe(seconds)
        self._seconds += (seconds - self._seconds) / 8
        return found


async def _results(jobs: dict[Key, _Job], networks: Sequence[Network], deadline: float) -> dict[Key, Scores]:
    """Wait for jobs, which other requests may wait for too.

    Raises:
        Problem, TimeoutError: as `Scorer.scores`.
    """
    if not jobs:
        return {}
    futures = {key: job.future for key, job in jobs.items()}
    await asyncio.wait(futures.values(), timeout=deadline - monotonic(), return_when=asyncio.FIRST_EXCEPTION)
    over = {key: future for key, future in futures.items() if future.done() and not future.cancelled()}
    failed = {key for key, future in over.items() if isinstance(future.exception(), ScoringError)}
    if failed:
        places = [one.index for one in networks if one.key in failed]
        faults = [Fault(pointer("architectures", place), "failed", "its scores cannot be computed") for place in places]
        raise Problem("prediction-failed", "Networks of this request have no zero-cost scores.", faults=faults)
    found = {key: future.result() for key, future in over.items()}  # or another job's exception
    if len(found) < len(futures):
        raise TimeoutError
    return found
