"""A stopper for Ray Tune that ends trials which will hardly beat the best finished one."""

from typing import Any

from ray.tune import Stopper

from adapters.callback import EarlyStopper
from adapters.early_stopping_client import EarlyStoppingClient


class PeepholeStopper(Stopper):  # type: ignore[misc]
    """Stop a trial when it ends at or below the best finished trial with at least `confidence`.

    Trials report the validation accuracy (0 to 1) after every epoch. Where the configuration of a trial has `layers`,
    as in `POST /predict`, decisions are better, early on much better.

    Example:
        ```python
        stopper = PeepholeStopper(InProcess("metaqnn-cifar10"), metric="accuracy", epochs=20)
        tune.Tuner(train, run_config=tune.RunConfig(stop=stopper))
        ```

    Args:
        client: an early-stopping client of the task.
        metric: name under which trials report their accuracy.
        epochs: after how many reports a trial is finished, and stopped.
        confidence: from 0.5 to below 1.
        min_epochs: never stop before this many epochs.
    """

    def __init__(
        self, client: EarlyStoppingClient, *, metric: str, epochs: int, confidence: float = 0.95, min_epochs: int = 1
    ) -> None:
        self._search = EarlyStopper(client, confidence=confidence, min_epochs=min_epochs)
        self._metric, self._epochs = metric, epochs
        self._curves: dict[str, list[float]] = {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return whether to stop a trial; called by Ray after every report."""
        if self._metric not in result:
            raise ValueError(f"trials report no {self._metric!r}; they report {', '.join(sorted(result))}")
        curve = self._curves.setdefault(trial_id, [])
        curve.append(float(result[self._metric]))
        if len(curve) >= self._epochs:
            self._search.best = max(curve[-1], self._search.best or 0.0)
            return True
        return self._search.is_hopeless(curve, result.get("config", {}).get("layers"))

    def stop_all(self) -> bool:
        """Never end the whole experiment."""
        return False
