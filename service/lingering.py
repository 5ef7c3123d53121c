"""Connections that close while their caller still sends."""

import asyncio
from collections.abc import Callable
from typing import Any

LINGER_SECONDS = 30.0  # altogether
SILENT_SECONDS = 2.0  # without a byte, at most; at least half of it
REST_BYTES = 64 * 1024 * 1024  # of a request
JUNK_BYTES = 1024 * 1024  # that is none


class Lingering:
    """A transport that, on `close`, says that nothing more will be written and lets the caller finish what he sends.

    A socket that is closed with bytes unread resets its connection, and the reset may overtake the answer (RFC 9112,
    section 9.6): a caller in the middle of a large body would never learn why it was refused.

    Attributes:
        is_lingering: what still arrives is for `discard`.
    """

    def __init__(self, transport: asyncio.Transport, is_more_coming: Callable[[], bool]) -> None:
        """Wrap a transport; `is_more_coming` says whether the caller is in the middle of a request."""
        self._transport = transport
        self._is_more_coming = is_more_coming
        self.write = transport.write
        self.is_lingering = False
        self._most_bytes = 0
        self._bytes = 0
        self._seen = 0
        self._looks = 0
        self._timer: asyncio.TimerHandle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether nothing may be written any more."""
        return self.is_lingering or self._transport.is_closing()

    def close(self) -> None:
        """Close, once everything is written and the caller has sent the rest of his request."""
        if self._is_more_coming():
            self.linger(REST_BYTES)
        elif not self.is_lingering:
            self._transport.close()

    def linger(self, most_bytes: int = JUNK_BYTES) -> None:
        """Close once everything is written and the caller sends nothing more, or more than that."""
        if self.is_closing():
            return
        self.is_lingering, self._most_bytes = True, most_bytes
        self._transport.write_eof()
        self._transport.resume_reading()
        self._look_again()

    def discard(self, size: int) -> None:
        """Count bytes that nobody reads."""
        self._bytes += size
        if self._bytes > self._most_bytes:
            self._transport.abort()

    def end(self) -> None:
        """Forget the connection, which is lost."""
        if self._timer is not None:
            self._timer.cancel()

    def _look_again(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(SILENT_SECONDS / 2, self._on_look)

    def _on_look(self) -> None:
        self._looks += 1
        if self._seen == self._bytes or self._looks * SILENT_SECONDS / 2 >= LINGER_SECONDS:
            self._transport.close()
            return
        self._seen = self._bytes
        self._look_again()
