"""Errors on the wire: RFC 9457 problem details, one catalogue, never an echo of what was sent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

MAX_FAULTS = 20
MAX_TEXT = 300
MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its HTTP status and title, what the caller can do, the reason metrics count it under."""

    status: int
    title: str
    advice: str
    reason: str = "invalid"


KINDS = {
    "malformed-json": Kind(400, "The body is not JSON", "Send one JSON object, UTF-8; NaN and Infinity are not JSON."),
    "bad-request": Kind(400, "The request is malformed", "See the detail."),
    "malformed-http": Kind(400, "This is not HTTP/1.1", "Use an HTTP client."),
    "unauthorized": Kind(401, "A key is needed", "Send Authorization: Bearer KEY, or X-API-Key: KEY.", "unauthorized"),
    "not-found": Kind(404, "No such resource", "GET /docs lists what there is."),
    "method-not-allowed": Kind(405, "The resource has no such method", "The Allow header lists its methods."),
    "body-timeout": Kind(408, "The body did not arrive in time", "Send the body without pauses."),
    "headers-timeout": Kind(408, "The headers did not arrive in time", "Send the headers without pauses."),
    "too-large": Kind(413, "The request is too large", "Split it; GET /info publishes the limits.", "too_large"),
    "unsupported-media-type": Kind(415, "The body's type is not supported", "Send Content-Type: application/json."),
    "invalid-request": Kind(422, "The request is invalid", "Correct the fields that `errors` points at."),
    "headers-too-large": Kind(431, "The headers are too large", "Send fewer or shorter headers.", "too_large"),
    "queue-full": Kind(429, "Too much is waiting", "Retry after the seconds in Retry-After.", "queue_full"),
    "internal-error": Kind(500, "The service failed", "Report it with the request_id.", "engine_error"),
    "prediction-failed": Kind(
        500, "The predictor failed", "Retry without the networks that `errors` points at; report them.", "engine_error"
    ),
    "unavailable": Kind(
        503, "The service cannot answer now", "Retry after the seconds in Retry-After, or elsewhere.", "unavailable"
    ),
    "deadline-exceeded": Kind(
        504, "The deadline passed", "Ask with a later X-Request-Timeout-Ms, or for less at once.", "deadline"
    ),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a request: a JSON Pointer to it, a stable code and a sentence that does not quote the input."""

    pointer: str
    code: str
    detail: str


RETRY = {"Retry-After": "2"}  # of a service that is not ready


class Problem(Exception):  # noqa: N818 - RFC 9457's own name for it
    """Raised anywhere while a request is handled; becomes an `application/problem+json` response."""

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
        self.faults = faults
        self.headers = dict(headers or {})
        self.extensions = extensions

    @property
    def status(self) -> int:
        """The HTTP status of the response."""
        return KINDS[self.slug].status

    def body(self, request_id: str) -> bytes:
        """Return the problem document; ASCII, so that no string whatever can fail to encode."""
        document: dict[str, Any] = {
            "type": f"/problems/{self.slug}",
            "title": KINDS[self.slug].title,
            "status": self.status,
            "detail": self.detail[:MAX_TEXT],
            "request_id": request_id,
            **self.extensions,
        }
        if self.faults:
            document["errors"] = [
                {"pointer": f.pointer, "code": f.code, "detail": f.detail[:MAX_TEXT]} for f in self.faults[:MAX_FAULTS]
            ]
            document["truncated"] = len(self.faults) > MAX_FAULTS
        return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()

    def response(self, request_id: str) -> Response:
        """Return the problem as a response."""
        return Response(self.body(request_id), self.status, self.headers, media_type=MEDIA_TYPE)


class ClientGoneError(Exception):
    """The caller hung up; nobody is there to answer."""


def invalid(faults: Sequence[Fault]) -> Problem:
    """Return the 422 for `faults`; its detail is the first of them."""
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return Problem("invalid-request", f"{faults[0].pointer or 'the body'}: {faults[0].detail}{more}", faults=faults)


def request_id(request: Request) -> str:
    """Return the id that the edge middleware gave the request."""
    return str(request.scope.get("state", {}).get("request_id", ""))


def for_path(problem: Problem, path: str) -> Problem:
    """Add `error` for the Open Inference Protocol, which looks for the text there."""
    if path.startswith("/v2"):
        problem.extensions["error"] = problem.detail
    return problem


async def on_problem(request: Request, error: Exception) -> Response:
    """Exception handler for `Problem`."""
    assert isinstance(error, Problem)  # noqa: S101 - registered for this class alone
    request.scope["state"]["problem"] = error.slug
    return for_path(error, request.scope["path"]).response(request_id(request))


_STATUSES = {400: "bad-request", 404: "not-found", 405: "method-not-allowed", 413: "too-large"}


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Exception handler for what Starlette's router and FastAPI raise themselves."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    slug = _STATUSES.get(error.status_code, "bad-request")
    headers = dict(error.headers or {})
    if headers.get("Allow") == "GET":
        headers["Allow"] = "GET, HEAD"  # which `edge` answers
    return await on_problem(request, Problem(slug, KINDS[slug].advice, headers=headers))
