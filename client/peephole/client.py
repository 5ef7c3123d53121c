"""A client of a running service."""

import os
from collections.abc import Mapping, Sequence
from threading import Lock
from types import TracebackType
from typing import Any, Self

import httpx2
import stamina

from . import exchange
from .errors import UnavailableError
from .exchange import Call
from .http import Budget, base_url, headers_of, read, unreachable
from .networks import Networks
from .predictions import Fit, Observed, Versions
from .predictor import Predictor

SECONDS = 30.0


class Client(Predictor):
    """Sends requests to a service, and retries them while it is busy, restarting or not reachable.

    Example:
        ```python
        with peephole.Client("http://localhost:8000") as client:
            best = client.top(population, 5, task="cifar10-mini")
        ```

    Args:
        url: where the service listens, with the path prefix of a proxy if there is one.
        key: API key, where the service requires one.
        timeout: seconds that a request may take, its retries included. A population beyond the service's limits is
            several requests.
    """

    def __init__(self, url: str, *, key: str | None = None, timeout: float = SECONDS) -> None:
        self.url = base_url(url)
        self.timeout = timeout
        self._key = key
        self._start()

    def _start(self) -> None:
        self._kept: dict[str, Any] = {}
        self._connections: httpx2.Client | None = None
        self._process = os.getpid()
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"<peephole.Client of {self.url}>"

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "timeout": self.timeout, "_key": self._key}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        connections, self._connections = self._connections, None
        if connections is not None:
            connections.close()

    def observe(
        self,
        task: str,
        networks: Networks,
        accuracies: Sequence[float | Sequence[float]],
        *,
        seeds: Sequence[int] | None = None,
        proxies: Sequence[Mapping[str, float]] | None = None,
        input: Sequence[int] | None = None,  # noqa: A002 - the request's name for it
    ) -> Observed:
        """Store measured networks: later predictions for the task learn from them.

        A network under the same seed keeps its first accuracy, so that a repeated call changes nothing.

        Args:
            task: yours; made when `input` is given, or known from imported networks, and it does not exist yet.
            networks: as in `predict`.
            accuracies: of each, 0 to 1: the final one, or those after epochs 1, 2, ...
            seeds: of each training run; 0 by default.
            proxies: zero-cost scores of each network.
            input: channels, height and width of the task's images.

        Raises:
            RequestError, UnavailableError, ServiceError: as `predict`.
        """
        options: dict[str, Any] = {"seeds": seeds, "proxies": proxies, "input": input}
        return self._run(exchange.observe(task, networks, accuracies, **options))

    def fit(self, task: str, id: str | None = None) -> Fit:  # noqa: A002 - the response's name for it
        """Start a background fit of a stored task; with the `id` of one, return how it stands.

        Raises:
            RequestError, UnavailableError, ServiceError: as `predict`.
        """
        return self._run(exchange.fit(task, id))

    def versions(self, task: str) -> Versions:
        """Return the versions of a stored task, and which of them predicts.

        Raises:
            RequestError, UnavailableError, ServiceError: as `predict`.
        """
        return self._run(exchange.versions(task))

    def use_version(self, task: str, version: str | None) -> Versions:
        """Let a version predict a stored task until another is chosen.

        Args:
            task: yours.
            version: a published one, or `"context"`; `None`: what won the last fit.

        Raises:
            RequestError, UnavailableError, ServiceError: as `predict`.
        """
        return self._run(exchange.use_version(task, version))

    def _send(self, call: Call) -> Any:
        if call.path in self._kept:
            return self._kept[call.path]
        connections = self._http()  # making them takes a while, and no answer depends on it
        budget = Budget(self.timeout)
        try:
            for attempt in stamina.retry_context(on=budget.wait, attempts=None, timeout=None):
                with attempt:
                    document = self._attempt(connections, call, budget)
        except UnavailableError as error:
            raise budget.spent(error) from error.__cause__
        if call.is_kept:
            self._kept[call.path] = document
        return document

    def _attempt(self, connections: httpx2.Client, call: Call, budget: Budget) -> Any:
        seconds = budget.left
        headers = headers_of(call, self._key, seconds)
        try:
            response = connections.request(
                call.method, self.url + call.path, content=call.body, headers=headers, timeout=seconds
            )
        except httpx2.TransportError as error:
            raise unreachable(self.url, error) from error
        return read(response, self.url)

    def _http(self) -> httpx2.Client:
        """Return the connections; a forked process has its own."""
        with self._lock:
            if self._process != os.getpid():
                self._start()
            if self._connections is None:
                self._connections = httpx2.Client()
            return self._connections
