"""Adapters to Ray Tune: a stopper, and a scheduler."""

from typing import Any

from ray.tune import Stopper
from ray.tune.schedulers import FIFOScheduler

from ..predictor import Predictor
from .rule import NetworkOf, StopRule
from .trials import Trials

TIME = "training_iteration"


class PeepholeStopper(Stopper):
    """Stop a trial that ends at or below the best finished one with at least `confidence`, or that diverged.

    Trials report the validation accuracy, 0 to 1, after every epoch; with their network decisions are better.

    Example:
        ```python
        stopper = PeepholeStopper(peephole.load("cifar10-mini"), metric="accuracy")
        tune.Tuner(train, run_config=tune.RunConfig(stop=stopper)).fit()
        ```

    Args:
        predictor: a `Client`, or what `load` returns.
        task: which predictor; optional where there is one.
        metric: name under which trials report the accuracy; it may be nested, `eval/accuracy`.
        epochs: after which a trial is finished, and stopped; else trials end by themselves.
        time_attr: name under which trials report the epoch, from 1.
        network: gives the layers of a configuration; its `layers` by default.
        options: `confidence` (0.95) and `min_epochs` (1) of `StopRule`.
    """

    def __init__(
        self,
        predictor: Predictor,
        task: str | None = None,
        *,
        metric: str,
        epochs: int | None = None,
        time_attr: str = TIME,
        network: NetworkOf | None = None,
        **options: Any,
    ) -> None:
        self._trials = Trials(StopRule(predictor, task, **options), metric, time_attr, network)
        self._epochs = epochs

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return whether to stop a trial; called by Ray after every result, the last one once more as `done`."""
        is_hopeless = not result.get("done") and self._trials.is_hopeless(trial_id, result, result.get("config", {}))
        is_over = self._epochs is not None and self._trials.epoch(trial_id) >= self._epochs
        if not is_hopeless and (result.get("done") or is_over):
            self._trials.finish(trial_id)
        return is_hopeless or is_over

    def stop_all(self) -> bool:
        """Never end the whole experiment."""
        return False


class PeepholeScheduler(FIFOScheduler):
    """Run trials in their order and stop hopeless ones; arguments are those of `PeepholeStopper` but `epochs`.

    `metric` may be that of the `TuneConfig`, whose mode is `max`.
    """

    def __init__(
        self,
        predictor: Predictor,
        task: str | None = None,
        *,
        metric: str | None = None,
        time_attr: str = TIME,
        network: NetworkOf | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self._metric, self._mode = metric, "max"
        self._trials = Trials(StopRule(predictor, task, **options), metric or "", time_attr, network)

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Take over the metric of the `TuneConfig`."""
        is_taken = super().set_search_properties(metric, mode, **spec)
        self._trials.metric, self._mode = self._metric or "", mode or "max"
        return bool(is_taken)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:  # noqa: ARG002
        """Return whether a trial goes on; called by Ray."""
        if self._mode != "max":
            self._trials.rule.warn("direction", "accuracies are predicted: give mode='max'")
            return str(self.CONTINUE)
        return str(self.STOP if self._trials.is_hopeless(trial.trial_id, result, trial.config) else self.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:  # noqa: ARG002
        """Let a finished trial count; called by Ray for stopped ones too."""
        self._trials.finish(trial.trial_id)
