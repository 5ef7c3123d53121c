"""The outermost layer: request ids, timings, metrics, the access line, security headers, the last-resort 500."""

import asyncio
import random
import re
from collections.abc import Mapping, MutableMapping
from time import perf_counter
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.logs import log
from service.metrics import Metrics
from service.problems import KINDS, ClientGoneError, Problem
from service.tracing import trace_id

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~:+/=-]{1,128}")
_QUIET = {"/livez", "/readyz", "/healthz", "/metrics"}
_SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
)
_GOING = {"Retry-After": "1", "Connection": "close"}


def stages(scope: MutableMapping[str, Any]) -> dict[str, float]:
    """Return the stage times of a request, in seconds, for the handler to fill in."""
    times: dict[str, float] = scope["state"].setdefault("stages", {})
    return times


class Edge:
    """ASGI middleware around the whole application; `direct` are applications by method and path that go first."""

    def __init__(self, app: ASGIApp, metrics: Metrics, direct: Mapping[tuple[str, str], ASGIApp]) -> None:
        self.app = app
        self.metrics = metrics
        self.direct = direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        app = self.direct.get((scope["method"], scope["path"]), self.app)
        offered = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = offered.decode() if _REQUEST_ID.fullmatch(offered) else f"{random.getrandbits(64):016x}"
        scope.setdefault("state", {})["request_id"] = request_id
        status = 500
        sent = False

        async def edged_send(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                sent = True
                status = message["status"]
                headers = list(message.get("headers", ()))
                given = {name for name, _ in headers}
                headers += [header for header in _SECURITY if header[0] not in given]
                headers.append((b"x-request-id", request_id.encode()))
                times = scope["state"].get("stages", {})
                if times:
                    timing = ", ".join(f"{name};dur={1000 * seconds:.3f}" for name, seconds in times.items())
                    headers.append((b"server-timing", timing.encode()))
                message["headers"] = headers
            await send(message)

        try:
            await app(scope, receive, edged_send)
        except ClientGoneError:
            status = 499
            scope["state"]["gone"] = True
        except asyncio.CancelledError:  # the process ends and can wait no longer
            if sent:
                raise
            scope["state"]["problem"] = "unavailable"
            problem = Problem("unavailable", "The service stopped before the answer was ready.", headers=_GOING)
            await problem.response(request_id)(scope, receive, edged_send)
        except Exception:
            log.exception("request_failed", request_id=request_id)
            if not sent:
                problem = Problem("internal-error", "An unexpected error; the log has it under the request_id.")
                await problem.response(request_id)(scope, receive, edged_send)
        finally:
            arguments = (scope, request_id, status, perf_counter() - started)
            asyncio.get_running_loop().call_soon(self._account, *arguments)  # once the answer is on its way

    def _account(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in {"GET", "HEAD", "POST"} else "OTHER"
        self.metrics.requests_of(route, method, f"{status // 100}xx").inc()
        self.metrics.request_seconds_of(route, method).observe(seconds)
        problem = scope["state"].get("problem")
        gone = scope["state"].get("gone", False)
        if method == "POST" and (gone or problem is not None):
            self.metrics.rejected.labels("client_gone" if gone else KINDS[problem].reason).inc()
        if route in _QUIET and status < 400:
            return
        times = {f"{name}_ms": round(1000 * value, 3) for name, value in scope["state"].get("stages", {}).items()}
        log.info(
            "request",
            request_id=request_id,
            method=method,
            route=route,
            status=status,
            trace_id=trace_id(),
            problem=problem,
            ms=round(1000 * seconds, 3),
            **scope["state"].get("sizes", {}),
            **times,
        )
