"""Early stopping in a training loop of your own."""

from collections.abc import Sequence
from typing import Any

from ..predictor import Predictor
from .rule import Layers, Reports, StopRule, record


class EarlyStopper:
    """Decides after each epoch whether a run of a search goes on.

    Example:
        ```python
        search = EarlyStopper(peephole.load("cifar10-mini"))
        for layers in networks:
            run = search.start(layers)
            for epoch in range(10):
                if run.should_stop(train_one_epoch(layers)):
                    break
            run.finish()
        ```

    Args:
        predictor: a `Client`, or what `load` returns.
        task: which predictor; optional where there is one.
        best: accuracy of the best run so far, where some have finished already.
        options: `confidence` (0.95), `min_epochs` (1) and `epochs` of `StopRule`.
    """

    def __init__(
        self, predictor: Predictor, task: str | None = None, *, best: float | None = None, **options: Any
    ) -> None:
        self.rule = StopRule(predictor, task, **options)
        self.best_run: Reports | None = None if best is None else {1: best}

    @property
    def best(self) -> float | None:
        """Accuracy of the best finished run."""
        return None if self.best_run is None else self.rule.end(self.best_run)

    def start(self, layers: Layers | None = None, observed: Sequence[float] = ()) -> "TrainingRun":
        """Begin a run, or go on with one that has reports already; with its layers decisions are better."""
        return TrainingRun(self, layers, observed)


class TrainingRun:
    """One run of a search.

    Attributes:
        reports: accuracies by epoch, from 1.
        stopped: whether it was to be stopped.
    """

    def __init__(self, search: EarlyStopper, layers: Layers | None, observed: Sequence[float]) -> None:
        self._search, self._layers = search, layers
        self.reports = {epoch: float(accuracy) for epoch, accuracy in enumerate(observed, 1)}
        self.stopped = False

    def should_stop(self, accuracy: float, epoch: int | None = None) -> bool:
        """Record a validation accuracy and return whether to stop.

        Args:
            accuracy: from 0 to 1; NaN when the run diverged.
            epoch: after which it was measured, from 1; the next one by default.
        """
        record(self.reports, float(accuracy), epoch)
        self.stopped = self._search.rule.is_hopeless(self.reports, self._search.best_run, self._layers)
        return self.stopped

    def finish(self) -> None:
        """Let a run that was trained to its end count as the best, when it is."""
        if not self.stopped:
            best = self._search.best_run
            self._search.best_run = self._search.rule.best_of([dict(self.reports)] + ([] if best is None else [best]))

    def warn(self, kind: str, message: str) -> None:
        """Log a warning, the first of its kind."""
        self._search.rule.warn(kind, message)
