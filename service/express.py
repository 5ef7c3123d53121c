"""The short way of predictions: no framework between the connection and the answer.

Requests of ordinary size that arrive in one go take it. A network that comes alone to an idle service is predicted
where it arrives, without a task or another thread; whoever is refused for want of room hears so before his body has
come. Everything else, and whatever is not quite simple, goes through uvicorn and the application.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Any, Protocol

from starlette.requests import Request
from starlette.types import Message

from service.admission import admit, counted
from service.answer import render
from service.arrival import PATH, Arrival
from service.aside import INLINE_BYTES
from service.body import expect, hold
from service.calls import count, read_here
from service.edge import account, added_headers, choose_id, explain
from service.logs import log
from service.predicting import predict_at_once
from service.problems import MEDIA_TYPE, ClientGoneError, Problem
from service.routes.predict import answer
from service.service import Service

LEAST_PATIENCE = 0.05  # seconds; whoever has less is told in time, which the event loop cannot do while it predicts


@dataclass(frozen=True, slots=True)
class Reply:
    """A response; `closes` says whether its connection must end."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    closes: bool


class Asking(Protocol):
    """A connection whose request is complete and waits for an answer."""

    arrival: Arrival | None

    def reply(self, reply: Reply) -> None:
        """Answer the request."""

    def serve(self, answering: Coroutine[Any, Any, None]) -> None:
        """Let a task answer the request."""

    async def hung_up(self) -> Message:
        """Wait for the caller to hang up, and say so as ASGI does."""


class Express:
    """Answers what takes the short way. For the event loop alone."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._asking: list[Asking] = []

    def admits(self, arrival: Arrival) -> bool:
        """Judge a request by its head; whether it may take the short way.

        Raises:
            Problem: when there is no room for it. Other refusals are the application's.
        """
        if arrival.size > self.service.settings.max_body_bytes:
            return False
        try:
            arrival.deadline = admit(arrival.headers, self.service)
        except Problem as problem:
            if problem.slug == "queue-full":
                raise
            return False
        return True

    def refusal(self, arrival: Arrival, problem: Problem) -> Reply:
        """Return the answer to a request that is refused."""
        return self._problem(arrival, _state(arrival), problem)

    def answer_soon(self, asking: Asking) -> None:
        """Answer a request; those that came at the same time share a batch."""
        if not self._asking:
            asyncio.get_running_loop().call_soon(self._answer_all)
        self._asking.append(asking)

    def _answer_all(self) -> None:
        waiting, self._asking = [(one, one.arrival) for one in self._asking], []
        asking = [(one, arrival) for one, arrival in waiting if arrival is not None]
        is_idle = len(asking) == 1 and not self.service.inflight and not self.service.engine.backlog.cost
        for one, arrival in asking:
            state = _state(arrival)
            text = self._answer_here(arrival, state) if is_idle and arrival.size <= INLINE_BYTES else None
            if text is None:
                one.serve(self._answer(one, arrival, state))
            else:
                one.reply(self._reply(arrival, state, 200, text))

    def _answer_here(self, arrival: Arrival, state: dict[str, Any]) -> bytes | None:
        """Answer a lone network on the event loop; return `None` for whatever is not a matter of course."""
        service, deadline = self.service, state["deadline"]
        began = perf_counter()
        try:
            call = read_here(arrival.take_body(), service, deadline)
            read = perf_counter()
            state |= {"call": call, "stages": {"validate": read - began, "queue": 0.0}}
            if call is None or len(call.population.codes) > 1 or call.population.observed:
                return None
            if deadline - monotonic() < LEAST_PATIENCE:
                return None
            curves = predict_at_once(service, call.model, call.population.codes, call.epochs)
            if curves is None or monotonic() > deadline:
                return None
            predicted = perf_counter()
            text = render(state["request_id"], call.model.card, call.epochs, call.population, curves)
        except Problem:  # found again, and said, on the way that everything else takes
            return None
        except Exception:
            log.exception("answering_here_failed")
            return None
        times = state["stages"]
        times |= {"infer": predicted - read, "encode": perf_counter() - predicted}
        state["sizes"] = {"bytes_in": arrival.size, "networks": 1}
        service.intake.learn(arrival.size, len(call.population.codes[0]))
        service.metrics.queue_seconds.observe(0.0)
        asyncio.get_running_loop().call_soon(count, service.metrics, times, call, curves)
        return text

    async def _answer(self, asking: Asking, arrival: Arrival, state: dict[str, Any]) -> None:
        """Answer any request, sharing the inference threads with others."""
        request = Request({"type": "http", "path": PATH, "headers": (), "state": state}, asking.hung_up)
        try:
            with counted(state, self.service):
                hold(state, self.service, arrival.size)
                expect(state, self.service, arrival.size)
                text = await answer(request, self.service, arrival.take_body(), state.get("call"))
            asking.reply(self._reply(arrival, state, 200, text))
        except ClientGoneError:
            state["gone"] = True
            self._account(arrival, state, 499)
        except (Exception, asyncio.CancelledError) as error:
            problem = error if isinstance(error, Problem) else explain(error, state)
            asking.reply(self._problem(arrival, state, problem))

    def _problem(self, arrival: Arrival, state: dict[str, Any], problem: Problem) -> Reply:
        state["problem"] = problem.slug
        return self._reply(arrival, state, problem.status, problem.body(state["request_id"]), problem.headers)

    def _reply(
        self,
        arrival: Arrival,
        state: dict[str, Any],
        status: int,
        body: bytes,
        problem_headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Return a reply with every header but the connection's; count and log it once it is on its way."""
        self._account(arrival, state, status)
        media_type = "application/json" if problem_headers is None else MEDIA_TYPE
        given = {name.lower(): value for name, value in (problem_headers or {}).items()}
        closes = given.pop("connection", "") == "close"
        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", media_type.encode())]
        headers += [(name.encode(), value.encode()) for name, value in given.items()]
        return Reply(status, headers + added_headers(state["request_id"], state["stages"]), body, closes)

    def _account(self, arrival: Arrival, state: dict[str, Any], status: int) -> None:
        seconds = perf_counter() - arrival.began
        asyncio.get_running_loop().call_soon(account, self.service.metrics, "POST", PATH, status, seconds, state)


def _state(arrival: Arrival) -> dict[str, Any]:
    """Return what is known of a request, as the edge keeps it."""
    request_id = choose_id(arrival.headers.get("x-request-id", "").encode("latin-1"))
    return {"request_id": request_id, "deadline": arrival.deadline, "stages": {}}
