"""Read a request's body without ever holding more than is allowed, of one or of all requests together."""

import asyncio

from starlette.requests import Request

from service.problems import KINDS, Problem
from service.service import Service

_CLOSE = {"Connection": "close"}


def _check_type(request: Request) -> None:
    kind, *parameters = request.headers.get("content-type", "").lower().split(";")
    charsets = {p.strip().removeprefix("charset=").strip('"') for p in parameters if p.strip().startswith("charset=")}
    if kind.strip() != "application/json" or not charsets <= {"utf-8", "utf8", "us-ascii"}:
        raise Problem("unsupported-media-type", KINDS["unsupported-media-type"].advice)


async def read_body(request: Request, service: Service, *, check_type: bool = True) -> bytes:
    """Return the body of an admitted request.

    Raises:
        Problem: 415 for anything but JSON, 413 for more than the limit, 408 for a body that does not arrive, 429 when
            the bodies of all requests together are too much.
    """
    if check_type:
        _check_type(request)
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem("unsupported-media-type", "Send the body without Content-Encoding.")
    seconds = service.settings.body_seconds
    limit = service.settings.max_body_bytes
    too_large = Problem("too-large", f"The body is over the limit of {limit} bytes.", limit=limit)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > limit:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    state = request.scope["state"]
    state["buffered"] = 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise too_large
                state["buffered"] += len(chunk)
                service.buffered += len(chunk)
                if service.buffered > service.settings.max_buffered_bytes:
                    raise Problem("queue-full", "Too many bodies at once.", headers={"Retry-After": "1"})
                chunks.append(chunk)
    except TimeoutError:
        raise Problem("body-timeout", f"The body did not arrive in {seconds:g} s.", headers=_CLOSE) from None
    return b"".join(chunks)
