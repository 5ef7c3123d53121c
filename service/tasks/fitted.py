"""The published versions of stored tasks, loaded when a request needs them; those used last are kept."""

from dataclasses import replace
from pathlib import Path
from threading import Lock

import structlog
from cachetools import LRUCache

from model.artifact import Artifact, ArtifactError, digest, unpack_artifact
from model.encoding.layer_cache import LayerCache
from model.loaded import Model
from model.proxy_reader import unpack_proxy_reader
from model.runtime import Predictor
from service.errors import RETRY_SOON, Problem
from service.inference.registry import Registry
from service.inference.warmup import check_predictor, check_proxies
from service.tasks.threads import StoreThreads
from store import Served, Store

KEPT = 8  # versions in memory: 2 MiB for each inference thread, 20 after large batches

log = structlog.get_logger("peephole")


class FittedModels:
    """The loaded versions; safe to use from several threads."""

    def __init__(self, store: Store, threads: StoreThreads, registry: Registry) -> None:
        self._store = store
        self._threads = threads
        self._registry = registry
        self._kept: LRUCache[tuple[int, str], Model] = LRUCache(KEPT)
        self._lock = Lock()  # of the cache
        self._loading = Lock()

    async def find(self, served: Served, deadline: float) -> Model:
        """Return a version of a task.

        Args:
            served: the task and the version, which is not the context.
            deadline: on the monotonic clock.

        Raises:
            Problem: 422 when the version is gone, 503 when it cannot be loaded; otherwise as `StoreThreads.run`.
            TimeoutError: when the deadline passes.
        """
        with self._lock:
            model = self._kept.get((served.id, served.version))
        if model is not None:
            return model
        try:
            return await self._threads.run(deadline, self._load, served)
        except ArtifactError as error:
            log.warning("version_not_loaded", task=served.task.name, version=served.version, error=str(error))
            detail = "The version cannot be loaded; the log says why. Choose another with PUT /tasks/{name}/version."
            raise Problem("unavailable", detail, headers=RETRY_SOON) from None

    def _load(self, served: Served) -> Model:
        """Load and check a version, unless another thread just did."""
        key = served.id, served.version
        with self._loading:
            with self._lock:
                if key in self._kept:
                    return self._kept[key]
            artifact = read_version(self._store, served)
            workers, threads = self._registry.workers, self._registry.threads
            provider = self._registry.provider
            predictor = Predictor(artifact, threads=threads, provider=provider, lanes=workers)
            curves = check_predictor(predictor)
            if (reader := unpack_proxy_reader(artifact)) is not None:
                check_proxies(reader, predictor, curves)
            model = Model(predictor, LayerCache(artifact.card.layer_code), None, None, reader)
            with self._lock:
                self._kept[key] = model
            return model


def read_version(store: Store, served: Served) -> Artifact:
    """Read a version of a task, verified; its card names the task and the version as the store does.

    Raises:
        ArtifactError: when it is not what was published.
    """
    packed, sha256 = store.versions.artifact(served.id, served.version)
    name = Path(served.task.name, served.version)
    if digest(packed) != sha256:
        raise ArtifactError(f"{name}: its sha256 is not the one that it was published with")
    artifact = unpack_artifact(packed, name)
    return replace(
        artifact, card=artifact.card.model_copy(update={"task": served.task.name, "version": served.version})
    )
