"""How long single networks took of late: what may be predicted on the event loop."""

from collections import deque
from statistics import median

QUICK_SECONDS = 0.005  # that a network may keep the event loop busy
REMEMBERED = 5


class Quickness:
    """What is known of each predictor, by its digest."""

    def __init__(self) -> None:
        self._seconds: dict[str, deque[float]] = {}
        self._longest: dict[str, int] = {}

    def note(self, sha256: str, layers: int, seconds: float) -> None:
        """Take note of how long a network of so many layers took alone."""
        self._seconds.setdefault(sha256, deque(maxlen=REMEMBERED)).append(seconds)
        if seconds < QUICK_SECONDS:
            self._longest[sha256] = max(layers, self._longest.get(sha256, 0))

    def expects(self, sha256: str, layers: int) -> bool:
        """Whether a network of so many layers will be quick: one that was no shorter was, and so are most of late."""
        return layers <= self._longest.get(sha256, 0) and median(self._seconds[sha256]) < QUICK_SECONDS
