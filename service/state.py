"""What the routes share: settings, metrics, keys, predictors, the inference engine. One object an application."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import time
from typing import Annotated

import structlog
from fastapi import Depends, Request

from model.requests.in_context import InContext
from service.auth import Keys
from service.cores import available_cores
from service.inference.engine import Engine
from service.inference.registry import Registry, runs_on_cpu
from service.inference.reload import Reloader
from service.inflight import InFlight
from service.observability.metrics import Metrics
from service.proxies.scorer import Scorer
from service.settings import Settings
from service.supervisor import Supervisor
from service.tasks.figures import StoreFigures
from service.tasks.fitted import FittedModels
from service.tasks.threads import StoreThreads
from store import Store

MAX_THREADS = 8  # one core alone reads and writes: more threads would predict faster than it can serve
READERS = 2
STOPPING = "the service is stopping"

log = structlog.get_logger("peephole")


class Service:
    """The state of one running application.

    Attributes:
        threads: cores for inference.
        readers: threads that validate large bodies and render large responses.
        scorer: computes zero-cost scores in a child process.
        in_context: answers requests with a context, in a thread of its own: a fit may take seconds.
        inflight: requests being handled that may take long or change something, and how fast.
        store: the stored tasks, for the threads of `store_threads`.
        fitted: their published versions, loaded.
        figures: what the metrics say of them.
        draining: set by SIGTERM; new requests get 503.
        failure: why the service can never serve again; the process ends with 70.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.keys = Keys(settings.keys())
        self.threads = settings.threads or min(available_cores(), MAX_THREADS)
        workers = self.threads if runs_on_cpu(settings) else 1  # on the CPU, two batches gain more than two cores
        self.registry = Registry(settings, self.metrics, workers=workers, threads=max(1, self.threads // workers))
        self.engine = Engine(settings, self.metrics, workers=workers)
        self.scorer = Scorer(settings, self.metrics)
        self.readers = ThreadPoolExecutor(READERS, "reader")
        self.in_context = InContext()
        self.context_thread = ThreadPoolExecutor(1, "context")
        self.store = Store(
            settings.database_url.get_secret_value(),
            settings.state,
            max_tasks=settings.max_tasks,
            max_observations=settings.max_observations,
            fit_every=settings.fit_every,
        )
        self.store_threads = StoreThreads()
        self.fitted = FittedModels(self.store, self.store_threads, self.registry)
        self.figures = StoreFigures(self.store, self.store_threads, self.metrics)
        self.reloader = Reloader(self.registry, self.metrics)
        self.supervisor = Supervisor(self.engine, settings, on_failure=self._fail)
        self.inflight = InFlight()
        self.draining = False
        self.failure: str | None = None
        self._loop: asyncio.AbstractEventLoop
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the threads and load the predictors in the background."""
        self._loop = asyncio.get_running_loop()
        self.engine.start()
        self.supervisor.start()
        self._tasks = [asyncio.create_task(self._load_and_watch()), asyncio.create_task(self.supervisor.beat())]

    async def stop(self) -> None:
        """End every thread and task."""
        for task in self._tasks:
            task.cancel()
        self.supervisor.stop()
        self.engine.stop()
        await self.scorer.stop()
        for threads in (self.readers, self.context_thread):
            threads.shutdown(wait=False, cancel_futures=True)
        self.store_threads.stop()
        self.store.close()

    def not_ready(self) -> list[str]:
        """Return why predictions are not served now; nothing when they are."""
        reasons = [reason for reason in (self.failure, self.supervisor.stalled) if reason is not None]
        if not self.registry.models and not reasons:
            reasons.append("the predictors are loading")
        if self.draining:
            reasons.append(STOPPING)
        return reasons

    async def refresh_metrics(self) -> None:
        """Set the gauges that are read rather than counted."""
        await self.figures.refresh()
        self.metrics.ready.set(not self.not_ready())
        self.metrics.queue_cost.set(self.engine.queue.cost)
        self.metrics.queue_requests.set(self.engine.queue.requests)
        self.metrics.proxy_queue.set(self.scorer.waiting)
        self.metrics.inflight.set(self.inflight.requests)
        self.metrics.heartbeat.set(time() - self.engine.heartbeat_age())

    def _fail(self, reason: str) -> None:
        """Record that the service cannot serve any more, and answer every waiting request; from any thread."""
        log.critical("failed", reason=reason)
        self.failure = reason
        with suppress(RuntimeError):  # the loop was closed: no request waits
            self._loop.call_soon_threadsafe(self.engine.fail, reason)

    async def _load_and_watch(self) -> None:
        before = await self.reloader.signature()  # what changes during loading is noticed afterwards
        try:
            await asyncio.to_thread(self.registry.load)
        except Exception as error:  # whatever it was, no request can be served
            self._fail(f"the predictors cannot be loaded: {error}")
            return
        log.info("ready", tasks=list(self.registry.models), threads=self.threads, provider=self.registry.provider)
        await self.reloader.watch(before)


async def _service(request: Request) -> Service:  # async: FastAPI runs others in a thread
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]
