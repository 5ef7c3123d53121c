"""The outermost layer: request ids, timings, metrics, the access line, security headers, the last-resort 500."""

import re
import secrets
from collections.abc import MutableMapping
from time import perf_counter
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.logs import log
from service.metrics import Metrics
from service.problems import KINDS, ClientGoneError, Problem
from service.tracing import trace_id

_REQUEST_ID = re.compile(r"[A-Za-z0-9._~:+/=-]{1,128}")
_QUIET = {"/livez", "/readyz", "/healthz", "/metrics"}
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


def stages(scope: MutableMapping[str, Any]) -> dict[str, float]:
    """Return the stage times of a request, in seconds, for the handler to fill in."""
    times: dict[str, float] = scope["state"].setdefault("stages", {})
    return times


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        offered = Headers(scope=scope).get("x-request-id", "")
        request_id = offered if _REQUEST_ID.fullmatch(offered) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 500
        sent = False

        async def edged_send(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                sent = True
                status = message["status"]
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers["X-Request-ID"] = request_id
                for name, value in _SECURITY.items():
                    headers.setdefault(name, value)
                times = scope["state"].get("stages", {})
                if times:
                    timing = ", ".join(f"{name};dur={1000 * seconds:.3f}" for name, seconds in times.items())
                    headers["Server-Timing"] = timing
            await send(message)

        try:
            await self.app(scope, receive, edged_send)
        except ClientGoneError:
            status = 499
            scope["state"]["gone"] = True
        except Exception:
            log.exception("request_failed", request_id=request_id)
            if not sent:
                problem = Problem("internal-error", "An unexpected error; the log has it under the request_id.")
                await problem.response(request_id)(scope, receive, edged_send)
        finally:
            self._account(scope, request_id, status, perf_counter() - started)

    def _account(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in {"GET", "HEAD", "POST"} else "OTHER"
        self.metrics.requests.labels(route, method, f"{status // 100}xx").inc()
        self.metrics.request_seconds.labels(route, method).observe(seconds)
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
