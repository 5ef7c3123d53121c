"""What both HTTP clients share: the time that a call may take, when to try again, and how responses are read."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any

import httpx2

from .errors import PeepholeError, RequestError, ServiceError, UnavailableError
from .exchange import Call
from .model.network.faults import Fault

RETRIED = {429, 502, 503}
UNAVAILABLE = {*RETRIED, 504}
FIRST_WAIT, LONGEST_WAIT = 0.1, 2.0  # seconds, where the service does not say
LEAST_TIME = 0.05  # seconds that an attempt gets
PROBLEM = "application/problem+json"


@dataclass
class Budget:
    """The seconds of one call, its retries included; counts them."""

    seconds: float
    began: float = field(default_factory=monotonic)
    tries: int = 0

    @property
    def left(self) -> float:
        """Seconds that are left for an attempt."""
        return max(LEAST_TIME, self.began + self.seconds - monotonic())

    def wait(self, error: Exception) -> float | bool:
        """Return how long to wait before the next attempt, or `False` to give up; the hook of stamina."""
        self.tries += 1
        if not isinstance(error, UnavailableError) or error.status not in {None, *RETRIED}:
            return False
        grown = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (self.tries - 1))
        jittered = grown * (0.5 + random.random() / 2)  # noqa: S311 - so that clients do not come back together
        seconds = jittered if error.retry_after is None else error.retry_after
        return seconds if monotonic() + seconds < self.began + self.seconds else False

    def spent(self, error: UnavailableError) -> UnavailableError:
        """Return the error of the last attempt, with their number."""
        tries = "1 try" if self.tries == 1 else f"{self.tries} tries"
        message = f"{error} ({tries} in {monotonic() - self.began:.1f} s)"
        return UnavailableError(message, error.status, error.request_id, error.retry_after)


def headers_of(call: Call, key: str | None, seconds: float) -> dict[str, str]:
    """Return the headers of an attempt that may take so many seconds."""
    headers = {"X-Request-Timeout-Ms": str(max(1, int(seconds * 1000))), **call.headers}
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    return headers


def unreachable(url: str, error: httpx2.TransportError) -> UnavailableError:
    """Return the error of an attempt without a response."""
    if isinstance(error, httpx2.TimeoutException):
        return UnavailableError(f"{url} does not answer in time")
    return UnavailableError(f"{url} cannot be reached: {error or type(error).__name__}")


def read(response: httpx2.Response, url: str) -> Any:
    """Return the document of a response.

    Raises:
        RequestError: for a status of 4xx but 429.
        UnavailableError: for 429, 502, 503 and 504.
        ServiceError: for all others, and for what is not JSON.
    """
    status = response.status_code
    document = _json(response)
    if 200 <= status < 300:
        if document is None:
            raise ServiceError(f"{url} answers, but not in JSON: is it a Peephole service?", status)
        return document
    problem = document if isinstance(document, dict) and _is_problem(response) else {}
    said = problem.get("detail") or response.reason_phrase
    message, request_id = f"{status}: {said}", problem.get("request_id")
    error: PeepholeError
    if status in UNAVAILABLE:
        error = UnavailableError(f"{url}: {message}", status, request_id, retry_after(response.headers))
    elif 400 <= status < 500:
        error = RequestError(said if problem else message, status, request_id, _faults(problem))
    else:
        error = ServiceError(f"{url}: {message}", status, request_id)
    raise error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a `Retry-After`, which may be a date; `None` where there is none."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def base_url(url: str) -> str:
    """Return an address without a slash at its end.

    Raises:
        ValueError: when it does not begin with http:// or https://.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"the address of a service begins with http:// or https://, unlike {url!r}")
    return url.rstrip("/")


def _json(response: httpx2.Response) -> Any:
    try:
        return json.loads(response.content)
    except ValueError:
        return None


def _is_problem(response: httpx2.Response) -> bool:
    return response.headers.get("Content-Type", "").startswith(PROBLEM)


def _faults(problem: Mapping[str, Any]) -> list[Fault]:
    return [Fault(one["pointer"], one["code"], one["detail"]) for one in problem.get("errors", ())]
