"""What takes the event loop's place when it is stuck: everybody is told that there will be no answer."""

import socket
from collections.abc import Collection, Iterator
from contextlib import suppress
from selectors import EVENT_READ, PollSelector
from time import monotonic

CHUNK = 64 * 1024
MOST_DESCRIPTORS = 65536


def connections_at(ports: Collection[int]) -> Iterator[int]:
    """Yield the descriptors of this process's connections to its own `ports`.

    Some may be known to nobody: those that uvloop has accepted and not told its protocol of.
    """
    for descriptor in range(MOST_DESCRIPTORS):  # /proc/self/fd needs a descriptor to be read, and may not get one
        with suppress(OSError):
            one = socket.socket(fileno=descriptor)
            try:
                if one.family in (socket.AF_INET, socket.AF_INET6) and one.getsockname()[1] in ports:
                    one.getpeername()  # a listener has none
                    yield descriptor
            finally:
                one.detach()


class Standby:
    """Answers everybody alike, on plain sockets and on a thread of its own.

    It takes over the event loop's descriptors: neither the loop nor the process has a future. It opens none but those
    of new connections, as there may be none left.
    """

    def __init__(self, answer: bytes) -> None:
        """Prepare to send `answer`, a whole HTTP response that closes its connection."""
        self._answer = answer
        self._selector = PollSelector()
        self._known: set[int] = set()

    def leave_out(self, descriptor: int) -> None:
        """Touch a connection no more."""
        self._known.add(descriptor)

    def listen(self, descriptor: int) -> None:
        """Answer those who will connect here."""
        self._register(descriptor, is_listener=True)

    def answer(self, descriptor: int) -> None:
        """Answer somebody who waits."""
        self._reply(self._register(descriptor))

    def await_request(self, descriptor: int) -> None:
        """Answer somebody who has asked nothing yet, or whose question was not read, unless he is known already."""
        if descriptor not in self._known:
            self._register(descriptor)

    def run(self, seconds: float) -> None:
        """Go on answering for so long."""
        until = monotonic() + seconds
        while (left := until - monotonic()) > 0:
            for key, _ in self._selector.select(left):
                one = key.fileobj
                assert isinstance(one, socket.socket)  # noqa: S101 - nothing else is registered
                if key.data:
                    self._accept(one)
                else:
                    self._hear(one)

    def _accept(self, listener: socket.socket) -> None:
        try:
            self._selector.register(listener.accept()[0], EVENT_READ, False)
        except BlockingIOError:  # somebody who hung up at once
            pass
        except OSError:  # no descriptor is left: it would fail again and again
            self._selector.unregister(listener)

    def _hear(self, one: socket.socket) -> None:
        """Answer what was asked; let go of who hung up."""
        try:
            if one.recv(CHUNK):
                self._reply(one)
                return
        except OSError:
            pass
        self._selector.unregister(one)
        one.close()

    def _register(self, descriptor: int, *, is_listener: bool = False) -> socket.socket:
        one = socket.socket(fileno=descriptor)
        one.setblocking(False)
        self._selector.register(one, EVENT_READ, is_listener)
        self._known.add(descriptor)
        return one

    def _reply(self, one: socket.socket) -> None:
        """Send the answer; go on reading what the caller still sends, or it might never see the answer."""
        with suppress(OSError):
            one.sendall(self._answer)
            one.shutdown(socket.SHUT_WR)
