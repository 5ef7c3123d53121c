"""Experiment: other methods on the same networks (the paper's Tables 3 and 4), before training and during it."""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.baselines import FinalPredictor
from training.baselines.curves import BakerSVR, LastValue
from training.baselines.features import FLOPS, PARAMETERS, BoostedTrees, FeatureGaussianProcess, OneFeature
from training.baselines.peephole_lstm import PlainPeephole
from training.curves.figures import cuts
from training.metrics import final_error
from training.observations.dataset import Floats
from training.study.networks import Networks, Study, Task, folds
from training.study.results import Row, rows_of
from training.study.shipped import picking

BEFORE, QUARTER, SHARES = (0.0,), (0.25,), (0.1, 0.25, 0.5)


@dataclass(frozen=True)
class Baseline:
    """A method and how it is measured.

    Attributes:
        name: for the tables.
        make: from networks to fit to and a seed to a method.
        shares: of the curve that it is given, one after the other; 0 before training.
        seeds: how often it is fitted to a training split; the tables show means.
        reads_codes: layer codes instead of hand features.
        during: whether it is cross-validated during training too.
        needs: a package that may be missing; its figures then stay as they are.
    """

    name: str
    make: Callable[[Networks, int], FinalPredictor]
    shares: tuple[float, ...] = BEFORE
    seeds: int = 1
    reads_codes: bool = False
    during: bool = False
    needs: str = "numpy"

    @property
    def runs(self) -> bool:
        """Whether what it needs is installed."""
        return importlib.util.find_spec(self.needs) is not None

    def predict(self, fitting: Networks, test: Networks, seen: int, seed: int) -> Floats:
        """Fit; return final accuracies of other networks [networks] after `seen` epochs."""
        method = self.make(fitting, seed)
        method.fit(fitting.curves, fitting.codes if self.reads_codes else fitting.features)
        predicted = method.predict(test.curves[:, :seen], test.codes if self.reads_codes else test.features)
        return np.asarray(predicted, dtype=np.float64)


def _lc_net(_: Networks, seed: int) -> FinalPredictor:
    from training.baselines.lc_net import LCNet  # noqa: PLC0415 - its library is an extra

    return LCNet(seed=seed)


LSTM = Baseline(
    "Peephole LSTM, whole curves", lambda n, seed: PlainPeephole(n.code, seed=seed), seeds=2, reads_codes=True
)
GAUSSIAN_PROCESS = Baseline("Gaussian process on hand features", lambda n, seed: FeatureGaussianProcess())
SVR = Baseline("ν-SVR (Baker et al.)", lambda n, seed: BakerSVR(), SHARES, during=True)
LC_NET = Baseline("LC-Net (Klein et al.)", _lc_net, QUARTER, during=True, needs="pyro")
BASELINES = (
    Baseline("parameters", lambda n, seed: OneFeature(PARAMETERS)),
    Baseline("FLOPs", lambda n, seed: OneFeature(FLOPS)),
    Baseline("boosted trees on hand features", lambda n, seed: BoostedTrees(seed), seeds=3),
    GAUSSIAN_PROCESS,
    Baseline(
        "Peephole LSTM, last epoch (equation 2)",
        lambda n, seed: PlainPeephole(n.code, final_epoch_only=True, seed=seed),
        reads_codes=True,
    ),
    LSTM,
    Baseline("last seen value", lambda n, seed: LastValue(), (*SHARES, 0.75)),
    SVR,
    LC_NET,
)


def epochs_seen(share: float, epochs: int) -> int:
    """Return how many epochs a share of the curve is: at least one and not all, but none of a share of 0."""
    return min(max(1, round(share * epochs)), epochs - 1) if share else 0


def baselines(study: Study) -> Iterator[Row]:
    """Every baseline: fitted to the training split and measured on the test split, or cross-validated."""
    for task in study.chosen:
        for baseline in BASELINES:
            if baseline.runs:
                yield from sorted(_measure(baseline, task))


def _measure(baseline: Baseline, task: Task) -> Iterator[Row]:
    networks = task.networks
    for share in baseline.shares:
        seen = epochs_seen(share, networks.curves.shape[1])
        for seed in range(baseline.seeds if task.own else 1):
            figures: list[dict[str, float]] = []
            for fitting, test in task.parts:
                known, others = networks.rows(fitting), networks.rows(test)
                predicted = baseline.predict(known, others, seen, seed)
                figures.append(final_error(others.final, predicted))
            means = {name: np.mean([part[name] for part in figures]) for name in figures[0]}
            tested = sum(len(test) for _, test in task.parts)
            about: dict[str, Any] = {"epochs_seen": seen, "networks": tested, "seed": seed, "data_sha": task.data_sha}
            yield from rows_of("baselines", task.name, baseline.name, means, **about)
            if task.own and seed == 0:
                yield from rows_of("picking", task.name, baseline.name, picking(others.final, predicted), **about)


def during_training(study: Study) -> Iterator[Row]:
    """Baselines that continue curves, cross-validated on the folds of the shipped continuations."""
    for task in study.chosen:
        networks = task.networks.rows(task.parts[0][0]) if task.own else task.networks
        for baseline in BASELINES:
            rows = []
            for seen in cuts(networks.curves.shape[1]).values() if baseline.during and baseline.runs else ():
                predicted = np.empty(len(networks))
                for rest, test in folds(len(networks)):
                    predicted[test] = baseline.predict(networks.rows(rest), networks.rows(test), seen, 0)
                figures = final_error(networks.final, predicted)
                about: dict[str, Any] = {"epochs_seen": seen, "networks": len(networks), "data_sha": task.data_sha}
                rows += rows_of("during-training", task.name, baseline.name, figures, **about)
            yield from rows
