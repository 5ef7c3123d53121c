"""The outermost layer: request ids, timings, metrics, the access line, security headers, the last-resort 500."""

import asyncio
import random
import re
from collections.abc import Mapping, MutableMapping
from time import perf_counter
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.ledger import Ledger
from service.logs import log
from service.metrics import Metrics
from service.probes import is_probe
from service.problems import KINDS, ClientGoneError, Problem, for_path
from service.tracing import trace_id

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~:+/=-]{1,128}")
_SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
)
GONE = 499  # the status in logs and metrics of a request whose caller hung up
_GOING = {"Retry-After": "1", "Connection": "close"}


def stages(scope: MutableMapping[str, Any]) -> dict[str, float]:
    """Return the stage times of a request, in seconds, for the handler to fill in."""
    times: dict[str, float] = scope["state"].setdefault("stages", {})
    return times


def choose_id(offered: bytes) -> str:
    """Return the id of a request: what the caller offered, or one of our own."""
    offered = offered.rstrip()
    return offered.decode() if _REQUEST_ID.fullmatch(offered) else f"{random.getrandbits(64):016x}"


def added_headers(request_id: str, times: Mapping[str, float]) -> list[tuple[bytes, bytes]]:
    """Return the headers that every response has; `times` are its stages, in seconds."""
    headers = [*_SECURITY, (b"x-request-id", request_id.encode())]
    if times:
        timing = ", ".join(f"{name};dur={1000 * seconds:.3f}" for name, seconds in times.items())
        headers.append((b"server-timing", timing.encode()))
    return headers


def explain(error: BaseException, state: MutableMapping[str, Any]) -> Problem:
    """Return what the caller of a request is told of an error that nobody expected; notes and logs it."""
    if isinstance(error, asyncio.CancelledError):  # the process ends and can wait no longer
        problem = Problem("unavailable", "The service stopped before the answer was ready.", headers=_GOING)
    else:
        log.error("request_failed", request_id=state["request_id"], exc_info=error)
        problem = Problem("internal-error", "An unexpected error; the log has it under the request_id.")
    state["problem"] = problem.slug
    return problem


def _is_of_prediction(problem: str, route: str) -> bool:
    """Whether a refused POST asked for a prediction."""
    return problem != "method-not-allowed" and route != "unmatched"


def account(metrics: Metrics, method: str, route: str, status: int, seconds: float, state: Mapping[str, Any]) -> None:
    """Count and log a request.

    Args:
        metrics: where it counts.
        method: as asked.
        route: which endpoint answered, "unmatched" for none.
        status: of the response; 499 when the caller hung up.
        seconds: from the request's head to the answer's end.
        state: what else is known: `request_id`, `trace_id`, `stages`, `sizes`, `problem`, `gone`.
    """
    method = method if method in {"GET", "HEAD", "POST"} else "OTHER"
    metrics.requests_of(route, method, f"{status // 100}xx").inc()
    metrics.request_seconds_of(route, method).observe(seconds)
    problem: str | None = state.get("problem")
    gone = state.get("gone", False)
    if method == "POST" and gone:
        metrics.rejected.labels("client_gone").inc()
    elif method == "POST" and problem is not None and _is_of_prediction(problem, route):
        metrics.rejected.labels(KINDS[problem].reason).inc()
    if status < 400 and is_probe(route):
        return
    log.info(
        "request",
        request_id=state["request_id"],
        method=method,
        route=route,
        status=status,
        trace_id=state.get("trace_id"),
        problem=problem,
        ms=round(1000 * seconds, 3),
        **state.get("sizes", {}),
        **{f"{name}_ms": round(1000 * value, 3) for name, value in state.get("stages", {}).items()},
    )


class Edge:
    """ASGI middleware around the whole application; `direct` are applications by method and path that go first.

    Whatever answers GET answers HEAD.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, ledger: Ledger, direct: Mapping[tuple[str, str], ASGIApp]
    ) -> None:
        self.app = app
        self.metrics = metrics
        self.ledger = ledger
        self.direct = direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        app = self.direct.get((scope["method"], scope["path"]), self.app)
        request_id = choose_id(next((value for name, value in scope["headers"] if name == b"x-request-id"), b""))
        scope.setdefault("state", {})["request_id"] = request_id
        inner = scope
        if scope["method"] == "HEAD":  # the server leaves the body out
            inner = {**scope, "method": "GET"}
        status = 500
        sent = False

        async def edged_send(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                sent = True
                status = message["status"]
                headers = list(message.get("headers", ()))
                given = {name for name, _ in headers}
                added = added_headers(request_id, scope["state"].get("stages", {}))
                message["headers"] = headers + [header for header in added if header[0] not in given]
            await send(message)

        try:
            await app(inner, receive, edged_send)
        except ClientGoneError:
            status = GONE
            scope["state"]["gone"] = True
        except (Exception, asyncio.CancelledError) as error:
            if not sent:
                problem = for_path(explain(error, scope["state"]), scope["path"])
                await problem.response(request_id)(scope, receive, edged_send)
            elif isinstance(error, asyncio.CancelledError):
                raise
            else:
                log.error("request_failed", request_id=request_id, exc_info=error)
        finally:
            route = getattr(inner.get("route"), "path", "unmatched")
            scope["state"]["trace_id"] = trace_id()
            seconds = perf_counter() - started
            self.ledger.enter(account, self.metrics, scope["method"], route, status, seconds, scope["state"])
