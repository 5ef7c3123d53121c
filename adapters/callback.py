"""A callback for any training loop."""

from adapters.early_stopping_client import EarlyStoppingClient, Layers


class EarlyStopper:
    """Decides after each epoch whether to go on with a run.

    Example:
        ```python
        stopper = EarlyStopper(InProcess("metaqnn-cifar10"))
        for candidate in candidates:
            run = stopper.start(candidate.layers)
            for epoch in range(20):
                if run.should_stop(train_one_epoch(candidate)):
                    break
            run.finish()
        ```

    Args:
        client: an early-stopping client of the task.
        confidence: stop when the run ends at or below the best with at least this probability.
        min_epochs: never stop before this many epochs.
    """

    def __init__(self, client: EarlyStoppingClient, *, confidence: float = 0.95, min_epochs: int = 1) -> None:
        if not 0.5 <= confidence < 1:
            raise ValueError(f"confidence must be at least 0.5 and below 1, but is {confidence}")
        if min_epochs < 1:
            raise ValueError(f"min_epochs must be at least 1, but is {min_epochs}")
        self.client, self.confidence, self.min_epochs = client, confidence, min_epochs
        self.best: float | None = None

    def start(self, layers: Layers | None = None) -> "TrainingRun":
        """Begin a run; with its layers the decisions are better, early on much better."""
        return TrainingRun(self, layers)

    def is_hopeless(self, observed: list[float], layers: Layers | None = None) -> bool:
        """Whether a run with this curve will hardly beat the best finished one."""
        if self.best is None or len(observed) < self.min_epochs:
            return False
        return self.client.below(observed, self.best, layers) >= self.confidence


class TrainingRun:
    """One run of a search."""

    def __init__(self, search: EarlyStopper, layers: Layers | None) -> None:
        self._search, self._layers = search, layers
        self.observed: list[float] = []
        self.stopped = False

    def should_stop(self, accuracy: float) -> bool:
        """Record the validation accuracy after another epoch and return whether to stop."""
        self.observed.append(float(accuracy))
        self.stopped = self._search.is_hopeless(self.observed, self._layers)
        return self.stopped

    def finish(self) -> None:
        """Let a run that was trained to its end count as the best, when it is."""
        if not self.stopped and self.observed:
            self._search.best = max(self.observed[-1], self._search.best or 0.0)
