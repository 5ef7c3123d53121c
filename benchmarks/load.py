"""The load generator, the same for every server: raw HTTP/1.1 on asyncio, one process.

Closed loop: each connection sends its next request when the answer is there. Open loop: requests come at a given rate
whatever the server does, and are timed from when they were due, so that a stall is charged to all who waited for it.
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


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: when it was complete, its status (0: none, the connection broke) and its body."""

    at: float
    status: int
    body: bytes


@dataclass(slots=True)
class Outcome:
    """What a load saw. Latencies in seconds."""

    seconds: float = 0.0
    good: list[float] = field(default_factory=list)
    rejected: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)

    def percentile(self, q: float) -> float:
        """Latency of answered requests, in milliseconds."""
        return 1000 * float(np.percentile(self.good, q)) if self.good else float("nan")


class Connection(asyncio.Protocol):
    """A keep-alive connection that carries one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Answer] | None = None
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
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Answer(perf_counter(), status, b"".join(self._body)))
        self._body.clear()

    def send(self, request: bytes) -> "asyncio.Future[Answer]":
        """Send a request; the future gets its answer."""
        assert self.transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._answer

    def close(self) -> None:
        self.reusable = False
        if self.transport is not None:
            self.transport.abort()


async def connect(port: int) -> Connection:
    """Open a connection."""
    _, connection = await asyncio.get_running_loop().create_connection(Connection, HOST, port)
    return connection


def post(body: bytes, timeout_ms: int | None = None) -> bytes:
    """Return a prediction request as bytes on the wire."""
    patience = f"X-Request-Timeout-Ms: {timeout_ms}\r\n" if timeout_ms else ""
    head = f"POST /predict HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nAccept: */*\r\n{patience}"
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
            answer = await connection.send(next(source))
            _record(outcome, answer, sent)
            if answer.at - began >= seconds or not connection.reusable:
                return

    await asyncio.gather(*map(drive, opened))
    outcome.seconds = perf_counter() - began
    for connection in opened:
        connection.close()
    return outcome


def _record(outcome: Outcome, answer: Answer, since: float) -> None:
    outcome.statuses[str(answer.status)] += 1
    if answer.status == 200:
        outcome.good.append(answer.at - since)
    elif answer.status:
        outcome.rejected.append(answer.at - since)


def arrivals(rate: float, seconds: float) -> Iterator[float]:
    """Yield the times of a Poisson process, from 0 to `seconds`."""
    rng = np.random.default_rng(0)
    at = rng.exponential(1 / rate)
    while at < seconds:
        yield at
        at += rng.exponential(1 / rate)


async def open_loop(port: int, requests: Sequence[bytes], *, rate: float, seconds: float, patience: float) -> Outcome:
    """Send requests at `rate` a second for `seconds`; who is not answered within `patience` seconds hangs up."""
    outcome = Outcome(seconds=seconds)
    source = cycle(requests)
    idle = [await connect(port) for _ in range(32)]
    tasks: set[asyncio.Task[None]] = set()

    async def one(due: float, request: bytes) -> None:
        connection = idle.pop() if idle else None
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + due + patience - perf_counter()):
                if connection is None or not connection.reusable:
                    connection = await connect(port)
                _record(outcome, await connection.send(request), due)
        except TimeoutError:
            outcome.statuses["timeout"] += 1
            if connection is not None:
                connection.close()
        except OSError:
            outcome.statuses["0"] += 1
        if connection is not None and connection.reusable:
            idle.append(connection)

    began = perf_counter()
    for offset in arrivals(rate, seconds):
        if (wait := began + offset - perf_counter()) > 0:
            await asyncio.sleep(wait)
        tasks.add(task := asyncio.create_task(one(began + offset, next(source))))
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    for connection in idle:
        connection.close()
    return outcome
