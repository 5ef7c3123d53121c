"""Experiment on stopping runs early: searches replayed on measured curves."""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit as log_odds

from model.calibration import logit
from training.curves.kernels import add_kernels
from training.curves.ridges import CrossFitted, cross_fit, final_quantiles
from training.fitting.out_of_fold import read_out_of_fold
from training.study.networks import Study
from training.study.results import Row, rows_of

Array = NDArray[np.floating]
Order = NDArray[np.intp]
Stop = Callable[[int, int, float, float], bool]
"""Whether a rule stops a network: its number, the epochs seen, the last accuracy, the best final accuracy so far."""
Rule = Callable[[], Stop]
"""A fresh one for every search."""
TRIALS, ORDERS = 100, 20


def search(curves: Array, order: Order, stop: Stop) -> tuple[int, float]:
    """Train networks one after the other, each until its end or until it is stopped.

    Returns:
        The epochs spent, and the best final accuracy found.
    """
    spent, best = 0, 0.0
    for network in order:
        for seen, accuracy in enumerate(curves[network], 1):
            spent += 1
            if stop(network, seen, float(accuracy), best) and seen < curves.shape[1]:
                break
        else:
            best = max(best, float(curves[network, -1]))
    return spent, best


@dataclass(frozen=True)
class Continuations:
    """Out-of-fold continuations of networks, for Baker's rule: stop what probably ends at or below the best.

    Attributes:
        final: predicted final log-odds [epochs + 1, networks].
        quantiles: of the final residuals of the other folds [folds, epochs + 1, quantiles].
        fold: of each network [networks].
    """

    final: Array
    quantiles: Array
    fold: NDArray[np.intp]

    @classmethod
    def of(cls, crossed: CrossFitted) -> "Continuations":
        """Take the continuations of a cross-validation."""
        fold = crossed.fold
        quantiles = [final_quantiles(crossed, fold != number) for number in np.unique(fold)]
        return cls(crossed.predicted[:, :, -1], np.stack(quantiles), fold)

    def stop(self, confidence: float) -> Stop:
        """Return Baker's rule."""

        def stop(network: int, seen: int, accuracy: float, best: float) -> bool:
            del accuracy
            if best == 0 or seen == len(self.final) - 1:
                return False
            quantiles = self.quantiles[self.fold[network], seen]
            below = quantiles <= log_odds(best) - self.final[seen, network]
            return bool(below.sum() / (len(quantiles) + 1) >= confidence)

        return stop


def optuna_rule(epochs: int, pruner: Any, also: Stop | None = None) -> Stop:
    """Return a pruner of Optuna's as a rule; `also` stops runs on top of it (f-Hyperband of Baker et al.)."""
    import optuna  # noqa: PLC0415 - an extra

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.RandomSampler(seed=0)
    # Hyperband draws its brackets by the study's name
    study = optuna.create_study(study_name="replay", direction="maximize", pruner=pruner, sampler=sampler)
    trial: Any = None

    def stop(network: int, seen: int, accuracy: float, best: float) -> bool:
        nonlocal trial
        if seen == 1:
            trial = study.ask()
        trial.report(accuracy, seen)
        if seen == epochs:
            study.tell(trial, accuracy)
            return False
        if (also and also(network, seen, accuracy, best)) or trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return True
        return False

    return stop


def rules(curves: Array, alone: Continuations, informed: Continuations) -> dict[str, Rule]:
    """Return the rules by name.

    Args:
        curves: measured accuracies [networks, epochs].
        alone: continuations from the curve alone.
        informed: continuations that know the layers too.
    """
    found: dict[str, Rule] = {
        "full training": lambda: lambda network, seen, accuracy, best: False,
        "ends known after one epoch (bound)": lambda: lambda network, seen, accuracy, best: curves[network, -1] <= best,
        "Peephole, curve alone, 0.95": partial(alone.stop, 0.95),
    }
    for confidence in (0.7, 0.8, 0.9, 0.95, 0.99):
        found[f"Peephole, layers known, {confidence}"] = partial(informed.stop, confidence)
    if importlib.util.find_spec("optuna"):
        from optuna.pruners import (  # noqa: PLC0415 - an extra
            HyperbandPruner,
            MedianPruner,
            SuccessiveHalvingPruner,
        )

        epochs = curves.shape[1]
        hyperband = partial(HyperbandPruner, min_resource=1, max_resource=epochs)
        found |= {
            "Optuna median": lambda: optuna_rule(epochs, MedianPruner()),
            "Optuna successive halving": lambda: optuna_rule(epochs, SuccessiveHalvingPruner(min_resource=1)),
            "Optuna Hyperband": lambda: optuna_rule(epochs, hyperband()),
            "Optuna Hyperband + Peephole, 0.95": lambda: optuna_rule(epochs, hyperband(), informed.stop(0.95)),
        }
    return found


def replay(curves: Array, rule: Rule, trials: int = TRIALS, orders: int = ORDERS) -> dict[str, float]:
    """Replay searches in random orders; return what a rule spends and loses against full training."""
    drawn = [np.random.default_rng(seed).permutation(len(curves))[:trials] for seed in range(orders)]
    found = [search(curves, order, rule()) for order in drawn]
    spent, best = np.array([epochs for epochs, _ in found]), np.array([best for _, best in found])
    lost = np.array([curves[order, -1].max() for order in drawn]) - best
    faster = len(drawn[0]) * curves.shape[1] / spent
    return {
        "epochs": spent.mean(),
        "speedup": faster.mean(),
        "speedup_std": faster.std(ddof=1),
        "lost": lost.mean(),
        "lost_std": lost.std(ddof=1),
        "lost_worst": lost.max(),
        "best_kept": (lost <= 1e-9).mean(),
    }


def early_stopping(study: Study) -> Iterator[Row]:
    """Replayed searches of 100 networks, in 20 orders, under every rule."""
    for task in study.chosen:
        if task.predictor is None:
            continue
        kept = read_out_of_fold(task.artifact, task.predictor.card)
        whole = ~np.isnan(kept.measured).any(axis=1)
        curves, fold, before = kept.measured[whole], kept.fold[whole], logit(kept.predicted[whole])
        alone, informed = (
            Continuations.of(add_kernels(cross_fit(logit(curves), known, fold), logit(curves), known, fold)[0])
            for known in (None, before)
        )
        for name, rule in rules(curves, alone, informed).items():
            yield from rows_of(
                "early-stopping", task.name, name, replay(curves, rule), networks=len(curves), **task.shas
            )
