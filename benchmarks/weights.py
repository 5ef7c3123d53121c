"""Accuracy from weights: how good on held-out networks, what carries over, what each statistic is worth.

    python -m benchmarks.weights data/mnist-mini.parquet data/cifar10-mini.parquet --out docs/data/weights.json

Everything is fitted to the training split alone. What each statistic is worth is cross-validated within that split of
the first table.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from model.weight_features import FEATURES
from training.during.fit_weights import (
    WeightsTable,
    cross_validated,
    figures,
    fitted,
    groups,
    tabulate_weights,
)
from training.observations import held_out, read

SHARES = (0.25, 0.5, 1.0)
DRAWS = 3
WORST = 10


def _split(table: WeightsTable) -> tuple[WeightsTable, WeightsTable]:
    held = np.array([held_out(name) for name in table.groups])
    return table.only(~held), table.only(held)


def _aligned(predicted: NDArray[np.floating], known: NDArray[np.floating]) -> NDArray[np.floating]:
    """Give each network the accuracy that stands at its rank among known accuracies of the task."""
    ranks = predicted.argsort().argsort()
    aligned: NDArray[np.floating] = np.quantile(known, (ranks + 0.5) / len(ranks))
    return aligned


def _learning(learnt: WeightsTable, test: WeightsTable) -> dict[str, float]:
    """Return R2 on held-out networks by size of the training split, the mean of a few draws."""
    rng, found = np.random.default_rng(0), {}
    for share in SHARES:
        size = round(share * len(learnt.final))
        draws = [np.sort(rng.permutation(len(learnt.final))[:size]) for _ in range(DRAWS if share < 1 else 1)]
        scores = [figures(test, fitted(learnt.only(chosen)).accuracies(test.rows))["r2"] for chosen in draws]
        found[str(size)] = round(float(np.mean(scores)), 4)
    return found


def _worth(learnt: WeightsTable) -> dict[str, Any]:
    everything = np.arange(len(FEATURES))
    found: dict[str, Any] = {"all": figures(learnt, cross_validated(learnt).predicted)}
    for name, chosen in groups().items():
        alone = figures(learnt, cross_validated(learnt, chosen).predicted)
        without = figures(learnt, cross_validated(learnt, np.setdiff1d(everything, chosen)).predicted)
        found[name] = {"alone": alone, "left_out": without}
        print(name, found[name], flush=True)
    return found


def main(tables: list[Path], out: Annotated[Path, typer.Option()]) -> None:
    final: dict[str, tuple[WeightsTable, WeightsTable]] = {}
    quarter: dict[str, tuple[WeightsTable, WeightsTable]] = {}
    result: dict[str, Any] = {}
    for path in tables:
        rows = read(path)
        task = rows[0].task
        final[task], quarter[task] = (_split(tabulate_weights(rows, moment)) for moment in ("final", "quarter"))
    models = {task: fitted(learnt) for task, (learnt, _) in final.items()}
    for task, (learnt, test) in final.items():
        predicted = models[task].accuracies(test.rows)
        error = np.sort((predicted - test.final) ** 2)[::-1]
        early, early_test = quarter[task]
        entry: dict[str, Any] = {
            "training_rows": len(learnt.final),
            "held_out_rows": len(test.final),
            "held_out_networks": len(set(test.groups.tolist())),
            "held_out": figures(test, predicted),
            "quarter_of_training": figures(early_test, fitted(early).accuracies(early_test.rows)),
            "error_of_the_worst": {"networks": WORST, "share": round(float(error[:WORST].sum() / error.sum()), 3)},
            "r2_by_training_rows": _learning(learnt, test),
            "from_other_task": {},
        }
        for other, model in models.items():
            if other != task:
                foreign = model.accuracies(test.rows)
                entry["from_other_task"][other] = {
                    "as_it_is": figures(test, foreign),
                    "rank_aligned": figures(test, _aligned(foreign, learnt.final)),
                }
        result[task] = entry
        print(task, json.dumps(entry), flush=True)
        out.write_text(json.dumps({"tasks": result}, indent=1) + "\n")
    task, (learnt, _) = next(iter(final.items()))
    whole = {"tasks": result, "worth": {"task": task, "figures": _worth(learnt)}}
    out.write_text(json.dumps(whole, indent=1) + "\n")
    print(markdown(whole))


def markdown(result: dict[str, Any]) -> str:
    """Return the figures as two tables: tasks, and what each statistic is worth."""
    lines = ["| held-out networks of | what is read | tau | R2 | MAE |", "| --- | --- | --- | --- | --- |"]
    for task, entry in result["tasks"].items():
        found = {"final weights": entry["held_out"], "weights at a quarter of training": entry["quarter_of_training"]}
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
