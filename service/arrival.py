"""A request as it comes in, read as far as it has come."""

from time import perf_counter

import httptools

from service.body import is_json
from service.protocol import MAX_HEADER_BYTES

PATH = "/predict"
BEGINNING = f"POST {PATH} HTTP/1.1\r\n".encode()
_ELABORATE = ("expect", "transfer-encoding", "content-encoding", "upgrade")


class Arrival:
    """One prediction request, from its first byte on.

    Attributes:
        began: when the first bytes came, on the performance counter.
        headers: by name in lower case; of one that is repeated the first counts.
        size: bytes of the body, as announced.
        got: bytes of the body so far.
        deadline: when the caller stops waiting, on the monotonic clock; `None` until it is admitted.
        is_complete: whether all of it is here.
    """

    def __init__(self) -> None:
        self.began = perf_counter()
        self.headers: dict[str, str] = {}
        self.size = 0
        self.got = 0
        self.deadline: float | None = None
        self.is_complete = False
        self._received: list[bytes] = []
        self._seen = 0
        self._body: list[bytes] = []
        self._is_simple = False
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> bool:
        """Take what arrived; return whether this is a simple request with a whole head so far, and nothing after it."""
        self._received.append(data)
        self._seen += len(data)
        assert self._parser is not None  # noqa: S101 - nobody feeds a request that was ended
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return False
        return self._is_simple and self._seen - self.got <= MAX_HEADER_BYTES

    @property
    def received(self) -> bytes:
        """Everything so far, head and all."""
        return b"".join(self._received)

    def end(self) -> None:
        """Let go of the parser, which holds the request in turn: only the garbage collector would free the two."""
        self._parser = None

    def take_body(self) -> bytes:
        """Return the body; what was received is kept no longer."""
        self._received.clear()
        body = b"".join(self._body)
        self._body = [body]
        return body

    def on_message_begin(self) -> None:
        """Notice a second request."""
        self._is_simple = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self.headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        """Judge the head."""
        size = self.headers.get("content-length", "")
        self._is_simple = (
            not self.is_complete
            and self._parser is not None
            and self._parser.should_keep_alive()
            and is_json(self.headers.get("content-type", ""))
            and size.isdecimal()
            and len(size) < 10
            and not any(name in self.headers for name in _ELABORATE)
        )
        self.size = int(size) if self._is_simple else 0

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self.got += len(body)
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Notice the end."""
        self.is_complete = True
