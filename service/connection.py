"""Connections that let predictions take the short way."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.types import Message
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.arrival import BEGINNING, Arrival
from service.express import Express, Reply
from service.logs import log
from service.problems import Problem
from service.protocol import GuardedProtocol
from service.routes.predict import LARGE_BYTES
from service.standby import Standby

LINGER_SECONDS = 0.005  # for a body that its client sends after the head, or in pieces


class Connection(GuardedProtocol):
    """Looks at predictions itself; uvicorn's parser sees only what is handed over.

    Attributes:
        express: answers what takes the short way.
        arrival: the request that is on the short way, until it is answered.
    """

    express: Express
    arrival: Arrival | None = None
    _gone: asyncio.Event
    _lingering: asyncio.TimerHandle | None = None
    _is_asked = False  # the express has the request
    _is_last = False  # the connection closes after it
    _early = b""  # what came meanwhile
    _to_skip = 0  # bytes of the body of a request that was refused

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Prepare to tell whoever answers that the caller hung up."""
        super().connection_made(transport)
        self._gone = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what arrived: nobody waits for an answer any more."""
        self._gone.set()
        if self.arrival is not None and not self._is_asked:
            self.express.forget(self.arrival)
        self._let_go()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take the short way, or uvicorn's."""
        if self.transport.is_lingering:
            super().data_received(data)
            return
        skipped = min(self._to_skip, len(data))
        self._to_skip -= skipped
        data = data[skipped:]
        if skipped and not self._to_skip:
            self._stop_clock()
            self._keep_alive()
        if self._is_asked:
            self._early += data
            self.flow.pause_reading()
        elif self.arrival is not None:
            self._take(self.arrival, data)
        elif data.startswith(BEGINNING) and self._is_at_rest():
            self._unset_keepalive_if_required()
            self._stop_clock()
            self.arrival = Arrival()
            self._take(self.arrival, data)
        elif data:
            super().data_received(data)

    async def hung_up(self) -> Message:
        """Wait for the caller to hang up, and say so as ASGI does."""
        await self._gone.wait()
        return {"type": "http.disconnect"}

    def serve(self, answering: Coroutine[Any, Any, None]) -> None:
        """Let a task answer the request."""
        task = self.loop.create_task(answering)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        task.add_done_callback(self._on_served)

    def reply(self, reply: Reply) -> None:
        """Answer the request; go on with what came meanwhile."""
        self._let_go()
        if self.transport.is_closing():
            return
        closes = self._is_last or reply.closes
        lines = [STATUS_LINE[reply.status]]
        for name, value in (*self.server_state.default_headers, *reply.headers):
            lines += name, b": ", value, b"\r\n"
        lines += b"connection: close\r\n\r\n" if closes else b"\r\n", reply.body
        self.transport.write(b"".join(lines))
        if closes:
            self.transport.close()
        self.on_response_complete()
        early, self._early = self._early, b""
        if early and not closes:
            self.data_received(early)

    def shutdown(self) -> None:
        """Close the connection once everything is answered."""
        if self._is_asked:
            self._is_last = True
        else:
            self._hand_over()
            super().shutdown()

    def entrust_to(self, standby: Standby) -> None:
        """Let the connection be answered by others; see `GuardedProtocol`."""
        if self.arrival is not None and not self.transport.get_write_buffer_size():
            standby.answer(self.transport.get_extra_info("socket").fileno())
        else:
            super().entrust_to(standby)

    def _is_more_coming(self) -> bool:
        """Whether the caller is in the middle of a request."""
        is_arriving = self.arrival is not None and not self.arrival.is_complete
        return is_arriving or self._to_skip > 0 or super()._is_more_coming()

    def _is_at_rest(self) -> bool:
        """Whether everything that uvicorn has seen is answered, and the answers taken."""
        is_busy = self._is_in_message or self._is_answering() or self.flow.write_paused
        return not is_busy and not self.transport.is_closing()

    def _take(self, arrival: Arrival, data: bytes) -> None:
        """Take in a piece of a request; let it be answered once it is complete, or refused as soon as its head is."""
        is_simple = arrival.feed(data)
        if is_simple and arrival.deadline is None:
            try:
                is_simple = self.express.admits(arrival)
            except Problem as problem:
                self._to_skip = arrival.size - arrival.got
                self.reply(self.express.refusal(arrival, problem))
                if self._to_skip:
                    self._start_clock(self.body_seconds, self.transport.close)
                return
        if not is_simple or arrival.size > LARGE_BYTES:  # uvicorn reads large bodies piece by piece
            self._hand_over()
        elif arrival.is_complete:
            self._stop_lingering()
            self._is_asked = True
            self.express.answer_soon(self, arrival)
        elif self._lingering is None:
            self._lingering = self.loop.call_later(LINGER_SECONDS, self._hand_over)

    def _on_served(self, task: asyncio.Task[None]) -> None:
        """Hang up on a caller whose task broke off without an answer."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("answering_broke_off", exc_info=error)
        if task.cancelled() or error is not None:
            self.transport.abort()

    def _hand_over(self) -> None:
        """Let uvicorn and the application have what arrived, unless the caller has just hung up."""
        if self.transport.is_closing():
            return
        arrival = self._let_go()
        if arrival is not None:
            super().data_received(arrival.received)

    def _let_go(self) -> Arrival | None:
        self._stop_lingering()
        self._is_asked = False
        arrival, self.arrival = self.arrival, None
        if arrival is not None:
            arrival.end()
        return arrival

    def _stop_lingering(self) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
