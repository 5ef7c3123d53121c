"""How good a figure can be, how sure it is, and what it is worth: ceilings, bootstrap intervals, regret."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import gammaln

from training.metrics import repeated_finals, tau
from training.observations.dataset import Floats
from training.observations.observation import Observation

LEVEL = 0.95
RESAMPLES = 500
TIE_BREAKS = 20
TINY = 1e-9


def trainable(rows: Sequence[Observation]) -> list[Observation]:
    """Return the rows of networks that learn under every seed."""
    failed = {row.network_id for row in rows if row.status != "ok"}
    return [row for row in rows if row.network_id not in failed]


def _bootstrap(networks: int, figure: Callable[[np.ndarray], float]) -> tuple[float, float]:
    """Return the interval of a figure over networks, drawn with replacement; `figure` takes their numbers."""
    rng = np.random.default_rng(0)
    drawn = [figure(rng.integers(networks, size=networks)) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def tau_interval(measured: Floats, predicted: Floats) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of Kendall's tau over networks."""
    return _bootstrap(len(measured), lambda drawn: tau(measured[drawn], predicted[drawn]))


def ceiling_interval(rows: Sequence[Observation]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the noise ceiling's tau over the networks trained under several seeds."""
    finals = repeated_finals(rows)
    return _bootstrap(len(finals), lambda drawn: _ceiling(finals[drawn], 0.0))


def untied_ceiling(rows: Sequence[Observation]) -> float:
    """Return the noise ceiling's tau with the reference's ties broken at random.

    Networks that never learn end at exactly the same accuracy. Another run of such a network shares the tie, which
    `training.metrics.ceiling` counts in its favour; a prediction without a chance level cannot tie.
    """
    finals, rng = repeated_finals(rows), np.random.default_rng(0)
    return float(np.mean([_ceiling(finals, TINY * rng.random(len(finals))) for _ in range(TIE_BREAKS)]))


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
