"""The server process: listening, draining on SIGTERM, reloading on SIGHUP, dying when nothing can be answered."""

import asyncio
import faulthandler
import gc
import os
import signal
import threading
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service.logs import flush, log
from service.protocol import GuardedProtocol
from service.service import Service

FAILED = 70  # EX_SOFTWARE
LEAST_DRAIN_SECONDS = 0.5
LATECOMER_SECONDS = 0.1  # who connected just before the listener closed is refused with 503, not with a reset
FLUSH_SECONDS = 2
FROZEN_SECONDS = 20.0
KEEP_ALIVE_SECONDS = 65  # longer than the idle time of common load balancers


def settle_heap() -> None:
    """Keep the garbage collector from going through everything that stays anyway.

    A full collection of the imported libraries and the loaded predictors stops the event loop for 30 to 50 ms, every
    few seconds under load. Predictors that a reload replaced are collected first.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


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
                http=type("Protocol", (GuardedProtocol,), {"header_seconds": settings.header_seconds}),
                ws="none",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,  # nothing here asks for a caller's address or scheme
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
            )
        )
        self.exit_code = 0
        self.service.on_failure = self._on_failure
        self.service.on_loaded = settle_heap
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finishing: asyncio.Task[None] | None = None

    def run_to_exit(self) -> int:
        """Serve until told to stop; return the exit code.

        After a failure an inference thread may be stuck in native code, where no orderly exit is possible: the process
        ends at once.
        """
        self.run()
        if self.exit_code:
            flush()
            os._exit(self.exit_code)
        return 0

    async def on_tick(self, counter: int) -> bool:
        """Run uvicorn's own tick; let the process be ended should the event loop freeze."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_signal_handler(signal.SIGHUP, self.service.reloader.request)
        if counter % 10 == 0:
            faulthandler.dump_traceback_later(FROZEN_SECONDS, exit=True)
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

    def _drain(self) -> None:
        self._finishing = asyncio.get_running_loop().create_task(self._finish(self.service.settings.drain_seconds))
        log.info("draining", inflight=self.service.inflight)

    async def _finish(self, most_seconds: float) -> None:
        """Wait for the requests in flight; new ones are refused with 503 meanwhile, on connections that then close."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() - began < LEAST_DRAIN_SECONDS or (
            self.service.inflight and loop.time() - began < most_seconds
        ):
            await asyncio.sleep(0.02)
        for server in self.servers:
            server.close()
        await asyncio.sleep(LATECOMER_SECONDS)
        self.should_exit = True

    def _on_failure(self, _: str) -> None:
        self.exit_code = FAILED
        self.config.timeout_graceful_shutdown = FLUSH_SECONDS
        self._finishing = asyncio.get_running_loop().create_task(self._finish(FLUSH_SECONDS))
        timer = threading.Timer(3 * FLUSH_SECONDS, os._exit, (FAILED,))
        timer.daemon = True
        timer.start()
