"""No rival: what HTTP alone costs. It reads a request to its end and sends it back."""

from typing import Any


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the body of the request."""
    if scope["type"] != "http":
        raise RuntimeError("only HTTP is spoken here")
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
