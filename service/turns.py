"""When bodies are read and answers written on the event loop."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

LEAST_SECONDS = 0.0005  # of a round, for those let in
SHARE = 0.15  # of the time that everything else took in the round before
MOST_SECONDS = 0.01  # unless a single turn takes longer
FADING = 0.9  # of how long turns took, at each


class Turns:
    """Spreads the work for those let in over the rounds of the event loop while the inference threads are busy anyway.

    Were every body read as soon as it has arrived, and every answer written as soon as its curves are there, whoever
    comes in a crowd would wait for all of them to hear that there is no room for him. But where callers who were
    refused come again at once, there is nothing but refusals if those let in do not have their share. Answers go before
    readings: more was spent on them.
    """

    def __init__(self, is_busy: Callable[[], bool]) -> None:
        """Prepare; `is_busy` says whether the inference threads have work."""
        self._is_busy = is_busy
        self._readings: deque[asyncio.Future[None]] = deque()
        self._answers: deque[asyncio.Future[None]] = deque()
        self._goes_round = False
        self._usual = LEAST_SECONDS  # that a turn takes
        self._seconds = 0.0  # taken in this round
        self._since = 0.0  # when this round began

    async def to_read(self) -> None:
        """Wait for a turn, in a later round of the event loop; not at all while there is no other work."""
        await self._wait(self._readings)

    async def to_answer(self) -> None:
        """Wait as `to_read` does, with precedence."""
        await self._wait(self._answers)

    async def _wait(self, line: "deque[asyncio.Future[None]]") -> None:
        if not self._is_busy():
            return
        loop = asyncio.get_running_loop()
        line.append(turn := loop.create_future())
        if not self._goes_round:
            self._goes_round = True
            self._since = perf_counter()
            loop.call_soon(self._next_round)
        await turn

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Count the time that a turn takes."""
        began = perf_counter()
        try:
            yield
        finally:
            seconds = perf_counter() - began
            self._seconds += seconds
            self._usual += (1 - FADING) * (seconds - self._usual)

    def _next_round(self) -> None:
        """Let as many go on as there is time for, at least one."""
        now = perf_counter()
        others = now - self._since - self._seconds
        self._since, self._seconds = now, 0.0
        left = min(MOST_SECONDS, max(LEAST_SECONDS, SHARE * others))
        while left > 0 and (line := self._answers or self._readings):
            turn = line.popleft()
            if not turn.done():
                turn.set_result(None)
                left -= self._usual
        self._goes_round = bool(self._answers or self._readings)
        if self._goes_round:
            asyncio.get_running_loop().call_soon(self._next_round)
