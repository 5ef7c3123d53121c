"""uvicorn, with a drain: after SIGTERM what is in flight is answered, new requests get 503, the exit code is 0."""

import asyncio
import signal
from time import monotonic
from types import FrameType
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI

from service.state import Service
from service.supervisor import EXIT_CODE

LINGER = 0.5  # seconds for clients to learn of the end: with the listener open, then on the connections it accepted
KEEP_ALIVE = 75
BIND_FAILED = 1

log = structlog.get_logger("peephole")


class Server(uvicorn.Server):
    """Serves one application until SIGTERM or SIGINT, or until it fails. Further signals change nothing."""

    def __init__(self, app: FastAPI) -> None:
        self.service: Service = app.state.service
        settings = self.service.settings
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                root_path=settings.root_path,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=1,  # the drain is over by then
            )
        )
        self._drain_began = 0.0

    def serve_until_exit(self) -> int:
        """Serve; return the process's exit code: 0, 1 when the port is taken, 70 when the service failed."""
        self.service.supervisor.ends_process = True
        try:
            self.run()
        except SystemExit:  # uvicorn's way to say that it could not bind, after a log line
            return BIND_FAILED
        return EXIT_CODE if self.service.failure is not None else 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Begin the drain; the signal is not raised again, so the exit code stays 0."""
        if not self.service.draining:
            self.service.draining = True
            self._drain_began = monotonic()

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Bind, then say where."""
        await super().startup(sockets)
        if hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.service.reloader.request)
        for server in self.servers:
            for listener in server.sockets:
                log.info("listening", address="http://{}:{}".format(*listener.getsockname()[:2]))

    async def on_tick(self, counter: int) -> bool:
        """Say whether it is time to stop serving; called ten times a second."""
        if self.service.failure is not None or (self.service.draining and self._is_drained()):
            self.should_exit = True
        return await super().on_tick(counter)

    def _is_drained(self) -> bool:
        longest = self.service.settings.drain_seconds if self.service.inflight.requests else LINGER
        return monotonic() - self._drain_began > longest

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        """Close the listener, answer the connections that it had accepted, then shut down."""
        self.service.draining = True
        for server in self.servers:
            server.close()
        until = monotonic() + LINGER
        while self.server_state.connections and monotonic() < until:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)
        log.info("stopped", drained=not self.service.inflight.requests)
