"""What is written down of requests, metrics and log lines, once nobody waits for it."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

ENOUGH = 64  # to begin while requests wait: one after the other entries cost half of what they cost one by one
A_FEW = 16  # that are written in one round of the event loop
LATEST_SECONDS = 0.05  # to begin


class Ledger:
    """Entries that wait until the service is idle, or until there are `ENOUGH`, but not for long.

    For the event loop alone, but for `write_up`.
    """

    def __init__(self, is_busy: Callable[[], bool]) -> None:
        self._is_busy = is_busy
        self._entries: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._is_looked_at = False
        self._is_timed = False
        self._is_late = False

    def enter(self, write: Callable[..., None], *arguments: Any) -> None:
        """Call `write` with the arguments before long, never right now."""
        self._entries.append((write, arguments))
        self._look_soon()

    def write_up(self) -> None:
        """Write all entries; whoever reads what they write calls this first."""
        self._write(len(self._entries))

    def _look_soon(self) -> None:
        if not self._is_looked_at:
            self._is_looked_at = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._is_looked_at = False
        if len(self._entries) >= ENOUGH or self._is_late or not self._is_busy():
            self._write(min(len(self._entries), max(A_FEW, len(self._entries) // 4)))  # more can never be too many
            self._is_late = self._is_late and bool(self._entries)
            if self._entries:
                self._look_soon()
        elif not self._is_timed:
            self._is_timed = True
            asyncio.get_running_loop().call_later(LATEST_SECONDS, self._be_late)

    def _be_late(self) -> None:
        self._is_timed = False
        self._is_late = True
        self._look_soon()

    def _write(self, count: int) -> None:
        for _ in range(count):
            write, arguments = self._entries.popleft()
            write(*arguments)
