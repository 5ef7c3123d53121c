"""The thread that notices when the event loop is stuck: in a prediction of its own, or anywhere else.

Handing a lone network to an inference thread and back takes a quarter of the time to its answer, so the loop predicts
it itself. Nobody else is heard meanwhile: a predictor that stalled there would leave everybody waiting. The watchdog
then takes the loop's place (`standby.py`).
"""

from collections.abc import Callable
from threading import Lock, Thread
from time import sleep

TICK = 0.1


class _Patience:
    """How long something may stay as it is, counted in looks."""

    def __init__(self, seconds: float) -> None:
        self._most = max(1, round(seconds / TICK))
        self._looks = 0
        self._seen: int | None = None

    def is_over(self, now: int | None) -> bool:
        """Look; `None` may stay for ever."""
        self._looks = self._looks + 1 if now is not None and now == self._seen else 0
        self._seen = now
        return self._looks >= self._most


class Watchdog(Thread):
    """Watches what runs inside `with watchdog:` on the event loop, and that the loop beats once it has begun to.

    Time is counted in looks, not by the clock: while the whole process stands still (paused, starved) nobody looks, and
    nothing is held against anybody.
    """

    def __init__(
        self,
        *,
        stall_seconds: float,
        on_stall: Callable[[], None],
        silent_seconds: float,
        on_silence: Callable[[], None],
    ) -> None:
        """Prepare the thread.

        Args:
            stall_seconds: how long a run may take.
            on_stall: called on the watchdog's thread when one took longer. The event loop stays blocked from then on,
                should the run end after all; the process must end.
            silent_seconds: longest time between two beats.
            on_silence: called on the watchdog's thread when it is over, again and again.
        """
        super().__init__(name="watchdog", daemon=True)
        self._stall = _Patience(stall_seconds)
        self._on_stall = on_stall
        self._silence = _Patience(silent_seconds)
        self._on_silence = on_silence
        self._lock = Lock()
        self._runs = 0
        self._is_running = False
        self._beats: int | None = None

    def beat(self) -> None:
        """Say that the event loop goes around."""
        self._beats = (self._beats or 0) + 1

    def __enter__(self) -> None:
        self._runs += 1
        self._is_running = True

    def __exit__(self, *_: object) -> None:
        with self._lock:  # for ever, once the watchdog has taken the loop's place
            self._is_running = False

    def run(self) -> None:
        """Look again and again, for as long as the process lives."""
        while True:
            sleep(TICK)
            runs = self._runs
            if self._stall.is_over(runs if self._is_running else None):
                with self._lock:
                    if self._is_running and self._runs == runs:
                        self._on_stall()
            if self._silence.is_over(self._beats):
                self._on_silence()
