"""The short way of predictions: no framework between the connection and the answer.

Requests of ordinary size that arrive in one go, or nearly, take it. A network that comes alone to an idle service is
predicted where it arrives, without a task or another thread; whoever is refused for want of room hears so before his
body has come. Everything else, and whatever is not quite simple, goes through uvicorn and the application.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Any, Protocol

from starlette.requests import Request
from starlette.types import Message

from service.admission import admit, enter, leave
from service.answer import render
from service.arrival import PATH, Arrival
from service.aside import too_late
from service.body import expect, hold
from service.calls import Call, count, read_here
from service.edge import GONE, account, added_headers, choose_id, explain
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
        self._waiting: list[tuple[Asking, Arrival, dict[str, Any]]] = []

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

    def answer_soon(self, asking: Asking, arrival: Arrival) -> None:
        """Answer a request that is complete; those that come at the same time share a batch."""
        state = _state(arrival)
        enter(self.service)
        try:
            hold(state, self.service, arrival.size)
        except Problem as problem:
            leave(state, self.service)
            asking.reply(self._problem(arrival, state, problem))
            return
        expect(state, self.service, arrival.size)
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._answer_all)
        self._waiting.append((asking, arrival, state))

    def forget(self, arrival: Arrival) -> None:
        """Count a request whose caller hung up before it was answered."""
        self._account(arrival, _state(arrival) | {"gone": True}, GONE)

    def _answer_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        is_alone = self.service.inflight == 1 and not self.service.engine.backlog.cost
        for asking, arrival, state in waiting:
            is_present = asking.arrival is arrival
            reply = self._answer_here(arrival, state) if is_alone and is_present else None
            if is_present and reply is None:
                asking.serve(self._answer(asking, arrival, state))
                continue
            leave(state, self.service)
            if reply is None:
                self.forget(arrival)
            else:
                asking.reply(reply)

    def _answer_here(self, arrival: Arrival, state: dict[str, Any]) -> Reply | None:
        """Answer a lone network on the event loop, or a request with faults; leave everything else, once it is read."""
        try:
            call = self._read(arrival, state)
            if call is None or len(call.population.codes) > 1 or call.population.observed:
                return None
            if state["deadline"] - monotonic() < LEAST_PATIENCE:
                return None
            (codes,) = call.population.codes
            curves = predict_at_once(self.service, state, call.model, codes, call.epochs)
            if curves is None:
                return None
            if monotonic() > state["deadline"]:
                return self._problem(arrival, state, too_late())
            began = perf_counter()
            text = render(state["request_id"], call.model.card, call.epochs, call.population, curves)
        except Problem as problem:
            return self._problem(arrival, state, problem)
        except Exception as error:  # whatever it was: the caller must not wait for ever
            return self._problem(arrival, state, explain(error, state))
        state["stages"]["encode"] = perf_counter() - began
        state["sizes"] = {"bytes_in": arrival.size, "networks": 1}
        self.service.ledger.enter(count, self.service.metrics, state["stages"], call, curves)
        return self._reply(arrival, state, 200, text)

    def _read(self, arrival: Arrival, state: dict[str, Any]) -> Call | None:
        """Read a request on the event loop, and remember it, if that takes but a millisecond or two."""
        began = perf_counter()
        call = state["call"] = read_here(arrival.take_body(), self.service, state["deadline"])
        if call is not None:
            state["stages"] |= {"validate": perf_counter() - began, "queue": 0.0}
        return call

    async def _answer(self, asking: Asking, arrival: Arrival, state: dict[str, Any]) -> None:
        """Answer any request, sharing the inference threads with others."""
        request = Request({"type": "http", "path": PATH, "headers": (), "state": state}, asking.hung_up)
        try:
            try:
                text = await answer(request, self.service, arrival.take_body(), state.get("call"))
            finally:
                leave(state, self.service)
        except ClientGoneError:
            self._account(arrival, state | {"gone": True}, GONE)
        except (Exception, asyncio.CancelledError) as error:
            problem = error if isinstance(error, Problem) else explain(error, state)
            asking.reply(self._problem(arrival, state, problem))
        else:
            asking.reply(self._reply(arrival, state, 200, text))

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
        self.service.ledger.enter(account, self.service.metrics, "POST", PATH, status, seconds, state)


def _state(arrival: Arrival) -> dict[str, Any]:
    """Return what is known of a request, as the edge keeps it."""
    request_id = choose_id(arrival.headers.get("x-request-id", "").encode("latin-1"))
    return {"request_id": request_id, "deadline": arrival.deadline, "stages": {}}
