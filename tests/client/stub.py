"""A server of scripted responses, for what a real service does not do on request."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass
class Reply:
    """A response: a document as JSON, or bytes as HTML; after `seconds`."""

    status: int = 200
    content: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass
class Received:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


class Stub:
    """Answers with the replies in turn, the last one again and again.

    Attributes:
        url: of the server.
        received: all requests.
        replies: what is still to be said.
    """

    def __init__(self, url: str, *replies: Reply) -> None:
        self.url = url
        self.received: list[Received] = []
        self.replies = list(replies)
        self._lock = threading.Lock()

    def next(self, received: Received) -> Reply:
        with self._lock:
            self.received.append(received)
            return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@contextmanager
def stub(*replies: Reply) -> Iterator[Stub]:
    """Start a server on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            document = json.loads(body) if body else None
            reply = found.next(Received(self.command, self.path, dict(self.headers), document))
            time.sleep(reply.seconds)
            is_html = isinstance(reply.content, bytes)
            kind = "text/html" if is_html else "application/json" if reply.status < 400 else "application/problem+json"
            content = reply.content if is_html else json.dumps(reply.content).encode()
            self.send_response(reply.status)
            headers = {"Content-Type": kind, "Content-Length": str(len(content)), **reply.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _reply  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Stub(f"http://127.0.0.1:{server.server_port}", *replies)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
