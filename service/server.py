"""The server process: listening, draining on SIGTERM, reloading on SIGHUP, dying when nothing can be answered."""

import asyncio
import faulthandler
import gc
import os
import secrets
import signal
import socket
import sys
import threading
import traceback
from contextlib import suppress
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service.connection import Connection
from service.express import Express
from service.logs import flush, log
from service.predicting import UNAVAILABLE_RETRY
from service.problems import Problem
from service.protocol import GuardedProtocol, refusal
from service.service import Service
from service.standby import Standby, connections_at
from service.watchdog import Watchdog

FAILED = 70  # EX_SOFTWARE
INTERRUPTED = 128 + signal.SIGINT
LEAST_DRAIN_SECONDS = 0.5
REST_OF_BODY_SECONDS = 5.0  # for those who were refused in the middle of a request
LATECOMER_SECONDS = 0.1  # who connected just before the listener closed is refused with 503, not with a reset
FAILURE_SECONDS = 2.0  # for those who wait to hear that they will not be answered
REST_SECONDS = 1  # after the wait, for answers on their way; then whoever still waits gets a 503
JOIN_SECONDS = 0.3
UNSENT_SECONDS = 2.0  # for traces that are still to be sent
BACKSTOP_SECONDS = 3.0  # after that an orderly exit is not to be had: a thread is stuck outside of Python
FROZEN_SECONDS = 20.0  # of the event loop
HELD_SECONDS = 600.0  # by native code that lets no other thread go on; a pause of the process counts, alas
ACCEPTED = 16  # connections, each time around the event loop
KEEP_ALIVE_SECONDS = 65  # longer than the idle time of common load balancers


def settle_heap() -> None:
    """Keep the garbage collector from going through everything that stays anyway.

    A full collection of the imported libraries and the loaded predictors stops the event loop for 30 to 50 ms, every
    few seconds under load. Predictors that a reload replaced are collected first.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _protocol(service: Service) -> type[GuardedProtocol]:
    """Return what speaks HTTP on each connection."""
    settings = service.settings
    limits = {
        "header_seconds": settings.header_seconds,
        "body_seconds": settings.body_seconds,
        "write_seconds": settings.write_seconds,
    }
    if settings.trace_endpoint is not None:  # the framework makes the spans
        return type("Protocol", (GuardedProtocol,), limits)
    return type("Protocol", (Connection,), {**limits, "express": Express(service)})


class Server(uvicorn.Server):
    """uvicorn, taught what to do when it is told to stop and when the service fails."""

    def __init__(self, app: FastAPI) -> None:
        self.service: Service = app.state.service
        settings = self.service.settings
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                loop="uvloop",
                http=_protocol(self.service),
                ws="none",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,  # nothing here asks for a caller's address or scheme
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=REST_SECONDS,  # `_finish` has waited already
            )
        )
        self.exit_code = 0
        self.service.on_failure = self._on_failure
        self.service.on_loaded = settle_heap
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finishing: asyncio.Task[None] | None = None
        self._watchdog: Watchdog | None = None

    def run_to_exit(self) -> int:
        """Serve until told to stop; return the exit code.

        An inference thread that is in native code, stuck or at work for nobody any more, makes an orderly exit
        impossible: the process then ends at once.
        """
        try:
            self.run()
        except KeyboardInterrupt:  # raised by uvicorn once everything is shut down
            self.exit_code = self.exit_code or INTERRUPTED
        if self.exit_code or not self.service.engine.ended(JOIN_SECONDS):
            self._end()
        return 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen; let lone networks be predicted on the event loop from then on."""
        await super().startup(sockets)
        await self._accept_faster()
        settings = self.service.settings
        seconds = min(settings.stall_seconds, settings.hang_seconds, FROZEN_SECONDS / 2)
        self._watchdog = Watchdog(
            stall_seconds=seconds,
            on_stall=self._on_stuck,
            silent_seconds=FROZEN_SECONDS,
            on_silence=self._on_frozen,
        )
        self._watchdog.start()
        self.service.engine.watchdog = self._watchdog

    async def _accept_faster(self) -> None:
        """Accept several connections each time around the event loop: uvloop accepts one for each listener."""
        loop = asyncio.get_running_loop()
        for listener in [one for server in self.servers for one in server.sockets]:
            for _ in range(ACCEPTED - 1):
                self.servers.append(await loop.create_server(self._protocol, sock=listener.dup()))

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def on_tick(self, counter: int) -> bool:
        """Run uvicorn's own tick; let the process be ended should the event loop freeze."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_signal_handler(signal.SIGHUP, self.service.reloader.request)
        if self._watchdog is not None:
            self._watchdog.beat()
        if counter % 10 == 0:
            faulthandler.dump_traceback_later(HELD_SECONDS, exit=True)
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on the first SIGTERM; stop at once on a second one or on Ctrl-C."""
        if sig == signal.SIGTERM and self._loop is not None and not self.service.draining:
            self.service.draining = True
            self._loop.call_soon_threadsafe(self._drain)
        elif sig == signal.SIGTERM and self.service.draining:
            self.should_exit = True
        else:
            super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let uvicorn end what is left; then hang up on callers who do not read their answers.

        Threads at work for nobody, and traces that their collector does not take, do not keep the process for long.
        """
        self._end_within(REST_SECONDS + UNSENT_SECONDS)
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            if connection.transport.get_write_buffer_size():
                connection.transport.abort()

    def _drain(self) -> None:
        self._finish_within(self.service.settings.drain_seconds)
        log.info("draining", inflight=self.service.inflight)

    def _on_failure(self, _: str) -> None:
        self.exit_code = FAILED
        self._finish_within(FAILURE_SECONDS)

    def _on_frozen(self) -> None:
        """End the process, saying where it is stuck. There is no taking a loop's place that may go on any moment."""
        try:
            frame = sys._current_frames()[threading.main_thread().ident or 0]
            log.critical("failed", reason="the event loop is stuck", where=traceback.format_stack(frame))
        finally:
            flush()
            os._exit(FAILED)

    def _on_stuck(self) -> None:
        """Answer everybody in place of the event loop, on the thread of the watchdog; then end, come what may."""
        try:
            reason = "a prediction on the event loop is stalled"
            log.critical("failed", reason=reason)
            self._stand_by(refusal(Problem("unavailable", reason, headers=UNAVAILABLE_RETRY), secrets.token_hex(8)))
        except Exception:  # whatever it was: the log says so, and the process still ends
            log.exception("standby_failed")
        finally:
            flush()
            os._exit(FAILED)

    def _stand_by(self, answer: bytes) -> None:
        standby = Standby(answer)
        listeners = [listener for server in self.servers for listener in server.sockets]
        for listener in listeners:
            standby.listen(listener.fileno())
        for connection in list(self.server_state.connections):
            if isinstance(connection, GuardedProtocol):
                with suppress(OSError, ValueError):  # closed meanwhile
                    connection.entrust_to(standby)
        for descriptor in connections_at({listener.getsockname()[1] for listener in listeners}):
            standby.await_request(descriptor)
        standby.run(FAILURE_SECONDS)

    def _finish_within(self, most_seconds: float) -> None:
        self._finishing = asyncio.get_running_loop().create_task(self._finish(most_seconds))
        self._end_within(most_seconds + BACKSTOP_SECONDS)

    def _end_within(self, most_seconds: float) -> None:
        """End the process after so many seconds at the latest, from a thread of its own."""
        timer = threading.Timer(most_seconds, self._end)
        timer.daemon = True
        timer.start()

    def _end(self) -> None:
        """End the process at once, but for the log."""
        try:
            self.service.ledger.write_up()
            flush()
        finally:
            os._exit(self.exit_code)

    async def _finish(self, most_seconds: float) -> None:
        """Wait for the requests in flight; new ones are refused with 503 meanwhile, on connections that then close."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (waited := loop.time() - began) < most_seconds or waited < LEAST_DRAIN_SECONDS:
            is_told = waited >= REST_OF_BODY_SECONDS or not self._is_hearing()
            if waited >= LEAST_DRAIN_SECONDS and is_told and not self._is_busy():
                break
            await asyncio.sleep(0.02)
        for server in self.servers:
            server.close()
        await asyncio.sleep(LATECOMER_SECONDS)
        self.should_exit = True

    def _is_busy(self) -> bool:
        """Whether a prediction is in flight, or an answer not with its caller yet."""
        connections = self.server_state.connections
        return bool(self.service.inflight) or any(one.transport.get_write_buffer_size() for one in connections)

    def _is_hearing(self) -> bool:
        """Whether somebody who was refused still sends."""
        connections = self.server_state.connections
        return any(isinstance(one, GuardedProtocol) and one.transport.is_lingering for one in connections)
