"""A real search with the Optuna pruner in the loop: networks are trained, hopeless ones are stopped.

    python -m benchmarks.live_search --data data/mnist-mini.parquet --trials 25

The networks are of the table's test split, which the shipped predictor was not fitted to. They are trained twice or
more, in the same order from the same seeds: by a study that prunes nothing, then by one with the pruner for each
confidence.
"""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import optuna
import torch
import typer

from adapters.early_stopping_client import InProcess
from adapters.optuna_pruner import LAYERS_ATTRIBUTE, PeepholePruner
from benchmarks import machine
from training.measuring import datasets
from training.measuring.train import train_network
from training.observations.observation import Observation
from training.observations.read import read
from training.protocols import PROTOCOLS, Protocol

Images = tuple[datasets.Images, datasets.Images]


def search(
    networks: list[Observation], protocol: Protocol, images: Images, pruner: optuna.pruners.BasePruner
) -> dict[str, Any]:
    """Let a study train networks in their order; return what it spent and found."""
    study = optuna.create_study(direction="maximize", pruner=pruner)
    epochs = 0

    def objective(trial: optuna.Trial) -> float:
        network = networks[trial.number]
        trial.set_user_attr(LAYERS_ATTRIBUTE, [layer.model_dump(exclude_none=True) for layer in network.layers])
        step = 0

        def on_epoch(accuracy: float) -> None:
            nonlocal epochs, step
            epochs, step = epochs + 1, step + 1
            trial.report(accuracy, step)
            if step < protocol.epochs and trial.should_prune():
                raise optuna.TrialPruned

        return train_network(network.layers, protocol, images, seed=network.seed, on_epoch=on_epoch).accuracy[-1]

    started, cpu = time.perf_counter(), time.process_time()
    study.optimize(objective, n_trials=len(networks))
    return {
        "epochs": epochs,
        "processor_seconds": round(time.process_time() - cpu, 1),
        "wall_seconds": round(time.perf_counter() - started, 1),
        "best": study.best_value,
        "pruned": sum(trial.state == optuna.trial.TrialState.PRUNED for trial in study.trials),
    }


def main(
    data: Annotated[Path, typer.Option()],
    trials: int = 25,
    protocol_name: str = "mnist-mini",
    seed: int = 7,
    confidence: Annotated[list[float] | None, typer.Option(help="Repeatable; 0.95 and 0.8 by default.")] = None,
    out: Path = Path("docs/data/live-search.json"),
) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    protocol = PROTOCOLS[protocol_name]
    rows = {row.network_id: row for row in read(data) if row.protocol == protocol.key and row.split == "test"}
    names = sorted(rows)
    chosen = [rows[names[i]] for i in np.random.default_rng(seed).permutation(len(names))[:trials]]
    images = datasets.load(protocol)
    client = InProcess(protocol.name)
    pruners: dict[str, optuna.pruners.BasePruner] = {"without": optuna.pruners.NopPruner()}
    for wanted in confidence or (0.95, 0.8):
        pruners[f"confidence {wanted:g}"] = PeepholePruner(client, confidence=wanted)
    result: dict[str, Any] = {"protocol": protocol.name, "trials": trials, "machine": machine.describe()}
    for name, pruner in pruners.items():
        result[name] = search(chosen, protocol, images, pruner)
        print(name, result[name], flush=True)
    out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
