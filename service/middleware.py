"""Around every request: its id, its timing, metrics, one log line, security headers, the 500 of last resort."""

import asyncio
import random
import re
from collections.abc import MutableMapping
from time import perf_counter
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.body import Body
from service.errors import PROBLEM_TYPES, RETRY_SOON, Problem, handle_unexpected
from service.observability.metrics import Metrics
from service.observability.tracing import trace_id
from service.state import STOPPING, Service

PROBES = {
    "/livez",
    "/readyz",
    "/healthz",
    "/metrics",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/{name}/ready",
    "/v2/models/{name}/versions/{version}/ready",
}
COUNTED = {"POST", "PUT", "DELETE"}  # a drain waits for them
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._~:+/=-]{1,128}")

log = structlog.get_logger("peephole")


def choose_id(offered: str | None) -> str:
    """Return the id of a request: the client's, if it is safe to repeat, or a new one."""
    offered = (offered or "").strip()
    return offered if _REQUEST_ID.fullmatch(offered) else f"{random.getrandbits(64):016x}"


class RequestMiddleware:
    """ASGI middleware around the whole application.

    The handlers put what they know into the request's state: `stages` (seconds by name), `sizes` (numbers for the log
    line), `problem` (the slug of an error response) and `elsewhere` (it waits for the database, or for scores, so
    its time says nothing of how fast the service is). HEAD is handled as GET; the server leaves the body out.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app = app
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = perf_counter()
        headers = Headers(scope=scope)
        state: MutableMapping[str, Any] = scope.setdefault("state", {})
        state["request_id"] = choose_id(headers.get("x-request-id"))
        status = 0
        body = Body(receive)

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                if self.service.draining or headers.get("connection", "").lower() == "close":
                    await body.discard()
                status = message["status"]
                self._add_headers(MutableHeaders(scope=message), state)
            await send(message)

        method, inflight = scope["method"], self.service.inflight
        inner = {**scope, "method": "GET"} if method == "HEAD" else scope
        state["body_bytes"] = self._body_bytes(headers)
        entered = inflight.enter(state["body_bytes"]) if method in COUNTED else None
        try:
            await self.app(inner, body.receive, send_with_headers)
        except asyncio.CancelledError:  # by the server, when the drain is over
            if status:
                raise
            body.give_up()  # there is no time to read it
            stopping = Problem("unavailable", STOPPING, headers=RETRY_SOON)
            await stopping.response(Request(scope))(scope, receive, send_with_headers)
        except Exception as error:
            if status:
                raise
            request = Request(scope)
            response = await handle_unexpected(request, error)
            await response(scope, receive, send_with_headers)
        finally:
            if entered is not None:
                inflight.leave(state["body_bytes"], entered, completed=status == 200 and "elsewhere" not in state)
            route = getattr(inner.get("route"), "path", "unmatched")
            _count(self.service.metrics, method, route, status, perf_counter() - began, state)

    def _body_bytes(self, headers: Headers) -> int:
        """Return the size of a request's body, as announced; the largest where it is not."""
        most = self.service.settings.max_body_bytes
        if "transfer-encoding" in headers:
            return most
        return min(most, int(headers.get("content-length", 0)))  # the server has checked that it is a number

    def _add_headers(self, headers: MutableHeaders, state: MutableMapping[str, Any]) -> None:
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        headers["x-request-id"] = state["request_id"]
        if stages := state.get("stages"):
            headers["server-timing"] = ", ".join(f"{name};dur={1000 * value:.3f}" for name, value in stages.items())
        if self.service.draining:
            headers["connection"] = "close"


def _count(
    metrics: Metrics, method: str, route: str, status: int, seconds: float, state: MutableMapping[str, Any]
) -> None:
    """Count a request and write its log line; successful probes are counted only."""
    problem = state.get("problem")
    metrics.requests_of(route, method, f"{status // 100}xx").inc()
    metrics.request_seconds_of(route, method).observe(seconds)
    if method == "POST" and problem is not None and route != "unmatched" and problem != "method-not-allowed":
        metrics.rejected.labels(PROBLEM_TYPES[problem].reason).inc()
    if status < 400 and route in PROBES:
        return
    log.info(
        "request",
        request_id=state["request_id"],
        method=method,
        route=route,
        status=status,
        ms=round(1000 * seconds, 3),
        problem=problem,
        trace_id=trace_id(),
        **state.get("sizes", {}),
        **{f"{name}_ms": round(1000 * value, 3) for name, value in state.get("stages", {}).items()},
    )
