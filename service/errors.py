"""Errors on the wire: RFC 9457 problem documents from one catalogue, without an echo of the request."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match

from model.network.faults import Fault, faults_of
from model.requests.errors import MAX_FAULTS, InvalidRequestError, summary

MAX_TEXT = 600
MEDIA_TYPE = "application/problem+json"
RETRY_SOON = {"Retry-After": "2"}

log = structlog.get_logger("peephole")


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A type of problem: HTTP status, title, what the client can do, and the reason label in the metrics."""

    status: int
    title: str
    advice: str
    reason: str = "invalid"


PROBLEM_TYPES = {
    "malformed-json": ProblemType(400, "The body is not JSON", "Send one JSON object in UTF-8."),
    "bad-request": ProblemType(400, "The request is malformed", "See the detail."),
    "unauthorized": ProblemType(
        401, "A key is needed", "Send Authorization: Bearer KEY, or X-API-Key: KEY.", "unauthorized"
    ),
    "quota-exceeded": ProblemType(403, "A quota is used up", "Delete stored tasks that are no longer needed."),
    "not-found": ProblemType(404, "No such resource", "GET /docs lists the resources."),
    "method-not-allowed": ProblemType(405, "The resource has no such method", "The Allow header lists its methods."),
    "conflict": ProblemType(409, "The request conflicts with what is stored", "See the detail."),
    "too-large": ProblemType(
        413, "The request is too large", "Split the request; GET /info publishes the limits.", "too_large"
    ),
    "unsupported-media-type": ProblemType(
        415, "The body's type is not supported", "Send Content-Type: application/json."
    ),
    "invalid-request": ProblemType(422, "The request is invalid", "Correct the fields that `errors` points at."),
    "queue-full": ProblemType(429, "The queue is full", "Retry after the seconds in Retry-After.", "queue_full"),
    "internal-error": ProblemType(500, "The service failed", "Report it with the request_id.", "engine_error"),
    "prediction-failed": ProblemType(
        500,
        "The predictor failed",
        "Retry without the networks that `errors` points at, and report them.",
        "engine_error",
    ),
    "unavailable": ProblemType(
        503, "The service is not available", "Retry after the seconds in Retry-After.", "unavailable"
    ),
    "deadline-exceeded": ProblemType(
        504, "The deadline passed", "Send a later X-Request-Timeout-Ms, or fewer networks.", "deadline"
    ),
}


class Problem(Exception):  # noqa: N818 - RFC 9457's own name for it
    """Raised while a request is handled; becomes an `application/problem+json` response."""

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        **extensions: object,
    ) -> None:
        super().__init__(detail)
        self.slug = slug
        self.detail = detail
        self.faults = list(faults)
        self.headers = dict(headers or {})
        self.extensions = extensions

    def response(self, request: Request) -> Response:
        """Return the problem document as a response; ASCII, so that it can always be encoded."""
        kind = PROBLEM_TYPES[self.slug]
        document: dict[str, Any] = {
            "type": problem_uri(request, self.slug),
            "title": kind.title,
            "status": kind.status,
            "detail": self.detail[:MAX_TEXT],
            "request_id": request_id(request),
            **self.extensions,
        }
        if self.faults:
            document["errors"] = [
                {"pointer": fault.pointer, "code": fault.code, "detail": fault.detail[:MAX_TEXT]}
                for fault in self.faults[:MAX_FAULTS]
            ]
            document["truncated"] = len(self.faults) > MAX_FAULTS
        if "/v2/" in request.scope["path"]:  # where Open Inference Protocol clients look for the text
            document["error"] = self.detail[:MAX_TEXT]
        request.scope.setdefault("state", {})["problem"] = self.slug
        return Response(json.dumps(document, allow_nan=False), kind.status, self.headers, media_type=MEDIA_TYPE)


def invalid(*faults: Fault) -> Problem:
    """Return the 422 for `faults`; its detail is the first of them, with its place."""
    return Problem("invalid-request", summary(faults), faults=faults)


def problem_of(error: ValidationError, form: Any = None, base: Sequence[str | int] = ()) -> Problem:
    """Return the 400 for a text that is not JSON, or the 422 for JSON of another form; see `faults_of`."""
    return problem_with(*faults_of(error, base, form))


def problem_with(*faults: Fault) -> Problem:
    """Return the 400 for a body that is not JSON, else the 422."""
    if faults[0].code == "not-json" and not faults[0].pointer:
        return Problem("malformed-json", faults[0].detail)
    return invalid(*faults)


def problem_uri(request: Request, slug: str) -> str:
    """Return the `type` of a problem: where GET explains it, behind a path prefix too."""
    scope = request.scope
    prefix = scope.get("app_root_path", scope.get("root_path", ""))  # a mount has its own root path
    return f"{prefix}/problems/{slug}"


def request_id(request: Request) -> str:
    """Return the request's id, which the middleware sets."""
    return str(request.scope.get("state", {}).get("request_id", ""))


async def handle_problem(request: Request, error: Exception) -> Response:
    """Exception handler for `Problem`."""
    assert isinstance(error, Problem)  # noqa: S101 - registered for this class alone
    return error.response(request)


async def handle_invalid(request: Request, error: Exception) -> Response:
    """Exception handler for `InvalidRequestError`."""
    assert isinstance(error, InvalidRequestError)  # noqa: S101 - registered for this class alone
    return problem_with(*error.faults).response(request)


async def handle_timeout(request: Request, _: Exception) -> Response:
    """Exception handler for `TimeoutError`: the request's deadline passed."""
    return Problem("deadline-exceeded", "The deadline passed before the response was ready.").response(request)


async def handle_disconnect(request: Request, _: Exception) -> Response:
    """Exception handler for `ClientDisconnect`: for the metrics and the log, since no client reads the response."""
    return Problem("bad-request", "The connection was closed before the body was complete.").response(request)


async def handle_http_exception(request: Request, error: Exception) -> Response:
    """Exception handler for what the router raises: unknown paths and methods."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    headers = dict(error.headers or {})
    if error.status_code == 404:
        slash = "leave out the slash at its end; " if request.scope["path"].rstrip("/") != request.scope["path"] else ""
        problem = Problem("not-found", f"There is no such path; {slash}GET /docs lists the resources.")
    elif error.status_code == 405:
        allowed = ", ".join(_methods(request)) or headers.get("Allow", "")
        hint = f"Use {allowed}" if ", " not in allowed else f"The methods are: {allowed}"
        problem = Problem("method-not-allowed", f"{hint}; GET /docs shows the form.", headers={"Allow": allowed})
    else:
        problem = Problem("bad-request", "The request is malformed.", headers=headers)
    return problem.response(request)


def _methods(request: Request) -> list[str]:
    """Return the methods of all routes of a path; the middleware handles HEAD as GET."""
    routes = [route for route in request.app.state.routes if route.matches(request.scope)[0] != Match.NONE]
    found = {method for route in routes for method in route.methods}
    return sorted(found | ({"HEAD"} if "GET" in found else set()))


async def handle_unexpected(request: Request, error: Exception) -> Response:
    """Exception handler of last resort: logged with the request's id, which the client is given."""
    log.error("request_failed", request_id=request_id(request), exc_info=error)
    return Problem("internal-error", "An unexpected error; the log has it under the request_id.").response(request)


EXCEPTION_HANDLERS: dict[Any, Any] = {
    Problem: handle_problem,
    InvalidRequestError: handle_invalid,
    TimeoutError: handle_timeout,
    ClientDisconnect: handle_disconnect,
    HTTPException: handle_http_exception,
}
