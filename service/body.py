"""Read a request's body without ever holding more than is allowed, of one or of all requests together."""

import asyncio
from collections.abc import MutableMapping
from time import monotonic
from typing import Any

from starlette.requests import Request

from service.problems import KINDS, ClientGoneError, Problem
from service.service import Service

_CLOSE = {"Connection": "close"}


def is_json(media_type: str) -> bool:
    """Whether the value of a Content-Type header stands for JSON in UTF-8."""
    if media_type == "application/json":
        return True
    kind, *parameters = media_type.lower().split(";")
    charsets = {p.strip().removeprefix("charset=").strip('"') for p in parameters if p.strip().startswith("charset=")}
    return kind.strip() == "application/json" and charsets <= {"utf-8", "utf8", "us-ascii"}


def _too_large(limit: int) -> Problem:
    """Return the 413 for a body over `limit` bytes."""
    return Problem("too-large", f"The body is over the limit of {limit} bytes.", limit=limit)


def hold(state: MutableMapping[str, Any], service: Service, size: int) -> None:
    """Count bytes of a body that is held until its request is answered.

    Raises:
        Problem: 429 when the bodies of all requests together are too much.
    """
    state["buffered"] = state.get("buffered", 0) + size
    service.buffered += size
    if service.buffered > service.settings.max_buffered_bytes:
        raise Problem("queue-full", "Too many bodies at once.", headers={"Retry-After": "1"})


def expect(state: MutableMapping[str, Any], service: Service, size: int) -> None:
    """Count a body of `size` bytes that is complete as on its way into the queue."""
    state["unqueued"] = size
    service.intake.size += size


async def read_body(request: Request, service: Service, *, check_type: bool = True, for_queue: bool = True) -> bytes:
    """Return the body of an admitted request.

    Args:
        request: whose body.
        service: counts the bytes.
        check_type: whether it must be JSON.
        for_queue: whether it holds networks that will soon be in the queue.

    Raises:
        Problem: 415 for anything but JSON, 413 for more than the limit, 408 for a body that does not arrive, 429 when
            the bodies of all requests together are too much, 504 when the deadline passes before it has arrived.
        ClientGoneError: when the caller hung up meanwhile.
    """
    if check_type and not is_json(request.headers.get("content-type", "")):
        raise Problem("unsupported-media-type", KINDS["unsupported-media-type"].advice)
    if request.headers.get("content-encoding", "").lower() not in ("", "identity"):
        raise Problem("unsupported-media-type", "Send the body without Content-Encoding.")
    state = request.scope["state"]
    patience = state["deadline"] - monotonic()
    seconds = min(service.settings.body_seconds, patience)
    limit = service.settings.max_body_bytes
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            more = True
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                chunk, more = message.get("body", b""), message.get("more_body", False)
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                hold(state, service, len(chunk))
                chunks.append(chunk)
    except TimeoutError:
        if seconds == patience:
            slug, what = "deadline-exceeded", "The deadline passed before the body had arrived."
        else:
            slug, what = "body-timeout", f"The body did not arrive in {seconds:g} s."
        raise Problem(slug, what, headers=_CLOSE) from None
    if for_queue:  # only now: bodies that never end would make everybody else's wait look long
        expect(state, service, size)
    return b"".join(chunks)
