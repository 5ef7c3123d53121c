"""A client of a running service for asyncio."""

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx2
import stamina
from typing_extensions import Unpack

from . import exchange
from .client import SECONDS
from .errors import RequestError, UnavailableError
from .exchange import Call, PredictOptions, Result, Steps
from .http import Budget, base_url, headers_of, read, unreachable
from .networks import Networks
from .predictions import Decision, Fit, Observed, Predictions, Task, Versions


class AsyncClient:
    """`Client` with methods to await: same arguments, results and errors.

    Args:
        url: where the service listens, with the path prefix of a proxy if there is one.
        key: API key, where the service requires one.
        timeout: seconds that a request may take, its retries included.
    """

    def __init__(self, url: str, *, key: str | None = None, timeout: float = SECONDS) -> None:
        self.url = base_url(url)
        self.timeout = timeout
        self._key = key
        self._start()

    def _start(self) -> None:
        self._kept: dict[str, Any] = {}
        self._connections: httpx2.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"<peephole.AsyncClient of {self.url}>"

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "timeout": self.timeout, "_key": self._key}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        connections, self._connections = self._connections, None
        if connections is not None:
            await connections.aclose()

    async def predict(self, networks: Networks, **options: Unpack[PredictOptions]) -> Predictions:
        """Predict learning curves; see `Predictor.predict`."""
        return await self._run(exchange.predict(networks, **options))

    async def rank(self, networks: Networks, **options: Unpack[PredictOptions]) -> Predictions:
        """Predict networks and return the best first; see `Predictor.rank`."""
        return (await self.predict(networks, **options)).ranked()

    async def top(self, networks: Networks, count: int = 10, **options: Unpack[PredictOptions]) -> Predictions:
        """Return the best; see `Predictor.top`."""
        return (await self.predict(networks, **options)).top(count)

    async def stop(
        self,
        runs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        best: float,
        task: str | None = None,
        confidence: float | None = None,
    ) -> list[Decision]:
        """Decide which training runs to stop; see `Predictor.stop`."""
        return await self._run(exchange.stop(runs, best=best, task=task, confidence=confidence))

    async def tasks(self) -> list[Task]:
        """Return the tasks that can be predicted."""
        return await self._run(exchange.tasks())

    async def observe(
        self,
        task: str,
        networks: Networks,
        accuracies: Sequence[float | Sequence[float]],
        *,
        seeds: Sequence[int] | None = None,
        proxies: Sequence[Mapping[str, float]] | None = None,
        input: Sequence[int] | None = None,  # noqa: A002 - the request's name for it
    ) -> Observed:
        """Store measured networks; see `Client.observe`."""
        options: dict[str, Any] = {"seeds": seeds, "proxies": proxies, "input": input}
        return await self._run(exchange.observe(task, networks, accuracies, **options))

    async def fit(self, task: str, id: str | None = None) -> Fit:  # noqa: A002 - the response's name for it
        """Start a background fit, or look at one; see `Client.fit`."""
        return await self._run(exchange.fit(task, id))

    async def versions(self, task: str) -> Versions:
        """Return the versions of a stored task; see `Client.versions`."""
        return await self._run(exchange.versions(task))

    async def use_version(self, task: str, version: str | None) -> Versions:
        """Let a version predict a stored task; see `Client.use_version`."""
        return await self._run(exchange.use_version(task, version))

    async def _run(self, steps: Steps[Result]) -> Result:
        """Carry out calls until the result is there."""
        try:
            call = next(steps)
            while True:
                try:
                    document = await self._send(call)
                except RequestError as error:  # some can be cured
                    call = steps.throw(error)
                else:
                    call = steps.send(document)
        except StopIteration as end:
            result: Result = end.value
            return result

    async def _send(self, call: Call) -> Any:
        if call.path in self._kept:
            return self._kept[call.path]
        connections = self._http()  # making them takes a while, and no answer depends on it
        budget = Budget(self.timeout)
        try:
            async for attempt in stamina.retry_context(on=budget.wait, attempts=None, timeout=None):
                with attempt:
                    document = await self._attempt(connections, call, budget)
        except UnavailableError as error:
            raise budget.spent(error) from error.__cause__
        if call.is_kept:
            self._kept[call.path] = document
        return document

    async def _attempt(self, connections: httpx2.AsyncClient, call: Call, budget: Budget) -> Any:
        seconds = budget.left
        headers = headers_of(call, self._key, seconds)
        try:
            async with asyncio.timeout(seconds):
                response = await connections.request(
                    call.method, self.url + call.path, content=call.body, headers=headers, timeout=seconds
                )
        except TimeoutError:
            raise UnavailableError(f"{self.url} does not answer in time") from None
        except httpx2.TransportError as error:
            raise unreachable(self.url, error) from error
        return read(response, self.url)

    def _http(self) -> httpx2.AsyncClient:
        """Return the connections; another event loop has its own."""
        loop = asyncio.get_running_loop()
        if self._connections is None or self._loop is not loop:
            self._connections, self._loop = httpx2.AsyncClient(), loop
        return self._connections
