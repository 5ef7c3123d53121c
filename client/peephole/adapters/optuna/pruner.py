"""A pruner for Optuna."""

from collections.abc import Sequence
from typing import Any

from optuna import Trial
from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ...predictor import Predictor
from ..rule import Reports, StopRule

LAYERS = "layers"
CURVE = "peephole:curve"


class PeepholePruner(BasePruner):
    """Prune a trial that ends at or below the best completed trial with at least `confidence`, or that diverged.

    Trials report the validation accuracy, 0 to 1, after every epoch. A trial may also give its network,
    `trial.set_user_attr("layers", [...])`: decisions are then better, most of all early.

    Example:
        ```python
        study = optuna.create_study(direction="maximize", pruner=PeepholePruner(peephole.load("cifar10-mini")))
        ```

    Args:
        predictor: a `Client`, or what `load` returns.
        task: which predictor; optional where there is one.
        options: `confidence` (0.95), `min_epochs` (1) and `epochs` of `StopRule`.
    """

    def __init__(self, predictor: Predictor, task: str | None = None, **options: Any) -> None:
        self._rule = StopRule(predictor, task, **options)

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether to prune; called by `trial.should_prune()`."""
        if study.direction != StudyDirection.MAXIMIZE:
            self._rule.warn("direction", "accuracies are predicted: create the study with direction='maximize'")
            return False
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        best = self._rule.best_of(map(self._reports, finished))
        return self._rule.is_hopeless(_by_epoch(trial.intermediate_values), best, trial.user_attrs.get(LAYERS))

    def report(self, trial: Trial, accuracy: float, epoch: int, others: Sequence[float], *, place: int = 0) -> bool:
        """Report to a study of several objectives, which Optuna does not prune, and return whether to prune.

        A trial is hopeless when a completed one is as good in all other objectives, and will hardly be beaten in
        accuracy.

        Args:
            trial: the running trial.
            accuracy: after the epoch.
            epoch: from 0 or 1.
            others: values of the other objectives of this trial, in the study's order.
            place: of the accuracy among the objectives.
        """
        curve = {**dict(trial.user_attrs.get(CURVE, [])), epoch: float(accuracy)}
        trial.set_user_attr(CURVE, [list(point) for point in sorted(curve.items())])
        signs = [1 if one == StudyDirection.MAXIMIZE else -1 for one in trial.study.directions]
        del signs[place]
        runs = []
        for other in trial.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            values = [value for index, value in enumerate(other.values) if index != place]
            compared = zip(signs, values, others, strict=True)
            if all(sign * value >= sign * own for sign, value, own in compared):
                runs.append(_by_epoch(dict(other.user_attrs.get(CURVE, []))))
        best = self._rule.best_of(runs)
        return self._rule.is_hopeless(_by_epoch(curve), best, trial.user_attrs.get(LAYERS))

    def _reports(self, trial: FrozenTrial) -> Reports:
        """Return what a completed trial counts with: its reports, or its value where it has none."""
        is_accuracy = self._rule.is_accuracy(trial.value)
        if not trial.intermediate_values and trial.value is not None and is_accuracy:
            return {1: trial.value}
        return _by_epoch(trial.intermediate_values)


def _by_epoch(steps: dict[int, float]) -> dict[int, float]:
    """Return reports by epoch from 1; steps may count from 0."""
    first = 1 if min(steps, default=1) == 0 else 0
    return {step + first: value for step, value in steps.items()}
