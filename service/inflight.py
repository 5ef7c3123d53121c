"""The requests in flight and how fast they are completed: how long a new one would have to wait.

What limits the service may be reading, validating, inference or rendering, so a request weighs what its body weighs.
"""

from time import monotonic

DECAY = 0.95  # weight of the past at each completed request
REQUEST_BYTES = 8192  # what a request costs beside its body, as bytes
INITIAL_RATE = 20e6  # bytes a second, before the first completed request
MAX_SLOWER = 5.0  # than expected, that one request may count as: the process may have been paused meanwhile


class InFlight:
    """Requests that are being handled: those that may take long, or change something.

    Attributes:
        requests: how many.
        body_bytes: of all their bodies.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.body_bytes = 0
        self._last = 0.0
        self._weight = INITIAL_RATE
        self._seconds = 1.0

    def enter(self, body_bytes: int) -> float:
        """Count a request that has come; return the time, for `leave`."""
        self.requests += 1
        self.body_bytes += body_bytes
        return monotonic()

    def leave(self, body_bytes: int, began: float, *, completed: bool) -> None:
        """Count the end of a request; if it was `completed`, it took the time since it or its turn began."""
        self.requests -= 1
        self.body_bytes -= body_bytes
        if completed:
            now, weight = monotonic(), body_bytes + REQUEST_BYTES
            expected = weight * self._seconds / self._weight
            took = min(now - max(began, self._last), MAX_SLOWER * expected)
            self._weight = DECAY * self._weight + weight
            self._seconds = DECAY * self._seconds + took
            self._last = now

    def wait(self, own_bytes: int) -> float:
        """Return the seconds until the other requests are completed, at the rate of the last ones.

        Args:
            own_bytes: size of the body of the request that would wait; it is in flight itself.
        """
        others = self.body_bytes - own_bytes + (self.requests - 1) * REQUEST_BYTES
        return max(0, others) * self._seconds / self._weight
