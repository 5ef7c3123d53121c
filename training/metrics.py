"""How good a prediction is, and how good it could be."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau
from sklearn.metrics import mean_squared_error, r2_score

from training.observations.observation import Observation

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Metrics:
    """The paper's three criteria for the final accuracy, and the mean absolute error over whole curves."""

    tau: float
    r2: float
    mse: float
    curve_mae: float

    def rounded(self) -> dict[str, float]:
        """Return the figures as a card keeps them."""
        return rounded(asdict(self))


def rounded(figures: Mapping[str, float]) -> dict[str, float]:
    """Return figures as a card keeps them."""
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


def tau(measured: Floats, predicted: Floats) -> float:
    """Kendall's tau-b; 0 when either side does not vary."""
    statistic = float(kendalltau(measured, predicted).statistic)
    return 0.0 if np.isnan(statistic) else statistic


def final_error(measured: Floats, predicted: Floats) -> dict[str, float]:
    """Return Kendall's tau, R2, mean squared and mean absolute error of final accuracies [networks]."""
    return {
        "tau": tau(measured, predicted),
        "r2": float(r2_score(measured, predicted)),
        "mse": float(mean_squared_error(measured, predicted)),
        "mae": float(np.abs(predicted - measured).mean()),
    }


def score(measured: Floats, predicted: Floats) -> Metrics:
    """Compare curves [networks, epochs]; epochs that were not measured are NaN, and the last measured one is final."""
    last = np.array([np.flatnonzero(~np.isnan(row))[-1] for row in measured])
    rows = np.arange(len(measured))
    final, predicted_final = measured[rows, last], predicted[rows, last]
    return Metrics(
        tau=tau(final, predicted_final),
        r2=float(r2_score(final, predicted_final)),
        mse=float(mean_squared_error(final, predicted_final)),
        curve_mae=float(np.nanmean(np.abs(measured - predicted))),
    )


@dataclass(frozen=True)
class Ceiling:
    """What training noise allows: how well one run of a network predicts others of the same network.

    This is what another training run reaches, and no strict bound: the mean of endless runs would reach more.

    Attributes:
        networks: networks that were trained more than once.
        tau: Kendall's tau between a run and the mean of the network's other runs, averaged over runs.
        r2: the same for the coefficient of determination.
        best_r2: what the mean of endless runs would reach as a prediction of single runs.
        noise: standard deviation of the final accuracy between runs of one network (root mean square).
        spread: standard deviation of the mean final accuracy between networks.
    """

    networks: int
    tau: float
    r2: float
    best_r2: float
    noise: float
    spread: float


def repeated_finals(observations: Sequence[Observation]) -> Floats:
    """Return final accuracies [networks, runs] of the networks trained under several seeds, as many runs of each."""
    runs: dict[str, dict[int, float]] = {}
    for row in observations:
        runs.setdefault(row.network_id, {})[row.seed] = row.accuracy[-1]
    repeated = [[value for _, value in sorted(finals.items())] for finals in runs.values() if len(finals) > 1]
    count = min(map(len, repeated), default=0)
    return np.array([finals[:count] for finals in repeated])


def ceiling(observations: Sequence[Observation]) -> Ceiling | None:
    """Estimate the noise ceiling from networks trained under several seeds; `None` with fewer than three of them."""
    finals = repeated_finals(observations)
    if len(finals) < 3:
        return None
    count = finals.shape[1]
    taus, r2s = [], []
    for run in range(count):
        others = np.delete(finals, run, axis=1).mean(axis=1)
        taus.append(tau(finals[:, run], others))
        r2s.append(float(r2_score(finals[:, run], others)))
    within = float(finals.var(axis=1, ddof=1).mean())
    between = float(finals.mean(axis=1).var(ddof=1))
    return Ceiling(
        networks=len(finals),
        tau=float(np.mean(taus)),
        r2=float(np.mean(r2s)),
        best_r2=1 - within / (between + within * (1 - 1 / count)),  # the divisor: the variance of single runs
        noise=within**0.5,
        spread=between**0.5,
    )
