"""uvicorn's HTTP/1.1 protocol with the limits it leaves to a proxy: headers, bodies and answers that nobody reads."""

import asyncio
import secrets
from collections.abc import Callable
from typing import cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.backpressure import Backpressure
from service.lingering import Lingering
from service.logs import log
from service.problems import KINDS, MEDIA_TYPE, Problem
from service.standby import Standby

MAX_HEADER_BYTES = 64 * 1024
MAX_UNREAD_BYTES = 64 * 1024 * 1024
BLANKS = b" \t"  # that the parser leaves behind a header's value
LOOKS = 4  # at what is still to be written, in the time a caller may take nothing of it


def refusal(problem: Problem, request_id: str) -> bytes:
    """Return a problem as a whole HTTP response that closes its connection."""
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
    """Closes connections whose headers are endless or never end, or whose answers nobody reads; parses few ahead.

    Malformed HTTP is answered with a problem document, after the answers to the requests before it. Offers to speak
    another protocol are ignored.
    """

    header_seconds = 20.0
    body_seconds = 30.0
    write_seconds = 30.0
    transport: Lingering  # type: ignore[assignment]
    flow: Backpressure
    _is_in_message = False
    _is_in_head = True  # or between two requests
    _has_advanced = False  # by more than header fields
    _header_bytes = 0
    _announced_bytes = 0  # of a body, and still to come
    _unread_bytes = 0
    _fault = "malformed-http"
    _is_faulty = False  # what arrives is not read any more
    _running: RequestResponseCycle | None = None
    _clock: asyncio.TimerHandle | None = None
    _unsent_bytes = 0
    _stuck_looks = 0
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clocks: for the first request's headers, and for what the caller takes."""
        super().connection_made(cast("asyncio.Transport", Lingering(transport, self._is_more_coming)))
        self.flow = Backpressure(cast("asyncio.Transport", self.transport), lambda: len(self.pipeline))
        self._start_clock(self.header_seconds, self._on_late_headers)
        self._look_again()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._stop_clock()
        self.flow.clear()
        self.transport.end()
        if self._running is not None and self._is_answering():  # uvicorn tells the last one alone
            self._break_off(self._running)
        if self._write_timer is not None:
            self._write_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; refuse headers and trailers that go on for too long."""
        if self.transport.is_lingering:
            self.transport.discard(len(data))
        if self._is_faulty or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self.flow.add(data)
        self._parse_on()
        if not self._is_faulty and not self._is_in_message and not self._is_answering():
            self._keep_alive()

    def on_message_begin(self) -> None:
        """Start counting a request's headers."""
        super().on_message_begin()
        self._is_in_message = self._is_in_head = self._has_advanced = True
        self._unread_bytes = 0
        if self._clock is None:
            self._start_clock(self.header_seconds, self._on_late_headers)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers, which come behind a body, are for nobody."""
        if self._is_in_head:
            super().on_header(name, value.rstrip(BLANKS))

    def on_headers_complete(self) -> None:
        """Stop counting: the application takes over."""
        self._stop_clock()
        size = len(self.url) + sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)
        if size > MAX_HEADER_BYTES:
            self._fault = "headers-too-large"
            raise ValueError(self._fault)  # which ends the parsing
        if not self._is_upgrading():
            super().on_headers_complete()  # which may find fault with the target
            self._is_in_head = False
            length = next((value for name, value in self.headers if name == b"content-length"), b"")
            self._announced_bytes = int(length) if length.isdigit() else 0

    def on_chunk_header(self) -> None:
        """Notice a piece of a chunked body, or its end."""
        self._has_advanced = True

    def on_body(self, body: bytes) -> None:
        """Pass a piece of the body on; hang up on a caller who sends for ever what was refused already."""
        self._has_advanced = True
        self._announced_bytes -= len(body)
        if self.cycle.response_complete:
            self._unread_bytes += len(body)
            if self._unread_bytes > MAX_UNREAD_BYTES:
                self.transport.abort()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Notice the end of a request, or of the head of one that is read again."""
        if self._is_upgrading():
            return
        self._is_in_message = False
        self._is_in_head = True
        self._announced_bytes = 0
        self._stop_clock()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, say what was wrong with the last, or wait for the rest of a refused body."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._parse_on()
            self.flow.resume_reading()
        if self._is_answering() or self.transport.is_closing():
            return
        if self._is_faulty:
            self._refuse(self._fault)
        elif self._is_in_message and not self._is_in_head:
            self._start_clock(self.body_seconds, self.transport.close)

    def entrust_to(self, standby: Standby) -> None:
        """Let the connection be answered by others: the event loop is stuck, and this is another thread."""
        descriptor = self.transport.get_extra_info("socket").fileno()
        # Part of an answer is unsent, of this request or an earlier, or there is nothing more to say.
        is_torn = self.transport.get_write_buffer_size() > 0 or self.transport.is_lingering
        if not is_torn and (self.cycle is None or self.cycle.response_complete):
            standby.await_request(descriptor)
        elif not is_torn and not self.cycle.response_started:
            standby.answer(descriptor)
        else:
            standby.leave_out(descriptor)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """Answer what is not HTTP."""
        self._give_up(self._fault)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _parse_on(self) -> None:
        """Parse what arrived, as far as it may be by now."""
        while not self._is_faulty and (part := self.flow.next(self._announced_bytes)) is not None:
            self._has_advanced = False
            self._parse(part)
            self._header_bytes = 0 if self._has_advanced else self._header_bytes + len(part)
            if self._header_bytes > MAX_HEADER_BYTES and not self._is_faulty:
                self._give_up("headers-too-large")

    def _parse(self, part: memoryview) -> None:
        """Parse a piece, a request that offers another protocol as if it did not."""
        try:
            self.parser.feed_data(part)
        except httptools.HttpParserUpgrade as upgrade:
            if self.parser.get_method() == b"CONNECT":
                self._give_up(self._fault)
                return
            self.flow.put_back(part[upgrade.args[0] :])
            self.flow.put_back(self._without_offer())
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        except httptools.HttpParserError:
            self._give_up(self._fault)

    def _without_offer(self) -> bytes:
        """Return a request's head but for the header that keeps the parser from its body and from all that follows."""
        head = [self.parser.get_method(), b" ", self.url, b" HTTP/", self.parser.get_http_version().encode(), b"\r\n"]
        for name, value in self.headers:
            if name != b"upgrade":
                head += name, b": ", value, b"\r\n"
        return b"".join([*head, b"\r\n"])

    def _keep_alive(self) -> None:
        """Start the time anew that a connection may rest."""
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _is_upgrading(self) -> bool:
        return self.parser.should_upgrade()

    def _is_more_coming(self) -> bool:
        """Whether the caller is in the middle of a request."""
        return self._is_in_message

    def _is_answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _start_clock(self, seconds: float, action: Callable[[], None]) -> None:
        self._stop_clock()
        self._clock = self.loop.call_later(seconds, action)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _on_late_headers(self) -> None:
        self._clock = None
        if self.flow.read_paused:  # they may be here, and wait for an answer to be written
            self._start_clock(self.header_seconds, self._on_late_headers)
        elif not self.transport.is_closing():
            self._give_up("headers-timeout")

    def _give_up(self, slug: str) -> None:
        """Read no further; say why once all requests before this one are answered."""
        self._is_faulty, self._fault = True, slug
        self.flow.clear()
        self._stop_clock()
        mine = self.cycle if self._is_in_message and not self._is_in_head else None
        if mine is not None and self.pipeline and self.pipeline[0][0] is mine:
            self.pipeline.popleft()
        elif mine is not None and mine is self._running:
            self._break_off(mine)
            if mine.response_started:
                self.transport.linger()
            else:
                self._refuse(slug)
            return
        if not self._is_answering():
            self._refuse(slug)

    def _break_off(self, cycle: RequestResponseCycle) -> None:
        """Let the application know that nobody waits for an answer, or for the rest of it."""
        cycle.disconnected = True
        cycle.message_event.set()

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
        request_id = secrets.token_hex(8)
        log.info("connection_refused", request_id=request_id, problem=slug)
        self.transport.write(refusal(Problem(slug, KINDS[slug].advice), request_id))
        self.transport.linger()
