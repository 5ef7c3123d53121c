"""What the predictor that ships is compared with, each method on the same splits."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.baselines import FinalPredictor
from training.baselines.gaussian_process import FeatureGaussianProcess
from training.baselines.last_value import LastValue
from training.baselines.nu_svr import BakerSVR
from training.baselines.one_feature import FLOPS, PARAMETERS, OneFeature
from training.baselines.peephole_lstm import PlainPeephole
from training.baselines.trees import BoostedTrees
from training.curves.figures import final_error
from training.observations.table import Floats
from training.study.networks import Indices, Networks

LSTM = "Peephole LSTM, whole curves"
SVR, LC_NET = "ν-SVR (Baker et al.)", "LC-Net (Klein et al.)"


@dataclass(frozen=True)
class Rival:
    """A method and how it is run.

    Attributes:
        name: for the tables.
        make: from a layer code and a seed to a method.
        share: of the curve that it sees; 0 before training.
        reads_codes: layer codes instead of hand features.
        seeds: how many times it is fitted where there is one test split; figures are means.
    """

    name: str
    make: Callable[[Networks, int], FinalPredictor]
    share: float = 0.0
    reads_codes: bool = False
    seeds: int = 1

    @property
    def key(self) -> str:
        """Name and share, which no other rival has."""
        return f"{self.name} {self.share:.0%}" if self.share else self.name

    def seen(self, epochs: int) -> int:
        """How many epochs it sees of so many."""
        return min(max(1, round(self.share * epochs)), epochs - 1) if self.share else 0


def _lc_net(seed: int) -> FinalPredictor:
    from training.baselines.lc_net import LCNet  # noqa: PLC0415 - its library is an extra

    return LCNet(seed=seed)


def rivals() -> list[Rival]:
    """Return all methods; LC-Net only where Pyro (the `study` extra) is installed."""
    found = [
        Rival("parameters", lambda _, seed: OneFeature(PARAMETERS)),
        Rival("FLOPs", lambda _, seed: OneFeature(FLOPS)),
        Rival("boosted trees on hand features", lambda _, seed: BoostedTrees(seed), seeds=3),
        Rival("Gaussian process on hand features", lambda _, seed: FeatureGaussianProcess()),
        Rival(
            "Peephole LSTM, last epoch (equation 2)",
            lambda networks, seed: PlainPeephole(networks.code, final_epoch_only=True, seed=seed),
            reads_codes=True,
        ),
        Rival(LSTM, lambda networks, seed: PlainPeephole(networks.code, seed=seed), reads_codes=True, seeds=2),
        *(Rival("last seen value", lambda _, seed: LastValue(), share) for share in (0.1, 0.25, 0.5)),
        *(Rival(SVR, lambda _, seed: BakerSVR(), share) for share in (0.1, 0.25, 0.5)),
    ]
    if importlib.util.find_spec("pyro"):
        found.append(Rival(LC_NET, lambda _, seed: _lc_net(seed), 0.25))
    return found


def predict(rival: Rival, fitting: Networks, test: Networks, seed: int) -> tuple[Floats, FinalPredictor]:
    """Fit a rival to some networks and return what it predicts of others [networks], and the fitted method."""
    method = rival.make(fitting, seed)
    method.fit(fitting.curves, fitting.codes if rival.reads_codes else fitting.features)
    seen = test.curves[:, : rival.seen(test.curves.shape[1])]
    predicted = method.predict(seen, test.codes if rival.reads_codes else test.features)
    return np.asarray(predicted, dtype=np.float64), method


def measure(
    rival: Rival,
    networks: Networks,
    parts: list[tuple[Indices, Indices]],
    on_fitted: Callable[[FinalPredictor], None] = lambda method: None,
) -> dict[str, Any]:
    """Return a rival's figures.

    Args:
        rival: the method.
        networks: all of a task.
        parts: pairs of networks to learn from and to predict.
        on_fitted: given each method that was fitted.

    Returns:
        `seen` epochs; `runs`, one for each seed: tau, R2, MSE and MAE, means over the parts; where there is one part,
        `predicted`, by architecture, of the first run.
    """
    runs, first = [], {}
    for seed in range(rival.seeds if len(parts) == 1 else 1):
        errors = []
        for fitting, test in parts:
            predicted, method = predict(rival, networks.rows(fitting), networks.rows(test), seed)
            on_fitted(method)
            errors.append(final_error(networks.final[test], predicted))
            if seed == 0 and len(parts) == 1:
                names = (networks.table.network_ids[index] for index in test)
                first = dict(zip(names, predicted.round(4).tolist(), strict=True))
        figures = ("tau", "r2", "mse", "mae")
        runs.append({name: float(f"{np.mean([getattr(one, name) for one in errors]):.4g}") for name in figures})
    return {"seen": rival.seen(networks.curves.shape[1]), "runs": runs} | ({"predicted": first} if first else {})
