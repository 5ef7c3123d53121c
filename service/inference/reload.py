"""Reload changed artifacts while serving: all of them or none."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from os.path import isdir
from pathlib import Path
from typing import Literal

import structlog

from model.artifact import ARRAYS_FILE, CARD_FILE, MEMBERS_FILE, ZOO
from model.continuation import CONTINUATION_CARD_FILE, CONTINUATION_FILE
from model.proxy_reader import PROXIES_CARD_FILE, PROXIES_FILE
from model.weights import WEIGHTS_ARRAYS_FILE, WEIGHTS_CARD_FILE, WEIGHTS_FILE
from service.inference.registry import Registry
from service.observability.metrics import Metrics
from service.settings import Settings

FILES = (
    *(CARD_FILE, MEMBERS_FILE, ARRAYS_FILE),
    *(CONTINUATION_CARD_FILE, CONTINUATION_FILE),
    *(WEIGHTS_CARD_FILE, WEIGHTS_FILE, WEIGHTS_ARRAYS_FILE),
    *(PROXIES_CARD_FILE, PROXIES_FILE),
)

Signature = frozenset[tuple[str, int, int, int, int]]

log = structlog.get_logger("peephole")


@dataclass(frozen=True, slots=True)
class Reload:
    """The last reload: its result, when, and why it failed."""

    state: Literal["none", "ok", "failed"] = "none"
    at: str | None = None
    error: str | None = None


class Reloader:
    """Reloads on request and when artifact folders change; a failed reload keeps what was loaded."""

    def __init__(self, registry: Registry, metrics: Metrics) -> None:
        self.registry = registry
        self.metrics = metrics
        self.last = Reload()
        self._requested = asyncio.Event()

    def request(self) -> None:
        """Request a reload, from the event loop."""
        self._requested.set()

    async def signature(self) -> Signature | None:
        """Return what tells one state of the artifact folders from another; `None` when they cannot be read."""
        try:
            return await asyncio.to_thread(_signature, self.registry.settings)
        except OSError as error:
            log.warning("artifacts_not_checked", error=str(error))
            return None

    async def watch(self, loaded: Signature | None) -> None:
        """Reload on request, and once folders that changed since the signature `loaded` have settled."""
        settling: Signature | None = None
        while True:
            if await self._was_requested():
                loaded = await self.signature()
                await self._reload("SIGHUP")
                continue
            current = await self.signature()
            if current is None or current == loaded:
                settling = None
            elif current != settling:
                settling = current  # a copy may be under way: wait until nothing changes any more
            else:
                loaded, settling = current, None
                await self._reload("changed folder")

    async def _was_requested(self) -> bool:
        """Wait for a request, for at most one interval."""
        try:
            async with asyncio.timeout(self.registry.settings.reload_seconds or None):
                await self._requested.wait()
        except TimeoutError:
            return False
        self._requested.clear()
        return True

    async def _reload(self, cause: str) -> None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            await asyncio.to_thread(self.registry.load)
        except Exception as error:  # whatever it was, watching goes on
            self.last = Reload("failed", at, str(error))
            log.warning("reload_failed", cause=cause, error=str(error), kept="the predictors loaded before")
        else:
            self.last = Reload("ok", at)
            log.info("reloaded", cause=cause, tasks=list(self.registry.models))
        self.metrics.reloads.labels(self.last.state).inc()
        self.metrics.reload_ok.set(self.last.state == "ok")


def _signature(settings: Settings) -> Signature:
    roots = [*settings.models, *([ZOO] if settings.shipped else [])]
    inside = [folder for root in roots if isdir(root) for folder in root.iterdir()]  # noqa: PTH112 - it never raises
    return frozenset(seen for folder in (*roots, *inside) for name in FILES for seen in _stat(folder / name))


def _stat(path: Path) -> Iterator[tuple[str, int, int, int, int]]:
    with suppress(OSError):
        stat = path.stat()
        yield str(path), stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino  # ctime: of permissions too
