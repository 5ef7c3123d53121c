"""Accuracy from weights: how good on held-out networks, what carries over, what each statistic is worth.

    python -m benchmarks.weights data/mnist-mini.parquet data/cifar10-mini.parquet --out docs/data/weights.json

Everything is fitted to the training split alone, members to the other tables' training split first. What each statistic
is worth is cross-validated with trees within that split of the first table.
"""

import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from model.calibration import snap
from model.weight_features import FEATURES
from model.weights import within_reach
from training.baselines.weight_trees import feature_groups, weight_trees
from training.observations.observation import Observation
from training.observations.read import read
from training.weights.fit import Fit, by_reader, cross_validated, figures
from training.weights.table import WeightsTable, tabulate_weights

SHARES = (0.25, 0.5)
WORST = 10
Floats = NDArray[np.floating]
Splits = dict[str, tuple[WeightsTable, WeightsTable]]
"""Training split and held-out networks of each task."""
Reads = Callable[[WeightsTable], Floats]


def _split(table: WeightsTable, rows: Sequence[Observation]) -> tuple[WeightsTable, WeightsTable]:
    held = np.isin(table.groups, [row.network_id for row in rows if row.split == "test"])
    return table.only(np.flatnonzero(~held)), table.only(np.flatnonzero(held))


def _by_trees(columns: NDArray[np.intp]) -> Fit:
    """Return how trees are fitted to some of the summary's features."""

    def fit(table: WeightsTable, _: Sequence[WeightsTable]) -> Reads:
        trees = weight_trees().fit(table.summary[:, columns].astype(np.float32), table.final)
        return lambda table: within_reach(trees.predict(table.summary[:, columns].astype(np.float32)))

    return fit


def _snapped(fit: Fit, table: WeightsTable, pretraining: Sequence[WeightsTable] = ()) -> Reads:
    """Fit to a whole table; snap what is read to the chance level that its cross-validation gives."""
    reads, chance_level = fit(table, pretraining), cross_validated(table, fit, pretraining).chance_level
    return lambda table: snap(reads(table), *chance_level)


def _aligned(predicted: NDArray[np.floating], known: NDArray[np.floating]) -> NDArray[np.floating]:
    """Give each network the accuracy that stands at its rank among known accuracies of the task."""
    ranks = predicted.argsort().argsort()
    aligned: NDArray[np.floating] = np.quantile(known, (ranks + 0.5) / len(ranks))
    return aligned


def _learning(learnt: WeightsTable, test: WeightsTable, pretraining: Sequence[WeightsTable]) -> dict[str, float]:
    """Return R2 on held-out networks by size of the training split, of random parts, without a chance level."""
    rng, found = np.random.default_rng(0), {}
    for share in SHARES:
        size = round(share * len(learnt.final))
        part = learnt.only(np.sort(rng.permutation(len(learnt.final))[:size]))
        found[str(size)] = figures(test, by_reader()(part, pretraining)(test))["r2"]
    return found


def _worth(learnt: WeightsTable) -> dict[str, Any]:
    """Return what trees make of each statistic, alone and left out; they are fitted in seconds."""
    everything = np.arange(len(FEATURES))
    found: dict[str, Any] = {"all": figures(learnt, cross_validated(learnt, _by_trees(everything)).predicted)}
    for name, chosen in feature_groups().items():
        alone = cross_validated(learnt, _by_trees(chosen)).predicted
        without = cross_validated(learnt, _by_trees(np.setdiff1d(everything, chosen))).predicted
        found[name] = {"alone": figures(learnt, alone), "left_out": figures(learnt, without)}
        print(name, found[name], flush=True)
    return found


def _evaluate(task: str, final: Splits, quarter: Splits) -> dict[str, Any]:
    """Return what is read of a task's held-out networks, in several ways."""
    torch.set_num_threads(1)
    (learnt, test), (early, early_test) = final[task], quarter[task]
    others = [other for other in final if other != task]
    pretraining = [final[other][0] for other in others]
    read = by_reader()(learnt, pretraining)(test)
    chance_level = cross_validated(learnt, by_reader(), pretraining).chance_level
    predicted = snap(read, *chance_level)
    error = np.sort((predicted - test.final) ** 2)[::-1]
    early_reads = _snapped(by_reader(), early, [quarter[other][0] for other in others])
    entry: dict[str, Any] = {
        "training_rows": len(learnt.final),
        "held_out_rows": len(test.final),
        "held_out_networks": len(set(test.groups.tolist())),
        "held_out": figures(test, predicted),
        "own_task_alone": figures(test, _snapped(by_reader(), learnt)(test)),
        "trees": figures(test, _snapped(_by_trees(np.arange(len(FEATURES))), learnt)(test)),
        "quarter_of_training": figures(early_test, early_reads(early_test)),
        "error_of_the_worst": {"networks": WORST, "share": round(float(error[:WORST].sum() / error.sum()), 3)},
        "r2_by_training_rows": {
            **_learning(learnt, test, pretraining),
            str(len(learnt.final)): figures(test, read)["r2"],
        },
        "from_other_task": {},
    }
    for other in others:
        foreign = _snapped(by_reader(), final[other][0])(test)
        entry["from_other_task"][other] = {
            "as_it_is": figures(test, foreign),
            "rank_aligned": figures(test, _aligned(foreign, learnt.final)),
        }
    print(task, json.dumps(entry), flush=True)
    return entry


def main(tables: list[Path], out: Annotated[Path, typer.Option()]) -> None:
    final: Splits = {}
    quarter: Splits = {}
    for path in tables:
        rows = read(path)
        task = rows[0].task
        final[task], quarter[task] = (_split(tabulate_weights(rows, moment), rows) for moment in ("final", "quarter"))
    first = next(iter(final))
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        found = {task: pool.submit(_evaluate, task, final, quarter) for task in final}
        worth = pool.submit(_worth, final[first][0])
        result = {task: future.result() for task, future in found.items()}
        whole = {"tasks": result, "worth": {"task": first, "figures": worth.result()}}
    out.write_text(json.dumps(whole, indent=1) + "\n")
    print(markdown(whole))


def markdown(result: dict[str, Any]) -> str:
    """Return the figures as two tables: tasks, and what each statistic is worth."""
    lines = ["| held-out networks of | what is read | tau | R2 | MAE |", "| --- | --- | --- | --- | --- |"]
    for task, entry in result["tasks"].items():
        found = {
            "final weights": entry["held_out"],
            "final weights, without another task first": entry["own_task_alone"],
            "final weights, by trees on the summary": entry["trees"],
            "weights at a quarter of training": entry["quarter_of_training"],
        }
        for other, figure in entry["from_other_task"].items():
            found[f"final weights, by what was fitted to {other}"] = figure["as_it_is"]
            found[f"the same, its ranks turned into accuracies of {task}"] = figure["rank_aligned"]
        lines += [f"| {task} | {t} | {f['tau']:.3f} | {f['r2']:.3f} | {f['mae']:.4f} |" for t, f in found.items()]
    worth = dict(result["worth"]["figures"])
    everything = worth.pop("all")
    lines += ["", "| statistic | alone: tau | R2 | left out: tau | R2 |", "| --- | --- | --- | --- | --- |"]
    lines.append(f"| all | {everything['tau']:.3f} | {everything['r2']:.3f} | | |")
    for name, figure in worth.items():
        cells = [f"{figure[how][score]:.3f}" for how in ("alone", "left_out") for score in ("tau", "r2")]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
