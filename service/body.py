"""Read a request's body without ever holding more of it than is allowed."""

import asyncio

from starlette.requests import Request

from service.problems import KINDS, Problem

BODY_SECONDS = 30.0
_CLOSE = {"Connection": "close"}


def _check_type(request: Request) -> None:
    kind, *parameters = request.headers.get("content-type", "").lower().split(";")
    charsets = {p.strip().removeprefix("charset=").strip('"') for p in parameters if p.strip().startswith("charset=")}
    if kind.strip() != "application/json" or not charsets <= {"utf-8", "utf8", "us-ascii"}:
        raise Problem("unsupported-media-type", KINDS["unsupported-media-type"].advice, headers=_CLOSE)
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem("unsupported-media-type", "Send the body without Content-Encoding.", headers=_CLOSE)


async def read_body(request: Request, limit: int) -> bytes:
    """Return the JSON body of a request.

    Raises:
        Problem: 415 for another type, 413 for more than `limit` bytes, 408 for a body that does not arrive.
    """
    _check_type(request)
    too_large = Problem("too-large", f"The body is over the limit of {limit} bytes.", headers=_CLOSE, limit=limit)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > limit:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise too_large
                chunks.append(chunk)
    except TimeoutError:
        raise Problem("body-timeout", f"The body did not arrive in {BODY_SECONDS:.0f} s.", headers=_CLOSE) from None
    return b"".join(chunks)
