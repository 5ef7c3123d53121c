"""Predictions on the event loop, and the thread that notices when one never ends.

Handing a lone network to an inference thread and back takes a quarter of the time to its answer, so the loop predicts
it itself. Nobody else is heard meanwhile: a predictor that stalled there would leave everybody waiting. The watchdog
then takes the loop's place (`standby.py`).
"""

from collections.abc import Callable
from threading import Lock, Thread
from time import sleep

TICK = 0.1


class Watchdog(Thread):
    """Watches what runs inside `with watchdog:` on the event loop.

    Time is counted in looks, not by the clock: while the whole process stands still (paused, starved) nobody looks, and
    nothing is held against the predictor.
    """

    def __init__(self, *, stall_seconds: float, on_stall: Callable[[], None]) -> None:
        """Prepare the thread.

        Args:
            stall_seconds: how long a run may take.
            on_stall: called on the watchdog's thread when one took longer. The event loop stays blocked from then on,
                should the run end after all; the process must end.
        """
        super().__init__(name="watchdog", daemon=True)
        self._looks = max(1, round(stall_seconds / TICK))
        self._on_stall = on_stall
        self._lock = Lock()
        self._runs = 0
        self._is_running = False

    def __enter__(self) -> None:
        self._runs += 1
        self._is_running = True

    def __exit__(self, *_: object) -> None:
        with self._lock:  # for ever, once the watchdog has taken the loop's place
            self._is_running = False

    def run(self) -> None:
        """Look again and again at what is running, for as long as the process lives."""
        seen = looks = 0
        while True:
            sleep(TICK)
            looks = looks + 1 if self._is_running and self._runs == seen else 0
            seen = self._runs
            if looks < self._looks:
                continue
            with self._lock:
                if self._is_running and self._runs == seen:
                    self._on_stall()
