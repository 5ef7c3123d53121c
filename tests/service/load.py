"""Clients that keep a service busy, and what became of each of their requests."""

import threading
import time
from collections import Counter

import httpx2

from tests.service.live import Live, until
from tests.service.requests import body, network


class Load:
    """Clients on keep-alive connections, each with networks of its own length.

    A client goes on after a 503, on a new connection where the server closed the old one, unless `stops_on_503`.

    Attributes:
        outcomes: responses by status, transport errors by name, `refused` where nothing listens any more.
    """

    def __init__(self, live: Live, *, clients: int = 8, stops_on_503: bool = False) -> None:
        self.url = live.url
        self.stops_on_503 = stops_on_503
        self.outcomes: Counter[str] = Counter()
        self._stopping = threading.Event()
        self._connected: set[int] = set()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        until(lambda: len(self._connected) == len(self._threads), "every client has had a response")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop; every client gets its last response."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in self._threads), "a client was never answered"

    def _run(self, number: int) -> None:
        with httpx2.Client(timeout=20) as client:
            while not self._stopping.is_set() and self._send(client, number):
                pass

    def _send(self, client: httpx2.Client, number: int) -> bool:
        sent = body(*(network(number) for _ in range(1 + number % 2)))
        try:
            response = client.post(self.url + "/predict", json=sent)
        except httpx2.ConnectError:
            self.outcomes["refused"] += 1
            return False
        except httpx2.TransportError as error:
            self.outcomes[type(error).__name__] += 1
            return False
        self.outcomes[str(response.status_code)] += 1
        self._connected.add(number)
        if response.status_code == 200:
            ids = [prediction["id"] for prediction in response.json()["predictions"]]
            assert ids == [one["id"] for one in sent["architectures"]]
        if response.status_code == 503:
            assert response.headers["content-type"] == "application/problem+json"
            assert int(response.headers["retry-after"]) > 0
            time.sleep(0.02)
            return not self.stops_on_503
        return True
