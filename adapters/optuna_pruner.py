"""A pruner for Optuna that stops trials which will hardly beat the best finished one."""

from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from adapters.callback import EarlyStopper
from adapters.early_stopping_client import EarlyStoppingClient

LAYERS_ATTRIBUTE = "layers"


class PeepholePruner(BasePruner):
    """Prune a trial when it ends at or below the best completed trial with at least `confidence`.

    Trials report the validation accuracy (0 to 1) after every epoch, with consecutive steps from 0 or 1. A trial may
    also give its network, `trial.set_user_attr("layers", [...])` as in `POST /predict`: decisions are then better,
    early on much better.

    Example:
        ```python
        study = optuna.create_study(direction="maximize", pruner=PeepholePruner(InProcess("metaqnn-cifar10")))
        ```

    Args:
        client: an early-stopping client of the task: `InProcess(...)` or `Service(...)`.
        confidence: from 0.5 to below 1.
        min_epochs: never prune before this many epochs.

    Raises:
        ValueError: when an argument is out of bounds, and on pruning when the study minimises or epochs are missing.
    """

    def __init__(self, client: EarlyStoppingClient, *, confidence: float = 0.95, min_epochs: int = 1) -> None:
        self._search = EarlyStopper(client, confidence=confidence, min_epochs=min_epochs)

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether to prune; called by `trial.should_prune()`."""
        if study.direction != StudyDirection.MAXIMIZE:
            raise ValueError("PeepholePruner predicts accuracies: create the study with direction='maximize'")
        steps = sorted(trial.intermediate_values)
        if not steps:
            return False
        if steps[0] not in (0, 1) or steps != list(range(steps[0], steps[0] + len(steps))):
            raise ValueError(
                "PeepholePruner needs the accuracy after every epoch: report steps 0, 1, 2, ... without gaps"
            )
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        self._search.best = max((other.value for other in finished if other.value is not None), default=None)
        observed = [trial.intermediate_values[step] for step in steps]
        return self._search.is_hopeless(observed, trial.user_attrs.get(LAYERS_ATTRIBUTE))
