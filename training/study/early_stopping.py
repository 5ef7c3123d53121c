"""Experiments on stopping runs early: searches replayed on measured curves, and one real search."""

import importlib.util
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logit as log_odds

from model.calibration import logit
from model.continuation import read_continuation
from model.encoding.layer_code import encode, pad
from training.curves.kernels import add_kernels
from training.curves.ridges import CrossFitted, cross_fit, final_quantiles
from training.fitting.out_of_fold import read_out_of_fold
from training.measuring import datasets
from training.measuring.datasets import Images as OneSet
from training.measuring.train import train_network
from training.observations.observation import Observation
from training.protocols import PROTOCOLS, TrainingProtocol
from training.study.networks import Study, Task
from training.study.results import Row, rows_of

Array = NDArray[np.floating]
Images = tuple[OneSet, OneSet]
Order = NDArray[np.intp]
Stop = Callable[[int, int, float, float], bool]
"""Whether a rule stops a network: its number, the epochs seen, the last accuracy, the best final accuracy so far."""
Rule = Callable[[], Stop]
"""A fresh one for every search."""
TRIALS, ORDERS = 100, 20
LIVE_TRIALS, LIVE_SEED = 25, 7


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
            about = {"networks": len(curves), "data_sha": task.data_sha}
            yield from rows_of("early-stopping", task.name, name, replay(curves, rule), **about)


class _StoppedError(Exception):
    """A run was stopped."""


def _train(
    row: Observation, protocol: TrainingProtocol, images: Images, stop: Callable[[list[float]], bool]
) -> list[float]:
    """Train a network until its curve is to be stopped, or to its end; return the curve."""
    curve: list[float] = []

    def on_epoch(accuracy: float) -> None:
        curve.append(accuracy)
        if len(curve) < protocol.epochs and stop(curve):
            raise _StoppedError

    with suppress(_StoppedError):
        train_network(row.layers, protocol, images, seed=row.seed, on_epoch=on_epoch)
    return curve


def _search_live(task: Task, confidence: float | None) -> dict[str, float]:
    """Train 25 test networks in one order, with the shipped rule where a confidence is given."""
    continued, predictor = read_continuation(task.artifact), task.predictor
    assert continued is not None and predictor is not None, f"{task.name} ships no continuation"  # noqa: S101, PT018
    protocol, card = PROTOCOLS[task.name], predictor.card
    images = datasets.load(protocol)
    known = {row.network_id: row for row in task.split("test") if row.protocol == protocol.key}
    drawn = np.random.default_rng(LIVE_SEED).permutation(len(known))[:LIVE_TRIALS]
    best, before, curves = 0.0, np.empty(0, dtype=np.float32), []

    def stop(curve: list[float]) -> bool:
        if confidence is None or best == 0:
            return False
        return bool(continued.run([curve], prior=before, best=best).below[0] >= confidence)

    wall, processor = time.perf_counter(), time.process_time()
    for row in (known[sorted(known)[index]] for index in drawn):
        codes = encode(row.layers, card.layer_code, card.image, clamp=True).codes
        before = predictor.run(*pad([codes]), range(1, card.epochs + 1)).accuracy
        curves.append(_train(row, protocol, images, stop))
        best = max([best, *curves[-1][protocol.epochs - 1 :]])
    return {
        "epochs": sum(map(len, curves)),
        "stopped": sum(len(curve) < protocol.epochs for curve in curves),
        "processor_seconds": time.process_time() - processor,
        "wall_seconds": time.perf_counter() - wall,
        "best": best,
    }


def live_search(study: Study) -> Iterator[Row]:
    """A real search by the shipped rule and without one: the same networks in the same order, from the same seeds."""
    torch.set_flush_denormal(True)
    for task in study.own:
        for confidence in (None, 0.95, 0.8):
            name = f"Peephole, layers known, {confidence}" if confidence else "full training"
            figures = _search_live(task, confidence)
            yield from rows_of("live-search", task.name, name, figures, networks=LIVE_TRIALS, **task.shas)
