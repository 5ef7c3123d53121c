"""An adapter to pymoo: predicted accuracy and costs as a problem of several objectives."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from pymoo.core.problem import Problem

from ..predictor import Predictor
from .rule import Layers
from .screening import Screening

COSTS = ("params", "flops", "activation_bytes")
WORST = 1e15  # infinity is no distance for crowding


class PeepholeProblem(Problem):
    """Minimise 1 - accuracy and costs of networks, a generation in one request.

    A row that makes no network, and a generation without an answer, have accuracy 0 and costs of 1e15.

    Example:
        ```python
        problem = PeepholeProblem(predictor, network_of, n_var=4, xl=0, xu=9, vtype=int)
        minimize(problem, NSGA2(sampling=..., mutation=..., crossover=...))
        ```

    Args:
        predictor: a `Client`, or what `load` returns.
        network: gives the layers of a row of variables.
        task: which predictor; optional where there is one.
        objectives: `accuracy` and of `params`, `flops`, `activation_bytes`.
        constraints: upper bounds of these costs.
        rank_by: `lower` takes the lower end of the interval for the accuracy, `upper` the upper end.
        variables: of `pymoo.core.problem.Problem`: `n_var`, `xl`, `xu`, `vtype`.
    """

    def __init__(
        self,
        predictor: Predictor,
        network: Callable[[Any], Layers | None],
        task: str | None = None,
        *,
        objectives: Sequence[str] = ("accuracy", "flops"),
        constraints: Mapping[str, float] | None = None,
        rank_by: str = "mean",
        **variables: Any,
    ) -> None:
        self._objectives, self._constraints = tuple(objectives), dict(constraints or {})
        unknown = {*self._objectives, *self._constraints} - {"accuracy", *COSTS}
        if unknown or "accuracy" in self._constraints:
            raise ValueError(f"objectives are accuracy, {', '.join(COSTS)}; constraints are of costs")
        self._screening, self._rank_by = Screening(predictor, network, task), rank_by
        super().__init__(n_obj=len(self._objectives), n_ieq_constr=len(self._constraints), **variables)

    def _evaluate(self, x: Any, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        del args, kwargs
        values = {name: np.full(len(x), WORST) for name in COSTS} | {"accuracy": np.ones(len(x))}
        known, predictions = self._screening.predict(list(x))
        for place, one in zip(known, predictions or (), strict=False):
            by = {"mean": (one.final_accuracy,), "lower": one.lower, "upper": one.upper}[self._rank_by]
            values["accuracy"][place] = 1 - by[-1]
            for name in COSTS:
                values[name][place] = getattr(one, name)
        out["F"] = np.stack([values[name] for name in self._objectives], axis=1)
        if self._constraints:
            out["G"] = np.stack([values[name] - most for name, most in self._constraints.items()], axis=1)
