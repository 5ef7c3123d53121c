"""What the routes share: settings, predictors, the engine, metrics. One object an application; no globals."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import time
from typing import Annotated

import onnxruntime
from fastapi import Depends, Request

from model.artifact import ArtifactError
from model.runtime import Provider
from service.auth import Keys
from service.cache import CurveCache
from service.cores import available
from service.engine import Engine, supervise
from service.intake import Intake
from service.ledger import Ledger
from service.loading import Loaded, load, needs_no_gpu
from service.logs import log
from service.metrics import Metrics
from service.models import Model
from service.reloading import Reloader
from service.settings import Settings
from service.turns import Turns

LARGE_BODY = 1024 * 1024
# Inference threads that keep every core busy give way to the event loop, which refuses what does not fit. On a single
# core they would starve: callers who come again at once when refused keep the event loop busy for ever.
NICENESS = 10
ENOUGH_THREADS = 8  # one core alone reads and writes: more would predict faster than that


def _nothing(*_: str) -> None:
    """Do nothing: whoever embeds the application reads /livez, and its heap is not ours to arrange."""


class Service:
    """The state of one running application.

    Attributes:
        threads: cores for predictions.
        workers: inference threads that share them.
        models: by task; replaced as a whole, never changed.
        ledger: where requests are written down.
        turns: when bodies are read and answers written on the event loop.
        readers: threads that read bodies with layers never met, so that the event loop goes on meanwhile.
        large_reader: the one thread that reads large bodies: one may take 40 times its size while it is read.
        writers: threads that look up, continue and write large populations; no reading ever holds them up.
        intake: those whose networks are not in the queue yet.
        inflight: requests for predictions being handled.
        buffered: bytes of their bodies.
        on_failure: told the reason when the service can never answer again; the process should end.
        on_loaded: called when predictors were loaded, at the start and after a reload.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.ledger = Ledger(lambda: self.inflight > 0)
        self.keys = Keys(settings.keys())
        cores = available()
        self.threads = settings.threads or min(cores, ENOUGH_THREADS)
        # On the CPU a batch gains little from a second core, two batches almost all of it.
        self.workers = self.threads if needs_no_gpu(settings) else 1
        self.models: dict[str, Model] = {}
        self.cache = CurveCache(settings.cache_entries)
        self.engine = Engine(
            self.metrics,
            self.ledger,
            workers=self.workers,
            max_cost=settings.max_queue_cost,
            max_batch=settings.batch_cost,
            niceness=NICENESS if cores > 1 else 0,
        )
        self.turns = Turns(lambda: self.engine.backlog.cost > 0)
        self.readers = ThreadPoolExecutor(2, "reader")
        self.large_reader = ThreadPoolExecutor(1, "large-reader")
        self.weights_reader = ThreadPoolExecutor(1, "weights-reader")  # slow, and nothing but their own callers' matter
        self.writers = ThreadPoolExecutor(2, "writer")
        self.provider: Provider = "cpu"
        self.fallback: str | None = None
        self.reloader = Reloader(settings, self.metrics, self._loaded, self._take)
        self.intake = Intake()
        self.inflight = 0
        self.buffered = 0
        self.draining = False
        self.failure: str | None = None
        self.on_failure: Callable[[str], None] = _nothing
        self.on_loaded: Callable[[], None] = _nothing
        self._tasks: list[asyncio.Task[None]] = []

    def reasons(self) -> list[str]:
        """Return why the service is not ready; nothing when it is."""
        found = []
        if self.failure is not None:
            found.append(self.failure)
        elif self.engine.heartbeat_age() > self.settings.stall_seconds:
            found.append("an inference thread is stalled")
        elif not self.models:
            found.append("the predictors are loading")
        if self.draining:
            found.append("the service is stopping")
        return found

    def reader(self, size: int) -> ThreadPoolExecutor:
        """Return the threads that read a body of `size` bytes."""
        return self.large_reader if size > LARGE_BODY else self.readers

    def start(self) -> None:
        """Start the inference threads and load the predictors, while the event loop goes on."""
        self.engine.start()
        self._tasks = [asyncio.create_task(self._load()), asyncio.create_task(self._supervise())]

    async def stop(self) -> None:
        """End every thread and task."""
        for task in self._tasks:
            task.cancel()
        self.engine.close()
        for threads in (self.readers, self.large_reader, self.weights_reader, self.writers):
            threads.shutdown(wait=False, cancel_futures=True)
        self.ledger.write_up()
        log.info("stopped")

    def fail(self, reason: str) -> None:
        """Say for good that the service cannot answer."""
        self.failure = reason
        self.on_failure(reason)
        log.critical("failed", reason=reason)

    async def _load(self) -> None:
        before = await self.reloader.look()  # what changes while they load is noticed afterwards
        try:
            self._take(await self._loaded())
        except Exception as error:  # whatever it was: nobody must wait for ever
            self.fail(str(error))
            return
        log.info("ready", tasks=list(self.models), threads=self.threads, provider=self.provider)
        await self.reloader.watch(before)

    async def _loaded(self) -> Loaded:
        """Load the predictors.

        Raises:
            ArtifactError: one line that says why not, whatever went wrong.
        """
        try:
            return await asyncio.to_thread(load, self.settings, self.threads // self.workers, self.workers)
        except ArtifactError:
            raise
        except OSError as error:
            raise ArtifactError(f"the predictors cannot be read: {error}") from error
        except Exception as error:
            log.exception("loading_failed_unexpectedly")
            raise ArtifactError(f"the predictors cannot be loaded: {type(error).__name__}: {error}") from error

    def _take(self, loaded: Loaded) -> None:
        """Answer with these predictors from now on; requests in flight keep theirs."""
        self.models, self.provider, self.fallback = loaded.models, loaded.provider, loaded.fallback
        self.metrics.fallback.set(loaded.fallback is not None)
        if loaded.fallback is not None:
            log.warning(
                "provider_fallback", wanted=self.settings.provider, used=loaded.provider, reason=loaded.fallback
            )
        self.metrics.model_info.clear()
        for model in loaded.models.values():
            card = model.card
            self.metrics.model_info.labels(
                card.task, card.version, card.sha256, model.predictor.provider, onnxruntime.__version__
            ).set(1)
        self.on_loaded()

    async def _supervise(self) -> None:
        await supervise(self.engine, stall_seconds=self.settings.hang_seconds, on_failure=self.fail)

    def refresh_metrics(self) -> None:
        """Bring the metrics up to date, those that are read rather than counted included."""
        self.ledger.write_up()
        self.metrics.ready.set(not self.reasons())
        self.metrics.queue_cost.set(self.engine.backlog.cost)
        self.metrics.queue_requests.set(len(self.engine.backlog))
        self.metrics.inflight.set(self.inflight)
        self.metrics.heartbeat.set(time() - self.engine.heartbeat_age())


async def _service(request: Request) -> Service:  # async, or FastAPI would hop to a thread for it
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]
