"""A sampler for Optuna that chooses among candidates of another sampler."""

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import intersection_search_space
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ...predictor import Predictor
from ..rule import NetworkOf
from ..screening import Screening

Distributions = Mapping[str, BaseDistribution]


class PeepholeSampler(BaseSampler):
    """Draw several candidates of a sampler, and try the one whose network is predicted best.

    Example:
        ```python
        sampler = PeepholeSampler(predictor, network_of, space={"width": IntDistribution(8, 64)}, candidates=32)
        ```

    Args:
        predictor: a `Client`, or what `load` returns.
        network: gives the layers of parameters; `None`, or an error, for those that make no network.
        task: which predictor; optional where there is one.
        space: distributions of all parameters that the network depends on; by default those that all completed trials
            have, so that the first trials are not chosen.
        base: draws the candidates; at random by default.
        candidates: how many.
        options: of `predict`, such as `rank_by` and `constraints`.
    """

    def __init__(
        self,
        predictor: Predictor,
        network: NetworkOf,
        *,
        task: str | None = None,
        space: Distributions | None = None,
        base: BaseSampler | None = None,
        candidates: int = 16,
        **options: Any,
    ) -> None:
        self._screening = Screening(predictor, network, task, **options)
        self._space, self._candidates = space, candidates
        self._base = RandomSampler() if base is None else base

    def reseed_rng(self) -> None:
        """Reseed the base sampler."""
        self._base.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002
        """Return the distributions of the parameters that are chosen together."""
        known = self._space
        if known is None:
            known = intersection_search_space(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
        return {name: one for name, one in known.items() if not one.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the parameters of the best candidate."""
        if not search_space:
            return {}
        drawn = [self._draw(study, trial, search_space) for _ in range(self._candidates)]
        return drawn[self._screening.best(drawn)]

    def _draw(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        joint = self._base.infer_relative_search_space(study, trial)
        known = {name: one for name, one in joint.items() if name in search_space}
        drawn = self._base.sample_relative(study, trial, known)
        alone = {name: one for name, one in search_space.items() if name not in drawn}
        return drawn | {name: self._base.sample_independent(study, trial, name, one) for name, one in alone.items()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return a parameter that is not chosen, as the base sampler draws it."""
        return self._base.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Pass on to the base sampler."""
        self._base.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Pass on to the base sampler."""
        self._base.after_trial(study, trial, state, values)
