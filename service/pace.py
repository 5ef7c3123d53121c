"""How fast the inference threads are, as measured of late."""

ASSUMED_RATE = 100_000.0  # padded layers a second, until it was measured
FADING = 0.9  # of what was measured, at each batch
MOST_SLOWER = 5.0  # than expected, that one batch may count as


class Pace:
    """Padded layers a second of all inference threads together, while there was work.

    A batch that took far longer than expected counts as a few slow ones: when the process was paused meanwhile, what it
    does afterwards is as fast as before, and callers would be refused for nothing. A predictor that has truly become
    slower shows in the batches that follow.
    """

    def __init__(self) -> None:
        self._done = ASSUMED_RATE  # computed in `_busy` seconds, both fading
        self._busy = 1.0

    @property
    def rate(self) -> float:
        """Padded layers a second."""
        return self._done / self._busy

    def note(self, cost: int, seconds: float) -> None:
        """Take in that `cost` padded layers would have taken all threads together so many seconds."""
        self._busy = FADING * self._busy + min(seconds, MOST_SLOWER * cost / self.rate)
        self._done = FADING * self._done + cost
