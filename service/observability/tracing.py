"""OpenTelemetry traces, when a collector is configured: FastAPI's own, a span a request."""

from collections.abc import MutableMapping
from typing import Any

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace

from service.settings import Settings

QUIET_PATHS = ("/livez", "/readyz", "/healthz", "/metrics", "/v2/health/")


def _is_probe(scope: MutableMapping[str, Any]) -> bool:
    return str(scope.get("path", "")).startswith(QUIET_PATHS)


def tracing(settings: Settings) -> TelemetryConfig:
    """Return how FastAPI traces; metrics are Prometheus's, and error texts are not exported."""
    enabled = settings.trace_endpoint is not None
    return {
        "tracing": enabled,
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": enabled,
        "exclude": _is_probe,
    }


def trace_id() -> str | None:
    """Return the id of the current trace in hexadecimal, `None` outside of one."""
    context = trace.get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid else None
