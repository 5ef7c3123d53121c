"""How fast the workers are: padded layers a second, measured while they work."""

DECAY = 0.95  # weight of the past at each batch
INITIAL = 100_000.0  # padded layers a second, before the first batch
MAX_SLOWER = 5.0  # than expected, that one batch may count as: the process may have been paused meanwhile


class Throughput:
    """An exponentially weighted mean over batches, of all workers together."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._cost = INITIAL / workers
        self._seconds = 1.0

    def note(self, cost: int, seconds: float) -> None:
        """Count a batch of one worker."""
        expected = cost * self._seconds / self._cost
        self._cost = DECAY * self._cost + cost
        self._seconds = DECAY * self._seconds + min(seconds, MAX_SLOWER * expected)

    @property
    def rate(self) -> float:
        """Padded layers a second."""
        return self.workers * self._cost / max(self._seconds, 1e-9)
