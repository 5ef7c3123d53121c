"""What takes the event loop's place when it is stuck: everybody is told that there will be no answer."""

import os
import socket
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector
from time import monotonic

CHUNK = 64 * 1024


class Standby:
    """Answers everybody alike, on plain sockets and on a thread of its own.

    It works on duplicates of the event loop's descriptors, which the loop must not touch meanwhile.
    """

    def __init__(self, answer: bytes) -> None:
        """Prepare to send `answer`, a whole HTTP response that closes its connection."""
        self._answer = answer
        self._selector = DefaultSelector()

    def listen(self, descriptor: int) -> None:
        """Answer those who will connect here."""
        self._register(descriptor, is_listener=True)

    def answer(self, descriptor: int) -> None:
        """Answer somebody who waits."""
        self._reply(self._register(descriptor))

    def await_request(self, descriptor: int) -> None:
        """Answer somebody who has asked nothing yet, or whose question was not read."""
        self._register(descriptor)

    def run(self, seconds: float) -> None:
        """Go on answering for so long."""
        until = monotonic() + seconds
        while (left := until - monotonic()) > 0:
            for key, _ in self._selector.select(left):
                one = key.fileobj
                assert isinstance(one, socket.socket)  # noqa: S101 - nothing else is registered
                with suppress(OSError):  # who hung up needs no answer
                    if key.data:
                        self._selector.register(one.accept()[0], EVENT_READ, False)
                    elif one.recv(CHUNK):
                        self._reply(one)
                    else:
                        self._selector.unregister(one)
                        one.close()

    def _register(self, descriptor: int, *, is_listener: bool = False) -> socket.socket:
        one = socket.socket(fileno=os.dup(descriptor))
        one.setblocking(False)
        self._selector.register(one, EVENT_READ, is_listener)
        return one

    def _reply(self, one: socket.socket) -> None:
        """Send the answer; go on reading what the caller still sends, or it might never see the answer."""
        with suppress(OSError):
            one.sendall(self._answer)
            one.shutdown(socket.SHUT_WR)
