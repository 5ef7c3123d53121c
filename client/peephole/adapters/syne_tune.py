"""An adapter to Syne Tune: a scheduler around another one."""

from typing import Any

from syne_tune.backend.trial_status import Trial
from syne_tune.optimizer.scheduler import SchedulerDecision, TrialScheduler, TrialSuggestion

from ..predictor import Predictor
from .rule import NetworkOf, StopRule
from .trials import Trials


class PeepholeScheduler(TrialScheduler):
    """Let another scheduler suggest trials, and stop hopeless ones.

    Example:
        ```python
        base = RandomSearch(config_space, metrics=["accuracy"], do_minimize=False)
        scheduler = PeepholeScheduler(base, peephole.load("cifar10-mini"), network=network_of)
        ```

    Args:
        base: suggests trials, and may stop or pause them too.
        predictor: a `Client`, or what `load` returns.
        task: which predictor; optional where there is one.
        metric: name under which trials report the accuracy, 0 to 1; the first one of `base` by default.
        time_attr: name under which trials report the epoch, from 1; without it reports are counted.
        network: gives the layers of a configuration; its `layers` by default.
        options: `confidence` (0.95), `min_epochs` (1) and `epochs` of `StopRule`.
    """

    def __init__(
        self,
        base: TrialScheduler,
        predictor: Predictor,
        task: str | None = None,
        *,
        metric: str | None = None,
        time_attr: str = "epoch",
        network: NetworkOf | None = None,
        **options: Any,
    ) -> None:
        super().__init__(random_seed=base.random_seed)
        self.base = base
        self._trials = Trials(
            StopRule(predictor, task, **options), metric or base.metric_names()[0], time_attr, network
        )

    def suggest(self) -> TrialSuggestion | None:
        """Return what the base scheduler suggests."""
        return self.base.suggest()

    def on_trial_add(self, trial: Trial) -> None:
        """Pass on."""
        self.base.on_trial_add(trial)

    def on_trial_error(self, trial: Trial) -> None:
        """Pass on."""
        self.base.on_trial_error(trial)

    def on_trial_result(self, trial: Trial, result: dict[str, Any]) -> str:
        """Return the base scheduler's decision, or to stop a hopeless trial."""
        is_hopeless = self._trials.is_hopeless(str(trial.trial_id), result, trial.config)
        decision = str(self.base.on_trial_result(trial, result))
        return str(SchedulerDecision.STOP) if is_hopeless else decision

    def on_trial_complete(self, trial: Trial, result: dict[str, Any]) -> None:
        """Let a finished trial count, and pass on."""
        self._trials.finish(str(trial.trial_id))
        self.base.on_trial_complete(trial, result)

    def on_trial_remove(self, trial: Trial) -> None:
        """Pass on."""
        self.base.on_trial_remove(trial)

    def metric_names(self) -> list[str]:
        """Return those of the base scheduler."""
        return list(self.base.metric_names())

    def metric_mode(self) -> Any:
        """Return that of the base scheduler."""
        return self.base.metric_mode()

    def metadata(self) -> dict[str, Any]:
        """Return those of the base scheduler, under this one's name."""
        return {**self.base.metadata(), "scheduler_name": type(self).__name__}
