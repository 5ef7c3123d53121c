"""uvicorn's HTTP/1.1 protocol with the limits it leaves to a proxy: headers, bodies and answers that nobody reads."""

import asyncio
import secrets

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.logs import log
from service.problems import KINDS, MEDIA_TYPE, Problem
from service.standby import Standby

MAX_HEADER_BYTES = 64 * 1024
MAX_UNREAD_BYTES = 64 * 1024 * 1024
LOOKS = 4  # at what is still to be written, in the time a caller may take nothing of it


def refusal(problem: Problem) -> bytes:
    """Return a problem as a whole HTTP response that closes its connection."""
    request_id = secrets.token_hex(8)
    body = problem.body(request_id)
    headers = {
        "content-type": MEDIA_TYPE,
        "content-length": str(len(body)),
        "x-request-id": request_id,
        **{name.lower(): value for name, value in problem.headers.items()},
        "connection": "close",
    }
    lines = [f"HTTP/1.1 {problem.status} {KINDS[problem.slug].title}", *(f"{n}: {v}" for n, v in headers.items())]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii") + body


class GuardedProtocol(HttpToolsProtocol):
    """Closes connections whose headers are endless or never end, or whose answers nobody reads.

    Malformed HTTP is answered with a problem document.
    """

    header_seconds = 20.0
    write_seconds = 30.0
    _heading = True
    _header_bytes = 0
    _unread_bytes = 0
    _header_timer: asyncio.TimerHandle | None = None
    _unsent_bytes = 0
    _stuck_looks = 0
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clocks: for the first request's headers, and for what the caller takes."""
        super().connection_made(transport)
        self._start_clock()
        self._look_again()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._stop_clock()
        if self._write_timer is not None:
            self._write_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; refuse headers that go on for too long."""
        super().data_received(data)
        if not self._heading:
            return
        self._header_bytes += len(data)
        if self._header_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
            self._refuse("headers-too-large")

    def on_message_begin(self) -> None:
        """Start counting a request's headers."""
        super().on_message_begin()
        self._heading = True
        self._header_bytes = 0
        self._unread_bytes = 0
        if self._header_timer is None:
            self._start_clock()

    def on_headers_complete(self) -> None:
        """Stop counting: the application takes over."""
        self._heading = False
        self._stop_clock()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass a piece of the body on; hang up on a caller who sends for ever what was refused already."""
        if self.cycle.response_complete:
            self._unread_bytes += len(body)
            if self._unread_bytes > MAX_UNREAD_BYTES:
                self.transport.close()
        super().on_body(body)

    def entrust_to(self, standby: Standby) -> None:
        """Let the connection be answered by others: the event loop is stuck, and this is another thread."""
        descriptor = self.transport.get_extra_info("socket").fileno()
        is_torn = (
            self.transport.get_write_buffer_size() > 0
        )  # part of an answer is unsent, of this request or an earlier
        if not is_torn and (self.cycle is None or self.cycle.response_complete):
            standby.await_request(descriptor)
        elif not is_torn and not self.cycle.response_started:
            standby.answer(descriptor)
        else:
            standby.leave_out(descriptor)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """Answer what is not HTTP."""
        self._refuse("malformed-http")

    def _start_clock(self) -> None:
        self._header_timer = self.loop.call_later(self.header_seconds, self._on_late_headers)

    def _stop_clock(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _on_late_headers(self) -> None:
        self._header_timer = None
        if not self.transport.is_closing():
            self._refuse("headers-timeout")

    def _look_again(self) -> None:
        self._write_timer = self.loop.call_later(self.write_seconds / LOOKS, self._on_look)

    def _on_look(self) -> None:
        """Hang up, whether the connection is closing or not, when nothing was taken since several looks ago."""
        before, self._unsent_bytes = self._unsent_bytes, self.transport.get_write_buffer_size()
        is_stuck = 0 < before <= self._unsent_bytes
        self._stuck_looks = self._stuck_looks + 1 if is_stuck else 0
        if self._stuck_looks < LOOKS:
            self._look_again()
            return
        log.info("answer_not_read", unsent_bytes=self._unsent_bytes)
        self.transport.abort()

    def _refuse(self, slug: str) -> None:
        self._stop_clock()
        self.transport.write(refusal(Problem(slug, KINDS[slug].advice)))
        self.transport.close()
