"""The load generator, the same for every server: raw HTTP/1.1 on asyncio, one process.

Closed loop: each connection sends its next request when the response is there. Open loop: requests are sent at a given
rate whatever the server does, and timed from when they were due, so that a stall counts for every request it delays.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from time import perf_counter
from typing import cast

import httptools
import numpy as np

HOST = "127.0.0.1"
IDLE_CONNECTIONS = 32  # that an open loop begins with


@dataclass(frozen=True, slots=True)
class Response:
    """One response: when it was complete, its status (0: the connection broke) and its body."""

    at: float
    status: int
    body: bytes


@dataclass(slots=True)
class Outcome:
    """What a load measured: seconds to each 200, seconds to each other response, and requests by result.

    Results are `answered` (200), `rejected` (another status), `timed_out` and `broken` (connections). `during` counts
    the requests answered before the last one was sent; the load takes `seconds`.
    """

    seconds: float = 0.0
    during: int = 0
    answered: list[float] = field(default_factory=list)
    rejected: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, response: Response, since: float) -> None:
        """Count a response to a request that was due at `since`."""
        if response.status == 200:
            self.answered.append(response.at - since)
        elif response.status:
            self.rejected.append(response.at - since)
        self.counts["answered" if response.status == 200 else "rejected" if response.status else "broken"] += 1


class Connection(asyncio.Protocol):
    """A keep-alive connection that carries one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._response: asyncio.Future[Response] | None = None
        self._body: list[bytes] = []
        self.reusable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not one by inheritance

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, _: Exception | None) -> None:
        self.reusable = False
        self._finish(0)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        self.reusable = self._parser.should_keep_alive()
        self._parser = httptools.HttpResponseParser(self)
        self._finish(status)

    def _finish(self, status: int) -> None:
        if self._response is not None and not self._response.done():
            self._response.set_result(Response(perf_counter(), status, b"".join(self._body)))
        self._body.clear()

    def send(self, request: bytes) -> "asyncio.Future[Response]":
        """Send a request; the future gets its response."""
        assert self.transport is not None
        self._response = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._response

    def close(self) -> None:
        self.reusable = False
        if self.transport is not None:
            self.transport.abort()


async def connect(port: int) -> Connection:
    """Open a connection."""
    _, connection = await asyncio.get_running_loop().create_connection(Connection, HOST, port)
    return connection


def post(body: bytes, timeout_ms: int | None = None) -> bytes:
    """Return a prediction request as it is sent, with a deadline if one is given."""
    deadline = f"X-Request-Timeout-Ms: {timeout_ms}\r\n" if timeout_ms else ""
    head = f"POST /predict HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nAccept: */*\r\n{deadline}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def closed_loop(port: int, requests: Sequence[bytes], *, connections: int, seconds: float) -> Outcome:
    """Keep `connections` busy for `seconds`; every connection completes at least one request."""
    outcome = Outcome()
    source = cycle(requests)
    opened = [await connect(port) for _ in range(connections)]
    began = perf_counter()

    async def drive(connection: Connection) -> None:
        while True:
            sent = perf_counter()
            response = await connection.send(next(source))
            outcome.note(response, sent)
            if response.at - began >= seconds or not connection.reusable:
                return

    await asyncio.gather(*map(drive, opened))
    outcome.seconds = perf_counter() - began
    for connection in opened:
        connection.close()
    return outcome


def arrivals(rate: float, seconds: float) -> Iterator[float]:
    """Yield the times of a Poisson process, from 0 to `seconds`."""
    rng = np.random.default_rng(0)
    at = rng.exponential(1 / rate)
    while at < seconds:
        yield at
        at += rng.exponential(1 / rate)


async def open_loop(port: int, requests: Sequence[bytes], *, rate: float, seconds: float, timeout: float) -> Outcome:
    """Send requests at `rate` a second for `seconds`; the client closes after `timeout` seconds without a response."""
    outcome = Outcome(seconds=seconds)
    source = cycle(requests)
    idle = [await connect(port) for _ in range(IDLE_CONNECTIONS)]
    tasks: set[asyncio.Task[None]] = set()

    async def one(due: float, request: bytes) -> None:
        connection = idle.pop() if idle else None
        try:
            async with asyncio.timeout(due + timeout - perf_counter()):
                if connection is None or not connection.reusable:
                    connection = await connect(port)
                outcome.note(await connection.send(request), due)
        except TimeoutError:
            outcome.counts["timed_out"] += 1
            if connection is not None:
                connection.close()
        except OSError:
            outcome.counts["broken"] += 1
        if connection is not None and connection.reusable:
            idle.append(connection)

    began = perf_counter()
    for offset in arrivals(rate, seconds):
        if (wait := began + offset - perf_counter()) > 0:
            await asyncio.sleep(wait)
        tasks.add(task := asyncio.create_task(one(began + offset, next(source))))
        task.add_done_callback(tasks.discard)
    outcome.during = len(outcome.answered)
    await asyncio.gather(*tasks)
    for connection in idle:
        connection.close()
    return outcome
