"""What every prediction request passes before its handler: key, readiness, deadline, room in the queue, its body."""

import asyncio
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from service.errors import PROBLEM_TYPES, RETRY_SOON, Problem
from service.inference.engine import queue_full
from service.state import Service, ServiceDep

TIMEOUT_HEADER = "X-Request-Timeout-Ms"
INLINE_BYTES = 128 * 1024  # larger bodies are validated in a thread
INLINE_NETWORKS = 64  # larger responses are rendered in a thread
LOOP_TURNS = 5  # of the event loop, that a request waits for: its head, the pieces of its body, its results
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Result = TypeVar("Result")


async def key_owner(request: Request, service: ServiceDep) -> str:
    """Return the owner of the request's key.

    Raises:
        Problem: 401 without a key.
    """
    return service.keys.check(request.headers)


Owner = Annotated[str, Depends(key_owner)]


async def admit(request: Request, service: ServiceDep, _: Owner) -> float:
    """Return the deadline of a request on the monotonic clock; reject it before its body is read if it must be.

    Raises:
        Problem: 401 without a key, 503 when the service is not ready, 400 for a bad deadline, 429 when the bodies in
            flight are too many bytes, or the expected wait, for other requests and for an event loop that is behind, is
            over the limit or half the time until the deadline.
    """
    if reasons := service.not_ready():
        raise Problem("unavailable", "; ".join(reasons), headers=RETRY_SOON, reasons=reasons)
    settings, inflight = service.settings, service.inflight
    seconds = _timeout_ms(request, settings.max_deadline_ms) / 1000
    wait = inflight.wait(request.scope["state"]["body_bytes"]) + LOOP_TURNS * service.supervisor.lateness()
    if wait > min(settings.max_queue_ms / 1000, seconds / 2):
        raise queue_full(wait)
    if inflight.body_bytes > settings.max_inflight_bytes and inflight.requests > 1:
        raise queue_full(wait)
    return monotonic() + seconds


Deadline = Annotated[float, Depends(admit)]


def _timeout_ms(request: Request, most: int) -> int:
    text = request.headers.get(TIMEOUT_HEADER)
    if text is None:
        return most
    text = text.strip()
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0):
        raise Problem("bad-request", f"{TIMEOUT_HEADER} must be a positive integer, in milliseconds.")
    return min(int(text), most)


async def read_body(request: Request, deadline: float) -> bytes:
    """Return the body.

    Raises:
        Problem: 415 for a compressed body, 413 for one over the limit, as soon as that is known.
        TimeoutError: when the deadline passes before the body has arrived.
    """
    if request.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
        raise Problem("unsupported-media-type", "Send the body without Content-Encoding.")
    limit = request.app.state.service.settings.max_body_bytes
    too_large = Problem("too-large", f"The body is over the limit of {limit} bytes.", limit=limit)
    if int(request.headers.get("content-length", 0)) > limit:  # the server has checked that it is a number
        raise too_large
    chunks: list[bytes] = []
    size = 0
    async with asyncio.timeout(deadline - monotonic()):
        async for chunk in request.stream():
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                raise too_large
    request.scope["state"]["sizes"] = {"bytes_in": size}
    return b"".join(chunks)


async def read_json_body(request: Request, deadline: float) -> bytes:
    """Return a body of JSON, without a byte order mark.

    Raises:
        Problem: 415 for another type, or as `read_body`.
        TimeoutError: as `read_body`.
    """
    kind, *parameters = request.headers.get("content-type", "").lower().split(";")
    charsets = {p.strip().removeprefix("charset=").strip('"') for p in parameters if p.strip().startswith("charset=")}
    if kind.strip() != "application/json" or not charsets <= {"utf-8", "utf8", "us-ascii"}:
        raise Problem("unsupported-media-type", PROBLEM_TYPES["unsupported-media-type"].advice)
    return (await read_body(request, deadline)).removeprefix(BYTE_ORDER_MARK)


async def run(service: Service, deadline: float, call: Callable[..., Result], *arguments: Any, inline: bool) -> Result:
    """Call a function: short work inline, other work in a reader thread, so that the event loop goes on.

    Raises:
        TimeoutError: when the deadline passes first.
    """
    if inline:
        return call(*arguments)
    async with asyncio.timeout(deadline - monotonic()):
        return await asyncio.get_running_loop().run_in_executor(service.readers, partial(call, *arguments))
