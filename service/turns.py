"""When bodies are read on the event loop."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

MOST_SECONDS = 0.002  # of reading in a round, unless a single body takes longer


class Turns:
    """Spreads readings over the rounds of the event loop while the inference threads have work anyway.

    Were every body read as soon as it has arrived, whoever comes in a crowd would wait for the bodies before his own to
    hear that there is no room for him.
    """

    def __init__(self, is_busy: Callable[[], bool]) -> None:
        """Prepare; `is_busy` says whether the inference threads have work."""
        self._is_busy = is_busy
        self._seconds = 0.0  # of reading in this round

    async def wait(self) -> None:
        """Wait for the next round, and for one that has time left."""
        while self._is_busy():
            await asyncio.sleep(0)
            if self._seconds < MOST_SECONDS:
                return

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Count the time of a reading."""
        began = perf_counter()
        try:
            yield
        finally:
            if not self._seconds:
                asyncio.get_running_loop().call_soon(self._begin_round)
            self._seconds += perf_counter() - began

    def _begin_round(self) -> None:
        self._seconds = 0.0
