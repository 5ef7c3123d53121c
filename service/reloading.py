"""Take up changed artifacts while serving: all of them or none, and never without saying so."""

import asyncio
import errno
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from model.artifact import CARD_FILE, MODEL_FILE, ZOO
from model.continuation import CONTINUATION_CARD_FILE, CONTINUATION_FILE
from model.weights import WEIGHTS_CARD_FILE, WEIGHTS_FILE
from service.loading import Loaded
from service.logs import log
from service.metrics import Metrics
from service.settings import Settings

FILES = (CARD_FILE, MODEL_FILE, CONTINUATION_CARD_FILE, CONTINUATION_FILE, WEIGHTS_CARD_FILE, WEIGHTS_FILE)

Look = tuple[str, int, int, int, int]
Signature = frozenset[Look]


@dataclass(frozen=True, slots=True)
class Reload:
    """The last reload: what became of it, when, and why it failed."""

    state: Literal["none", "ok", "failed"] = "none"
    at: str | None = None
    error: str | None = None


def _look(path: Path) -> Iterator[Look]:
    """Find a file; nothing where there is none, or where it may not be looked at."""
    with suppress(OSError):
        stat = path.stat()
        yield str(path), stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino  # ctime: of permissions as well


def _inside(root: Path) -> list[Path]:
    """Return a folder and what is in it, as far as it may be looked at.

    Raises:
        OSError: when the process has no descriptor left to look with.
    """
    try:
        return [root, *root.iterdir()]
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        return [root]


def signature(settings: Settings) -> Signature:
    """Return what tells one state of the artifact folders from another, whatever state they are in.

    Raises:
        OSError: as `_inside`.
    """
    roots = [*settings.models, *([ZOO] if settings.shipped else [])]
    return frozenset(
        found for root in roots for folder in _inside(root) for name in FILES for found in _look(folder / name)
    )


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

    async def look(self) -> Signature | None:
        """Return what the artifact folders are like now; `None` when the process is too short of means to say."""
        try:
            return await asyncio.to_thread(signature, self.settings)
        except (OSError, RuntimeError) as error:  # no descriptor left, or no thread
            log.warning("artifacts_not_looked_at", error=str(error))
            return None

    async def watch(self, loaded: Signature | None) -> None:
        """Reload when asked, and once folders that were changed since `loaded` was looked at have settled."""
        settling: Signature | None = None
        while True:
            if await self._was_asked():
                loaded = await self.look()
                await self._reload("SIGHUP")
                continue
            current = await self.look()
            if current is None or current == loaded:
                settling = None
            elif current != settling:
                settling = current  # a copy may be under way: wait until nothing changes any more
            else:
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
            self._take(loaded)
        except Exception as error:  # whatever it was: the watch goes on
            self.last = Reload("failed", at, str(error))
            self.metrics.reloads.labels("failed").inc()
            self.metrics.reload_ok.set(0)
            log.error("reload_failed", cause=cause, error=str(error), kept="the predictors loaded before")
            return
        self.last = Reload("ok", at)
        self.metrics.reloads.labels("ok").inc()
        self.metrics.reload_ok.set(1)
        log.info("reloaded", cause=cause, tasks=list(loaded.models))
