"""When bodies are read on the event loop."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

LEAST_SECONDS = 0.0005  # of reading in a round
SHARE = 0.15  # of the time that everything else took in the round before
MOST_SECONDS = 0.01  # unless a single body takes longer


class Turns:
    """Spreads readings over the rounds of the event loop while the inference threads have work anyway.

    Were every body read as soon as it has arrived, whoever comes in a crowd would wait for the bodies before his own to
    hear that there is no room for him. But where callers who were refused come again at once, there is nothing but
    refusals if readings do not have their share.
    """

    def __init__(self, is_busy: Callable[[], bool]) -> None:
        """Prepare; `is_busy` says whether the inference threads have work."""
        self._is_busy = is_busy
        self._seconds = 0.0  # of reading in this round
        self._most = LEAST_SECONDS
        self._since: float | None = None  # when this round was first looked at

    async def wait(self) -> None:
        """Wait for the next round, and for one that has time left."""
        while self._is_busy():
            self._watch()
            await asyncio.sleep(0)
            if self._seconds < self._most:
                return

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Count the time of a reading."""
        self._watch()
        began = perf_counter()
        try:
            yield
        finally:
            self._seconds += perf_counter() - began

    def _watch(self) -> None:
        if self._since is None:
            self._since = perf_counter()
            asyncio.get_running_loop().call_soon(self._begin_round, self._since)

    def _begin_round(self, since: float) -> None:
        others = perf_counter() - since - self._seconds
        self._most = min(MOST_SECONDS, max(LEAST_SECONDS, SHARE * others))
        self._seconds = 0.0
        self._since = None
