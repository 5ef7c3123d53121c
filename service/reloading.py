"""Take up changed artifacts while serving: all of them or none, and never without saying so."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from model.artifact import CARD_FILE, MODEL_FILE, ZOO, ArtifactError
from service.loading import Loaded
from service.logs import log
from service.metrics import Metrics
from service.settings import Settings

Signature = frozenset[tuple[str, int, int, int]]


@dataclass(frozen=True, slots=True)
class Reload:
    """The last reload: what became of it, when, and why it failed."""

    state: Literal["none", "ok", "failed"] = "none"
    at: str | None = None
    error: str | None = None


def signature(settings: Settings) -> Signature:
    """Return what tells one state of the artifact folders from another."""
    roots = [*settings.models, *([ZOO] if settings.shipped else [])]
    found = []
    for root in roots:
        for name in (CARD_FILE, MODEL_FILE):
            for path in (root / name, *root.glob(f"*/{name}")):
                try:
                    stat = path.stat()
                except OSError:
                    continue
                found.append((str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return frozenset(found)


class Reloader:
    """Reloads on request and when artifact folders change; a failed reload keeps what was loaded."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        load: Callable[[], Awaitable[Loaded]],
        take: Callable[[Loaded], None],
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.last = Reload()
        self._load = load
        self._take = take
        self._asked = asyncio.Event()

    def request(self) -> None:
        """Ask for a reload, from the event loop."""
        self._asked.set()

    async def watch(self) -> None:
        """Reload when asked, and once changed folders have settled."""
        loaded = await asyncio.to_thread(signature, self.settings)
        settling: Signature | None = None
        while True:
            if await self._was_asked():
                loaded = await asyncio.to_thread(signature, self.settings)
                await self._reload("SIGHUP")
                continue
            current = await asyncio.to_thread(signature, self.settings)
            if current not in (loaded, settling):
                settling = current  # a copy may be under way: wait until nothing changes any more
            elif current != loaded:
                loaded, settling = current, None
                await self._reload("changed folder")

    async def _was_asked(self) -> bool:
        """Wait for a request, at most one look-around."""
        try:
            async with asyncio.timeout(self.settings.reload_seconds or None):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    async def _reload(self, cause: str) -> None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            loaded = await self._load()
        except ArtifactError as error:
            self.last = Reload("failed", at, str(error))
            self.metrics.reloads.labels("failed").inc()
            self.metrics.reload_ok.set(0)
            log.error("reload_failed", cause=cause, error=str(error), kept="the predictors loaded before")
            return
        self._take(loaded)
        self.last = Reload("ok", at)
        self.metrics.reloads.labels("ok").inc()
        self.metrics.reload_ok.set(1)
        log.info("reloaded", cause=cause, tasks=list(loaded.models))
