"""A real search with the Optuna pruner in the loop: networks of `mnist-mini` are trained, hopeless ones are stopped.

    python -m benchmarks.live_search --data data/mnist-mini.parquet --trials 25

The networks searched are left out of the table that the continuation is fitted to. What the search would have cost
without the pruner is what training the same networks to the end cost when they were measured (`seconds` of the table:
processor seconds, so that other work on the machine does not count).
"""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import optuna
import torch
import typer

from adapters.optuna_pruner import PeepholePruner
from training import datasets
from training.during.fit import fit_module
from training.observations import read
from training.protocols import PROTOCOLS
from training.train import train_network


class Fitted:
    """A judge fitted to some networks, without a prior."""

    def __init__(self, curves: np.ndarray) -> None:
        fold = np.arange(len(curves)) % 5
        self.module, _ = fit_module(curves, curves, fold)  # the half that reads a prior is not used

    def below(self, observed: Any, best: float, layers: Any = None) -> float:  # noqa: ARG002 - a judge is asked with them
        epochs = self.module.epochs
        padded = np.zeros((1, epochs))
        padded[0, : len(observed)] = observed
        seen = np.array([len(observed)], dtype=np.int32)
        return float(self.module.run(padded, seen, np.full((1, epochs), -1.0), np.array([best])).below[0])


def main(
    data: Annotated[Path, typer.Option()],
    trials: int = 25,
    protocol_name: str = "mnist-mini",
    seed: int = 7,
    confidence: float = 0.95,
    out: Path = Path("docs/data/live-search.json"),
) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    protocol = PROTOCOLS[protocol_name]
    rows = {row.architecture: row for row in read(data) if row.task == protocol.name and row.status != "diverged"}
    names = sorted(rows)
    chosen = [rows[names[i]] for i in np.random.default_rng(seed).permutation(len(names))[:trials]]
    left_out = {row.architecture for row in chosen}
    rest = [row.accuracy for name, row in rows.items() if name not in left_out and len(row.accuracy) == protocol.epochs]
    judge = Fitted(np.array(rest))
    images = datasets.load(protocol)
    study = optuna.create_study(direction="maximize", pruner=PeepholePruner(judge, confidence=confidence))
    epochs = 0

    def objective(trial: optuna.Trial) -> float:
        def on_epoch(accuracy: float) -> None:
            nonlocal epochs
            epochs += 1
            step = len(trial.study.trials[trial.number].intermediate_values)
            trial.report(accuracy, step)
            if step + 1 < protocol.epochs and trial.should_prune():
                raise optuna.TrialPruned

        row = chosen[trial.number]
        return train_network(row.layers, protocol, images, seed=row.seed, on_epoch=on_epoch).accuracy[-1]

    started, cpu = time.perf_counter(), time.process_time()
    study.optimize(objective, n_trials=trials)
    best_of_all = max(row.accuracy[-1] for row in chosen)
    result = {
        "protocol": protocol.name,
        "trials": trials,
        "fitted_to": len(rest),
        "confidence": confidence,
        "with": {
            "epochs": epochs,
            "processor_seconds": round(time.process_time() - cpu, 1),
            "wall_seconds": round(time.perf_counter() - started, 1),
            "best": study.best_value,
            "pruned": sum(t.state == optuna.trial.TrialState.PRUNED for t in study.trials),
        },
        "without": {
            "epochs": sum(len(row.accuracy) for row in chosen),
            "processor_seconds": round(sum(row.seconds or 0 for row in chosen), 1),
            "best": best_of_all,
        },
    }
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    typer.run(main)
