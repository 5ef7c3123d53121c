"""The rule that all adapters share: which runs are stopped, and what a finished run counts with."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, TypeAlias

from ..client import Client
from ..predictor import Predictor
from .guard import Guard

Layers: TypeAlias = Sequence[Mapping[str, Any]]
Reports: TypeAlias = Mapping[int, float]
NetworkOf: TypeAlias = Callable[[Mapping[str, Any]], Layers | None]
_PERCENT = "accuracies are from 0 to 1: divide percent by 100. Runs that report anything else are never stopped"


class StopRule:
    """Stop a run that ends at or below the best finished one with at least `confidence`, or that diverged.

    Args:
        predictor: a `Client`, or what `load` returns.
        task: which predictor; optional where there is one.
        confidence: from 0.5 to below 1.
        min_epochs: never stop before this many epochs.
        epochs: length of the task's curves, where the predictor does not say.

    Raises:
        ValueError: when an argument is out of bounds.
    """

    def __init__(
        self,
        predictor: Predictor,
        task: str | None = None,
        *,
        confidence: float = 0.95,
        min_epochs: int = 1,
        epochs: int | None = None,
    ) -> None:
        if not 0.5 <= confidence < 1:
            raise ValueError(f"confidence must be at least 0.5 and below 1, but is {confidence}")
        if min_epochs < 1:
            raise ValueError(f"min_epochs must be at least 1, but is {min_epochs}")
        loaded = [] if isinstance(predictor, Client) or task is None else [one.name for one in predictor.tasks()]
        if loaded and task not in loaded:
            raise ValueError(f"the predictor is of task {', '.join(loaded)}, not {task}")
        self._guard, self._task = Guard(predictor), task
        self._confidence, self._min_epochs = confidence, min_epochs
        self._epochs, self._is_asked = epochs, epochs is not None

    def is_hopeless(self, reports: Reports, best: Reports | None, layers: Layers | None = None) -> bool:
        """Return whether to stop a run.

        Where the best run was trained for longer than the task's curves, runs that are ahead of it go on.

        Args:
            reports: accuracies after epochs 1, 2, ...
            best: those of the best finished run; `None` when there is none.
            layers: the network, which makes decisions better.
        """
        last = max(reports, default=0)
        if last < self._min_epochs:
            return False
        if not isfinite(reports[last]):
            return True  # it diverged
        end = None if best is None else self.end(best)
        if not self._are_accuracies(reports) or best is None or end is None or self._is_over(last):
            return False
        if self._epochs is not None and max(best) > self._epochs and reports[last] >= best.get(last, 0.0):
            return False
        if any(epoch not in reports for epoch in range(1, last + 1)):
            self.warn("gaps", "runs are stopped only if they report the accuracy after every epoch, from the first on")
            return False
        run: dict[str, Any] = {"observed": _filled([reports[epoch] for epoch in range(1, last + 1)])}
        run |= {} if layers is None else {"layers": layers}
        asked: Any = {"best": end, "task": self._task, "confidence": self._confidence}
        decisions = self._guard.ask(lambda predictor: predictor.stop(run, **asked))
        return bool(decisions and decisions[0].stop)

    def end(self, reports: Reports) -> float | None:
        """Return the accuracy that a finished run counts with: at the task's last epoch, if it was trained longer.

        `None` for a run that diverged, or that reported anything but accuracies.
        """
        last = max(reports, default=0)
        if not reports or not isfinite(reports[last]) or not self._are_accuracies(reports):
            return None
        within = [epoch for epoch in reports if not self._is_over(epoch - 1) and isfinite(reports[epoch])]
        return reports[max(within)] if within else None

    def best_of(self, runs: Iterable[Reports]) -> Reports | None:
        """Return the best of finished runs."""
        ends = [(end, run) for run in runs if (end := self.end(run)) is not None]
        return max(ends, key=lambda one: one[0])[1] if ends else None

    def is_accuracy(self, value: float | None) -> bool:
        """Whether a value is from 0 to 1; there is one warning of those that are not."""
        if value is not None and isfinite(value) and not 0 <= value <= 1:
            self.warn("values", f"{_PERCENT} (seen: {value:g})")
        return value is not None and 0 <= value <= 1

    def warn(self, kind: str, message: str) -> None:
        """Log a warning, the first of its kind."""
        self._guard.warn(kind, message)

    def _are_accuracies(self, reports: Reports) -> bool:
        return all(self.is_accuracy(value) for value in reports.values() if isfinite(value))

    def _is_over(self, epoch: int) -> bool:
        """Whether no later epoch than this is known to the task."""
        if not self._is_asked:
            tasks = self._guard.ask(lambda predictor: predictor.tasks())
            self._is_asked = tasks is not None
            lengths = [one.epochs for one in tasks or () if one.epochs and self._task in {None, one.name}]
            self._epochs = lengths[0] if len(lengths) == 1 else None
        if self._epochs is not None and epoch > self._epochs:
            self.warn("long", f"the task's curves have {self._epochs} epochs: later epochs are not looked at")
        return self._epochs is not None and epoch >= self._epochs


def _filled(curve: list[float]) -> list[float]:
    """Return a curve in which an epoch without a number has that of the one before, or of the first that has one."""
    known = next(value for value in curve if isfinite(value))
    for place, value in enumerate(curve):
        known = value if isfinite(value) else known
        curve[place] = known
    return curve


def record(reports: dict[int, float], accuracy: float, epoch: int | None) -> None:
    """Add the accuracy after an epoch, by default the next one; an earlier one is of a run that was set back to it."""
    epoch = max(reports, default=0) + 1 if epoch is None else epoch
    for later in [one for one in reports if one > epoch]:
        del reports[later]
    reports[epoch] = accuracy


def metric_in(result: Mapping[str, Any], metric: str) -> Any:
    """Return a metric of a result, which may be nested: `eval/accuracy`; `None` when there is none."""
    if metric in result:
        return result[metric]
    outer, _, inner = metric.partition("/")
    nested = result.get(outer)
    return metric_in(nested, inner) if inner and isinstance(nested, Mapping) else None
