"""Lines on their way to a descriptor, written by a thread of their own.

Whoever logs neither waits for a slow reader nor learns that there is none any more: what cannot be kept or written is
counted, and said as soon as a line gets through again.
"""

import os
import select
from collections.abc import Callable
from threading import Condition, Thread
from time import sleep

MOST_BYTES = 8 * 1024 * 1024
GATHER_SECONDS = 0.005  # a busy process writes many lines at once; waking for each would cost its threads time


class Lines:
    """A bounded queue of lines and the thread that writes them; `notice` renders the line that says how many are lost.

    Any thread may call any method. None raises.
    """

    def __init__(self, notice: Callable[[int], bytes], most_bytes: int = MOST_BYTES) -> None:
        self._notice = notice
        self._most_bytes = most_bytes
        self._waiting: list[bytes] = []
        self._size = 0
        self._lost = 0
        self._is_torn = False  # the last byte written was not the end of a line
        self._is_writing = False
        self._thread: Thread | None = None
        self._changed = Condition()

    def start(self, descriptor: int) -> None:
        """Write to the descriptor from now on; only the first call counts."""
        with self._changed:
            if self._thread is None:
                self._thread = Thread(target=self._run, args=(descriptor,), name="log", daemon=True)
                self._thread.start()

    def put(self, line: bytes) -> None:
        """Take a line, without its end; or count it as lost when too much is waiting."""
        with self._changed:
            if self._size + len(line) > self._most_bytes:
                self._lost += 1
                return
            self._waiting.append(line)
            self._size += len(line)
            if len(self._waiting) == 1:
                self._changed.notify_all()

    def flush(self, most_seconds: float) -> None:
        """Wait until everything is written, at most so long."""
        with self._changed:
            if self._thread is not None:
                self._changed.wait_for(lambda: not self._waiting and not self._is_writing, most_seconds)

    def _run(self, descriptor: int) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
            sleep(GATHER_SECONDS)
            with self._changed:
                lines, self._waiting, self._size = self._waiting, [], 0
                lost, self._lost = self._lost, 0
                self._is_writing = True
            if lost:
                lines.append(self._notice(lost))
            unwritten = self._write(descriptor, b"\n".join([*lines, b""]))
            with self._changed:
                if unwritten:  # the notice, where there is one, comes last: it is among them, and not a loss itself
                    self._lost += lost + unwritten - bool(lost)
                self._is_writing = False
                self._changed.notify_all()

    def _write(self, descriptor: int, text: bytes) -> int:
        """Return the number of lines that could not be written to their end."""
        left = memoryview(b"\n" + text if self._is_torn else text)
        while left:
            try:
                written = os.write(descriptor, left)
            except BlockingIOError:  # somebody who shares the descriptor made it so
                select.select([], [descriptor], [])
            except OSError:
                break
            else:
                self._is_torn = left[written - 1] != ord("\n")
                left = left[written:]
        return min(bytes(left).count(b"\n"), text.count(b"\n"))
