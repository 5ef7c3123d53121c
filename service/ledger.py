"""What is written down of requests, metrics and log lines, once nobody waits for it."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

ENOUGH = 64  # entries take a millisecond or two; one after the other they cost half of what they cost one by one
LATEST_SECONDS = 0.05


class Ledger:
    """Entries that wait until the service is idle, or until there are `ENOUGH`, but never for long.

    For the event loop alone, but for `write_up`.
    """

    def __init__(self, is_busy: Callable[[], bool]) -> None:
        self._is_busy = is_busy
        self._entries: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._is_looked_at = False
        self._is_timed = False

    def enter(self, write: Callable[..., None], *arguments: Any) -> None:
        """Call `write` with the arguments before long, never right now."""
        self._entries.append((write, arguments))
        if not self._is_looked_at:
            self._is_looked_at = True
            asyncio.get_running_loop().call_soon(self._look)

    def write_up(self) -> None:
        """Write all entries; whoever reads what they write calls this first."""
        while self._entries:
            write, arguments = self._entries.popleft()
            write(*arguments)

    def _look(self) -> None:
        self._is_looked_at = False
        if len(self._entries) >= ENOUGH or not self._is_busy():
            self.write_up()
        elif not self._is_timed:
            self._is_timed = True
            asyncio.get_running_loop().call_later(LATEST_SECONDS, self._write_late)

    def _write_late(self) -> None:
        self._is_timed = False
        self.write_up()
