"""What stopping hopeless runs saves: searches replayed on measured curves, against the stopping rules of others.

    python -m benchmarks.replay prepare --data TABLE --artifact model/zoo/TASK --pretrain OTHER --out scratch/TASK.npz
    python -m benchmarks.replay run scratch/TASK.npz --out docs/data/replay-TASK.json

A search draws `--trials` networks in a random order and trains each until its rule stops it. Every network is continued
by regressions and by a predictor that were not fitted to it, with residuals of the other folds: they learnt from the
rest of the table, which the epochs do not count. Rules that learn from the first networks of the search itself, trained
to their ends, need nothing beforehand; nor do pruners, the real ones of Optuna and, where Ray is installed, its real
ASHA scheduler. What cannot run here (Ray or torch may be missing) keeps its figures of an earlier run on the same
curves.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.curves import fingerprint

app = typer.Typer(pretty_exceptions_enable=False)
Rule = Callable[[np.ndarray], tuple[int, float]]
LEARNT_INSIDE = ((20, 0.95), (20, 0.8), (10, 0.8))


@app.command()
def prepare(
    data: Annotated[Path, typer.Option()],
    artifact: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
    pretrain: Annotated[list[Path] | None, typer.Option(help="What the artifact was pretrained on.")] = None,
    cache: Annotated[Path, typer.Option()] = Path("scratch"),
) -> None:
    """Cross-fit the continuation and keep what a replay needs, so that it runs where torch is not installed."""
    from model.artifact import read_artifact
    from model.calibration import logit
    from model.curve_continuation import milestones
    from training.curves.kernels import add_kernels
    from training.curves.prior import out_of_fold
    from training.curves.ridges import cross_fit, final_quantiles
    from training.observations.read import read

    card = read_artifact(artifact).card
    if len(milestones(card.epochs)) < card.epochs:
        raise typer.BadParameter("such long curves are continued from milestones; a replay decides after every epoch")
    pretraining = [read(table) for table in pretrain or ()]
    prior = out_of_fold(read(data), card, pretraining=pretraining, cache=cache, on_fit=print)
    whole = ~np.isnan(prior.table.curves).any(axis=1)
    curves, fold = prior.table.curves[whole], prior.fold[whole]
    kept: dict[str, np.ndarray] = {"curves": curves, "fold": fold}
    for name, known in (("alone", None), ("prior", logit(prior.predicted[whole]))):
        crossed, _ = add_kernels(cross_fit(logit(curves), known, fold), logit(curves), known, fold)
        kept[f"{name}_final"] = crossed.predicted[:, :, -1]
        kept[f"{name}_quantiles"] = np.stack([final_quantiles(crossed, fold != n) for n in np.unique(fold)])
    np.savez_compressed(out, **kept)


class OutOfFoldClient:
    """An early-stopping client for replayed networks, out of fold."""

    def __init__(self, kept: Any, name: str) -> None:
        self.final, self.quantiles, self.fold = kept[f"{name}_final"], kept[f"{name}_quantiles"], kept["fold"]

    def below(self, network: int, seen: int, best: float) -> float:
        room = np.log(best) - np.log1p(-best) - self.final[seen, network]
        quantiles = self.quantiles[self.fold[network], seen]
        return float((quantiles <= room).sum() / (len(quantiles) + 1))


def full(curves: np.ndarray, order: np.ndarray) -> tuple[int, float]:
    """Train every network to its end."""
    return len(order) * curves.shape[1], float(curves[order, -1].max())


def foreseen(curves: np.ndarray, order: np.ndarray) -> tuple[int, float]:
    """The bound: what ends at or below the best so far stops after one epoch, as if its end were known."""
    epochs, best, spent = curves.shape[1], 0.0, 0
    for final in curves[order, -1]:
        spent += epochs if final > best else 1
        best = max(best, float(final))
    return spent, best


def stopped(
    curves: np.ndarray, order: np.ndarray, client: OutOfFoldClient, confidence: float, best: float = 0.0
) -> tuple[int, float]:
    """Baker's rule: a run stops when it probably ends at or below the best finished one, `best` to begin with."""
    epochs, spent = curves.shape[1], 0
    for network in order:
        for seen in range(1, epochs + 1):
            spent += 1
            if seen < epochs and best > 0 and client.below(network, seen, best) >= confidence:
                break
        else:
            best = max(best, float(curves[network, -1]))
    return spent, best


def learnt_inside(curves: np.ndarray, order: np.ndarray, first: int, confidence: float) -> tuple[int, float]:
    """Baker's rule by regressions that know only the search's own first networks, each trained to its end."""
    from training.curves.ridges import cross_fit, final_quantiles, fit_ridges, logit

    logits, start, epochs = logit(curves), order[:first], curves.shape[1]
    fitted = fit_ridges(logits[start], None)
    crossed = cross_fit(logits[start], None, np.arange(first) % 5)
    quantiles = final_quantiles(crossed, np.ones(first, dtype=bool))
    final = np.stack([fitted.predict(logits, None, seen)[:, -1] for seen in range(1, epochs)])
    kept = {
        "own_final": np.concatenate([np.full((1, len(curves)), np.nan), final]),
        "own_quantiles": quantiles[None],
        "fold": np.zeros(len(curves), dtype=int),
    }
    best = float(curves[start, -1].max())
    spent, best = stopped(curves, order[first:], OutOfFoldClient(kept, "own"), confidence, best)
    return spent + first * epochs, best


def optuna_search(curves: np.ndarray, order: np.ndarray, pruner: Any, also: Any = None) -> tuple[int, float]:
    """Replay a study; `also` decides on top of the pruner (f-Hyperband of Baker et al. when that is Hyperband)."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(
        study_name="replay", direction="maximize", pruner=pruner, sampler=sampler
    )  # brackets by name
    spent, best = 0, 0.0
    for network in order:
        trial = study.ask()
        for seen, accuracy in enumerate(curves[network], 1):
            spent += 1
            trial.report(float(accuracy), seen)
            hopeless = also is not None and best > 0 and seen < curves.shape[1] and also(network, seen, best)
            if seen < curves.shape[1] and (hopeless or trial.should_prune()):
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, float(curves[network, -1]))
            best = max(best, float(curves[network, -1]))
    return spent, best


def asha_search(curves: np.ndarray, order: np.ndarray) -> tuple[int, float]:
    """Replay with Ray's ASHA scheduler, one trial after another."""
    from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

    epochs = curves.shape[1]
    scheduler = AsyncHyperBandScheduler(metric="accuracy", mode="max", max_t=epochs, grace_period=1, reduction_factor=4)
    spent, best = 0, 0.0
    for network in order:
        trial = SimpleNamespace(trial_id=str(network), config={})
        scheduler.on_trial_add(None, trial)
        for seen, accuracy in enumerate(curves[network], 1):
            spent += 1
            result = {"training_iteration": seen, "accuracy": float(accuracy)}
            if seen == epochs:
                best = max(best, float(accuracy))
                scheduler.on_trial_complete(None, trial, result)
            elif scheduler.on_trial_result(None, trial, result) == TrialScheduler.STOP:
                break
    return spent, best


def rules(kept: Any) -> dict[str, Callable[[np.ndarray], tuple[int, float]]]:
    """Return the rules by name; each takes an order of networks and returns epochs spent and the best found."""
    import optuna

    curves = kept["curves"]
    alone, informed = OutOfFoldClient(kept, "alone"), OutOfFoldClient(kept, "prior")
    epochs = curves.shape[1]
    hyperband = lambda: optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs)  # noqa: E731
    halving = optuna.pruners.SuccessiveHalvingPruner
    found: dict[str, Callable[[np.ndarray], tuple[int, float]]] = {
        "full training": lambda order: full(curves, order),
        "ends known after one epoch (bound)": lambda order: foreseen(curves, order),
        "Peephole, curve alone, 0.95": lambda order: stopped(curves, order, alone, 0.95),
        "Peephole, layers known, 0.95": lambda order: stopped(curves, order, informed, 0.95),
        "Peephole, layers known, 0.7": lambda order: stopped(curves, order, informed, 0.7),
        "Peephole, layers known, 0.8": lambda order: stopped(curves, order, informed, 0.8),
        "Peephole, layers known, 0.9": lambda order: stopped(curves, order, informed, 0.9),
        "Peephole, layers known, 0.99": lambda order: stopped(curves, order, informed, 0.99),
        "Optuna median": lambda order: optuna_search(curves, order, optuna.pruners.MedianPruner()),
        "Optuna successive halving": lambda order: optuna_search(curves, order, halving(min_resource=1)),
        "Optuna Hyperband": lambda order: optuna_search(curves, order, hyperband()),
        "Optuna Hyperband + Peephole, 0.95": lambda order: optuna_search(
            curves, order, hyperband(), lambda n, seen, best: informed.below(n, seen, best) >= 0.95
        ),
    }
    try:
        import training.curves.ridges  # noqa: F401
    except ImportError:
        print("torch or scikit-learn is not installed: rules that learn from the search are left out")
    else:
        for first, confidence in LEARNT_INSIDE:
            found[f"Peephole, curve alone, learnt from the search's first {first}, {confidence}"] = partial(
                learnt_inside, curves, first=first, confidence=confidence
            )
    try:
        import ray.tune.schedulers  # noqa: F401
    except ImportError:
        print("Ray is not installed: its ASHA is left out")
    else:
        found["Ray ASHA"] = lambda order: asha_search(curves, order)
    return found


@app.command()
def run(
    prepared: Path,
    out: Annotated[Path, typer.Option()],
    trials: int = 100,
    orders: int = 20,
) -> None:
    """Replay random searches of `--trials` networks under every rule, over `--orders` random orders."""
    kept = dict(np.load(prepared))
    curves = kept["curves"]
    trials = min(trials, len(curves))
    digest = fingerprint(curves)
    before = json.loads(out.read_text()) if out.exists() else {}
    same = (before.get("curves"), before.get("trials"), before.get("orders")) == (digest, trials, orders)
    drawn = [np.random.default_rng(seed).permutation(len(curves))[:trials] for seed in range(orders)]
    result: dict[str, Any] = {
        "networks": len(curves),
        "epochs": curves.shape[1],
        "trials": trials,
        "orders": orders,
        "curves": digest,
        "rules": before["rules"] if same else {},
    }
    print("| rule | epochs spent | fewer than full training | lost of the best (mean, worst) | exact best kept |")
    print("| --- | --- | --- | --- | --- |")
    for name, rule in rules(kept).items():
        spent, best = (np.array(values) for values in zip(*(rule(order) for order in drawn), strict=True))
        lost = np.array([curves[order, -1].max() for order in drawn]) - best
        speedup = trials * curves.shape[1] / spent
        result["rules"][name] = {
            "epochs": {"mean": float(spent.mean()), "std": float(spent.std(ddof=1))},
            "speedup": {"mean": float(speedup.mean()), "std": float(speedup.std(ddof=1)), "min": float(speedup.min())},
            "lost": {"mean": float(lost.mean()), "std": float(lost.std(ddof=1)), "max": float(lost.max())},
            "kept_best": float((lost <= 1e-9).mean()),
        }
        print(
            f"| {name} | {spent.mean():.0f} ± {spent.std(ddof=1):.0f} | "
            f"{speedup.mean():.2f}x ± {speedup.std(ddof=1):.2f} | "
            f"{lost.mean():.4f}, {lost.max():.4f} | {(lost <= 1e-9).mean():.0%} |",
            flush=True,
        )
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    app()
