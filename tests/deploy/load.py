"""Clients that keep sending prediction requests, and what became of each request."""

import itertools
import json
import random
import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from uuid import uuid4

STOPPING = 503
NO_RESPONSE = 599
CONNECT_SECONDS = 3  # the address of a stopped container drops what is sent to it
RESPONSE_SECONDS = 60


def request_body(task: str, networks: int, dice: random.Random) -> bytes:
    """Return a request for new networks, which no cache holds."""
    architectures = []
    for _ in range(networks):
        layers: list[dict[str, object]] = []
        for _ in range(dice.randint(2, 8)):
            layers.append({"type": "conv", "kernel_size": dice.choice([1, 3, 5]), "out_channels": dice.randint(8, 200)})
            layers.append({"type": dice.choice(["relu", "tanh", "batch_norm"])})
        architectures.append({"layers": [*layers, {"type": "max_pool", "kernel_size": 2, "stride": 2}]})
    return json.dumps({"task": task, "architectures": architectures}).encode()


class Load:
    """Closed-loop clients on kept-alive connections that back off when told to; a context manager.

    Attributes:
        answered: number of responses by status.
        answers: status by request id.
        refused: connections that were not accepted, before any request. Once the service stops (a 503, or a response
            that closes its connection), a new connection that is reset counts as well: closing a listening socket
            resets the connections that the kernel queued for it.
        retried: times that a request was sent again, when there are retries: after no response or a server error.
        lost: requests that got no response, with the error.
    """

    def __init__(
        self, host: str, port: int, task: str, *, clients: int = 4, networks: int = 8, retries: int = 0
    ) -> None:
        self.host, self.port, self.task, self.networks, self.retries = host, port, task, networks, retries
        self.prefix = uuid4().hex[:8]
        self.answered: Counter[int] = Counter()
        self.answers: dict[str, int] = {}
        self.refused = self.retried = 0
        self.lost: list[str] = []
        self._lock = threading.Lock()
        self._stopping = False
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._client, args=(number,)) for number in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _client(self, number: int) -> None:
        dice = random.Random(f"{self.prefix}-{number}")
        connection = HTTPConnection(self.host, self.port, timeout=CONNECT_SECONDS)
        body, status = b"", 200
        for count in itertools.count():
            if status >= 400:
                self._stop.wait(0.1)
            if self._stop.is_set():
                return
            if not body or dice.random() < 0.9:  # the others are repeats, for the cache
                body = request_body(self.task, self.networks, dice)
            for left in range(self.retries, -1, -1):
                status = self._ask(connection, f"{self.prefix}-{number}-{count}", body, status, left)
                if status < 500 or not left:
                    break
                with self._lock:
                    self.retried += 1
                time.sleep(0.2)

    def _ask(self, connection: HTTPConnection, name: str, body: bytes, before: int, left: int) -> int:
        """Send a request and account for what became of it; return its status, or `before` when it has none."""
        fresh = connection.sock is None
        try:
            if fresh:
                connection.connect()
                connection.sock.settimeout(RESPONSE_SECONDS)
        except OSError:
            with self._lock:
                self.refused += 1
            self._stop.wait(0.05)
            return before
        try:
            connection.request("POST", "/predict", body, {"Content-Type": "application/json", "X-Request-ID": name})
            response = connection.getresponse()
            response.read()
        except (OSError, HTTPException) as error:
            connection.close()
            with self._lock:
                if fresh and self._stopping:
                    self.refused += 1
                elif not left:
                    self.lost.append(f"{name}: {error!r}")
            return before if not left else NO_RESPONSE
        with self._lock:
            self._stopping |= response.status == STOPPING or response.will_close
            if response.status < 500 or not left:
                self.answered[response.status] += 1
                self.answers[name] = response.status
        return response.status
