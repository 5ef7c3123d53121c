"""How good a figure can be, how sure it is, and what it is worth: ceilings, bootstrap intervals, regret."""

from collections.abc import Sequence

import numpy as np
from scipy.special import gammaln

from training.metrics import tau
from training.observations.observation import Observation
from training.observations.table import Floats

RESAMPLES = 500
TIE_BREAKS = 20
TINY = 1e-9


def tau_interval(measured: Floats, predicted: Floats, level: float = 0.95) -> tuple[float, float]:
    """Return the bootstrap interval of Kendall's tau over networks."""
    rng = np.random.default_rng(0)
    draws = (rng.integers(len(measured), size=len(measured)) for _ in range(RESAMPLES))
    taus = [tau(measured[chosen], predicted[chosen]) for chosen in draws]
    low, high = np.quantile(taus, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def untied_ceiling(observations: Sequence[Observation]) -> float | None:
    """Return the noise ceiling's tau with the reference's ties broken at random.

    Networks that never learn end at exactly the same accuracy. Another run of such a network shares the tie, which
    `training.metrics.ceiling` counts in its favour; a prediction without a chance level cannot tie.

    Returns:
        `None` with fewer than three networks trained under several seeds.
    """
    finals = _repeated(observations)
    if finals is None:
        return None
    rng = np.random.default_rng(0)
    return float(np.mean([_ceiling(finals, TINY * rng.random(len(finals))) for _ in range(TIE_BREAKS)]))


def ceiling_interval(observations: Sequence[Observation], level: float = 0.95) -> tuple[float, float] | None:
    """Return the bootstrap interval of the noise ceiling's tau over the networks trained under several seeds."""
    finals = _repeated(observations)
    if finals is None:
        return None
    rng = np.random.default_rng(0)
    taus = [_ceiling(finals[rng.integers(len(finals), size=len(finals))], 0.0) for _ in range(RESAMPLES)]
    low, high = np.quantile(taus, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _repeated(observations: Sequence[Observation]) -> Floats | None:
    """Return final accuracies [networks, seeds] of networks with several seeds; `None` with fewer than three."""
    runs: dict[str, list[float]] = {}
    for row in sorted(observations, key=lambda row: row.seed):
        runs.setdefault(row.network_id, []).append(row.accuracy[-1])
    repeated = [finals for finals in runs.values() if len(finals) > 1]
    if len(repeated) < 3:
        return None
    count = min(map(len, repeated))
    return np.array([one[:count] for one in repeated])


def _ceiling(finals: Floats, shift: Floats | float) -> float:
    """Return the mean tau of each run with the mean of the others, the latter shifted."""
    others = (np.delete(finals, run, axis=1).mean(axis=1) + shift for run in range(finals.shape[1]))
    return float(np.mean([tau(finals[:, run], mean) for run, mean in enumerate(others)]))


def regret(measured: Floats, predicted: Floats, k: int) -> float:
    """Return what is lost of the best accuracy by training only the `k` networks predicted best."""
    chosen = np.argsort(-predicted, kind="stable")[:k]
    return float(measured.max() - measured[chosen].max())


def random_regret(measured: Floats, k: int) -> float:
    """Return the expected regret of training `k` networks picked at random."""
    ordered = np.sort(measured)
    count = len(ordered)
    below = np.arange(count)  # how many are worse than the best of those picked
    possible = below >= k - 1
    fewer = below[possible]
    ways = gammaln(fewer + 1) - gammaln(k) - gammaln(fewer - k + 2)
    total = gammaln(count + 1) - gammaln(k + 1) - gammaln(count - k + 1)
    return float(ordered[-1] - (ordered[possible] * np.exp(ways - total)).sum())


def found_of_best(measured: Floats, predicted: Floats, share: float = 0.1) -> float:
    """Return how many of the best networks are among as many predicted best."""
    k = max(1, round(share * len(measured)))
    best, picked = (set(np.argsort(-values, kind="stable")[:k].tolist()) for values in (measured, predicted))
    return len(best & picked) / k
