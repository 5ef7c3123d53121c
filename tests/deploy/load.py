"""Clients that keep asking for predictions, and the fate of every request."""

import json
import random
import threading
from collections import Counter
from http.client import HTTPConnection, HTTPException
from types import TracebackType


def request_body(task: str, networks: int, dice: random.Random) -> bytes:
    """Return a request for networks that nobody asked about before, so that no cache answers."""
    architectures = []
    for _ in range(networks):
        layers: list[dict[str, object]] = []
        for _ in range(dice.randint(2, 8)):
            layers.append({"type": "conv", "kernel_size": dice.choice([1, 3, 5]), "out_channels": dice.randint(8, 200)})
            layers.append({"type": dice.choice(["relu", "tanh", "batch_norm"])})
        architectures.append({"layers": [*layers, {"type": "max_pool", "kernel_size": 2, "stride": 2}]})
    return json.dumps({"task": task, "architectures": architectures, "out_of_range": "clamp"}).encode()


class Load:
    """Closed-loop clients on kept-alive connections; a context manager.

    Attributes:
        answered: number of answers by status.
        refused: connections that were not accepted: nothing was asked yet, the client goes elsewhere.
        lost: requests sent that got no answer, with the error.
    """

    def __init__(self, host: str, port: int, task: str, *, clients: int = 4, networks: int = 8) -> None:
        self.host, self.port, self.task, self.networks = host, port, task, networks
        self.answered: Counter[int] = Counter()
        self.refused = 0
        self.lost: list[str] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._client, args=(seed,)) for seed in range(clients)]

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

    def _client(self, seed: int) -> None:
        dice = random.Random(f"{seed}-{random.random()}")
        connection = HTTPConnection(self.host, self.port, timeout=60)
        body = b""
        while not self._stop.is_set():
            if not body or dice.random() < 0.9:  # the others are repeats, for the cache
                body = request_body(self.task, self.networks, dice)
            try:
                if connection.sock is None:
                    connection.connect()
            except OSError:
                with self._lock:
                    self.refused += 1
                self._stop.wait(0.05)
                continue
            try:
                connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
                with self._lock:
                    self.answered[response.status] += 1
                if response.status == 429:
                    self._stop.wait(0.2)
            except (OSError, HTTPException) as error:
                connection.close()
                with self._lock:
                    self.lost.append(repr(error))
