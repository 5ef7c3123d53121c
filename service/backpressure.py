"""Requests of one connection that wait behind each other, a few at a time."""

from asyncio import Transport
from collections.abc import Callable

from uvicorn.protocols.http.flow_control import FlowControl

MOST_WAITING = 16  # requests, but for those of the slice that was parsed last
SLICE_BYTES = 4096  # parsed in one go: some two hundred of the smallest requests


class Backpressure(FlowControl):
    """Keeps what arrived unparsed while many requests of a connection wait, and reads no more of it meanwhile.

    uvicorn pauses reading when one request waits, but goes on after each answer: whoever sends requests of a few bytes
    in packets of many would fill the memory with what is known of each.
    """

    def __init__(self, transport: Transport, waiting: Callable[[], int]) -> None:
        """Take the place of uvicorn's; `waiting` says how many requests wait."""
        super().__init__(transport)
        self._waiting = waiting
        self._parts: list[memoryview] = []  # the last comes first

    def add(self, data: bytes) -> None:
        """Take what arrived, behind what is kept."""
        self._parts.insert(0, memoryview(data))

    def put_back(self, data: "bytes | memoryview") -> None:
        """Take what is to be parsed before anything else."""
        self._parts.append(memoryview(data))

    def next(self, announced: int) -> memoryview | None:
        """Return what may be parsed now; `None` when there is nothing, or too much waits already.

        `announced` bytes belong to the body of the request that is being parsed: they are no requests, and may be many.
        """
        if not self._parts:
            return None
        if self._waiting() >= MOST_WAITING:
            self.pause_reading()
            return None
        part, size = self._parts.pop(), max(SLICE_BYTES, announced)
        if len(part) > size:
            self._parts.append(part[size:])
        return part[:size]

    def clear(self) -> None:
        """Forget what is kept."""
        self._parts.clear()

    def resume_reading(self) -> None:
        """Read on, unless what was read is not parsed yet."""
        if not self._parts:
            super().resume_reading()
