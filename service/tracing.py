"""OpenTelemetry traces, when a collector is configured: FastAPI's own, a span a request."""

from collections.abc import MutableMapping
from typing import Any

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace

from service.probes import is_probe
from service.settings import Settings


def _is_probe(scope: MutableMapping[str, Any]) -> bool:
    return is_probe(scope.get("path", ""))


def tracing(settings: Settings) -> TelemetryConfig:
    """Return how FastAPI traces; metrics are Prometheus's, and errors' texts may hold input, so neither is exported."""
    wanted = settings.trace_endpoint is not None
    return {
        "tracing": wanted,
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": wanted,
        "exclude": _is_probe,
    }


def name_span(method: str, route: str) -> None:
    """Call the current span after its route, as FastAPI's router does for what passes through it."""
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attribute("http.route", route)
        span.update_name(f"{method} {route}")


def trace_id() -> str | None:
    """Return the id of the current trace as logs and collectors write it, or `None` outside of one."""
    context = trace.get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid else None
