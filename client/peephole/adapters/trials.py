"""The trials of a tuner, by the results that they report."""

from collections.abc import Mapping
from typing import Any

from .rule import Layers, NetworkOf, Reports, StopRule, metric_in, record


class Trials:
    """Collects accuracies by trial and epoch, so that a trial that is restarted repeats some of its own.

    Args:
        rule: which trials are stopped.
        metric: name under which trials report the accuracy; `eval/accuracy` is `accuracy` in `eval`.
        time_attr: name under which they report the epoch, from 1; without it reports are counted.
        network: gives the layers of a configuration; its `layers` by default.
    """

    def __init__(self, rule: StopRule, metric: str, time_attr: str, network: NetworkOf | None = None) -> None:
        self.rule, self.metric, self.time_attr, self._network = rule, metric, time_attr, network
        self.best: Reports | None = None
        self._reports: dict[str, dict[int, float]] = {}
        self._stopped: set[str] = set()

    def is_hopeless(self, trial: str, result: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
        """Record a result and return whether to stop its trial."""
        reports = self.record(trial, result)
        if reports is None:
            return False
        if self.rule.is_hopeless(reports, self.best, self._layers(config)):
            self._stopped.add(trial)
            return True
        return False

    def record(self, trial: str, result: Mapping[str, Any]) -> dict[int, float] | None:
        """Record a result and return the trial's accuracies by epoch; `None` when it has no accuracy."""
        accuracy, epoch = metric_in(result, self.metric), metric_in(result, self.time_attr)
        if not isinstance(accuracy, int | float) and not hasattr(accuracy, "__float__"):
            self.rule.warn(
                "metric", f"some results have no {self.metric!r}, only {', '.join(sorted(map(str, result)))}"
            )
            return None
        reports = self._reports.setdefault(trial, {})
        record(reports, float(accuracy), None if epoch is None else int(epoch))
        return reports

    def epoch(self, trial: str) -> int:
        """Return the last epoch that a trial reported; 0 when there is none."""
        return max(self._reports.get(trial, {}), default=0)

    def finish(self, trial: str) -> None:
        """Let a trial that was trained to its end count as the best, when it is."""
        if trial not in self._stopped:
            self.best = self.rule.best_of([self._reports.get(trial, {})] + ([] if self.best is None else [self.best]))

    def _layers(self, config: Mapping[str, Any]) -> Layers | None:
        if self._network is None:
            return config.get("layers")
        try:
            return self._network(config)
        except Exception as error:  # decisions are then by the curve alone
            self.rule.warn("network", f"some configurations make no network: {error!r}")
            return None
