"""Watch the heartbeats of the worker threads and of the event loop, from a thread of its own.

Silence is counted in ticks of this thread, not by the clock: a paused process does not look like a stalled worker.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from time import monotonic, process_time, sleep
from traceback import format_stack

import structlog

from service.inference.engine import Engine
from service.settings import Settings

TICK = 0.1  # seconds
JITTER = 0.02  # seconds that any event loop may be late
EXIT_CODE = 70  # EX_SOFTWARE
EXIT_GRACE = 3.0  # seconds for a failed service to answer and to end by itself

log = structlog.get_logger("peephole")


class Supervisor:
    """Sees a dead or silent worker, and a silent event loop.

    Attributes:
        stalled: what is silent for `stall_seconds`, until it is heard again; /livez is 503 meanwhile.
        ends_process: whether a failed process that does not end by itself is ended, with 70.
    """

    def __init__(self, engine: Engine, settings: Settings, *, on_failure: Callable[[str], None]) -> None:
        """Prepare; `on_failure` is called once, with the reason, from the supervisor's thread."""
        self.stalled: str | None = None
        self.ends_process = False
        self._engine = engine
        self._settings = settings
        self._on_failure = on_failure
        self._loop_beats = 0
        self._due = monotonic()
        self._used = process_time()
        self._late = 0.0
        self._stopped = threading.Event()

    def start(self) -> None:
        """Start watching."""
        threading.Thread(target=self._watch, name="supervisor", daemon=True).start()

    def stop(self) -> None:
        """End watching."""
        self._stopped.set()

    async def beat(self) -> None:
        """Let the event loop's heart beat, for ever."""
        while True:
            self._loop_beats += 1
            self._due = monotonic() + TICK
            self._used = process_time()
            await asyncio.sleep(TICK)
            self._late = self._overdue()

    def lateness(self) -> float:
        """Return the seconds that the event loop is behind: how long what has just arrived waits for its turn.

        It is 0 up to a few milliseconds, which say nothing.
        """
        late = max(self._late, self._overdue())
        return late if late > JITTER else 0.0

    def _overdue(self) -> float:
        """Return how late the next beat is; a paused process uses no processor time, and is not late."""
        return max(0.0, min(monotonic() - self._due, process_time() - self._used))

    def _beats(self) -> dict[str, float]:
        workers = {worker.name: worker.beat for worker in self._engine.workers if not worker.has_ended}
        return {"the event loop": self._loop_beats, **workers}

    def _watch(self) -> None:
        last: dict[str, float] = {}
        silence: dict[str, float] = {}
        while not self._stopped.wait(TICK):
            beats = self._beats()
            silence = {name: silence.get(name, 0.0) + TICK if last.get(name) == beats[name] else 0.0 for name in beats}
            last = beats
            name = max(silence, key=lambda name: silence[name])
            self.stalled = f"{name} is stalled" if silence[name] >= self._settings.stall_seconds else None
            if self._engine.has_dead_worker():
                self._fail("an inference thread died")
                return
            if silence[name] >= self._settings.hang_seconds:
                log.critical("stalled", name=name, stacks=_stacks())
                self._fail(f"{name} is stalled for more than {self._settings.hang_seconds:g} s")
                return

    def _fail(self, reason: str) -> None:
        self.stalled = reason
        self._on_failure(reason)
        if self.ends_process:
            sleep(EXIT_GRACE)
            os._exit(EXIT_CODE)


def _stacks() -> dict[str, str]:
    """Return where each thread is."""
    frames = sys._current_frames()
    return {thread.name: "".join(format_stack(frames.get(thread.ident or 0))) for thread in threading.enumerate()}
