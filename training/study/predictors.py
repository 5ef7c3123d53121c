"""Sections on the predictors that ship: held-out networks, intervals, other tasks, other search spaces, their cards."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model.artifact import read_artifact
from training.metrics import ceiling, tau
from training.study import pictures
from training.study.kept import Kept
from training.study.markdown import table
from training.study.networks import Task
from training.study.shipped import Measured, among, foreign, trainable

REFERENCE = {
    "metaqnn-cifar10": (
        "bidirectional LSTMs blended with trees 0.680 / 0.736 over five folds of 1,000 networks; the paper's LSTM, on "
        "Table 1's code with wider ratio bins, 0.682 / 0.779 on 200 of them after the other 800. Of these 1,000, 700 "
        "are at hand here, 560 to a fold"
    ),
}


def held_out_networks(measured: Sequence[Measured]) -> list[str]:
    """Return the shipped predictors' figures on the test split."""
    rows: list[list[object]] = []
    for one in measured:
        if one.evaluation is None:
            continue
        found, learning = one.evaluation, trainable(one.task.rows)
        for name, metrics, noise in (
            (one.task.name, found.metrics, found.noise),
            (f"{one.task.name}, networks that learn", among(found, learning), ceiling(learning)),
        ):
            limit = noise.tau if noise else None
            fraction = metrics.tau / limit if limit else None
            rows.append([name, metrics.tau, limit, fraction, metrics.r2, metrics.mse, metrics.curve_mae])
    header = ["task", "tau", "ceiling", "tau / ceiling", "R2", "MSE", "curve MAE"]
    return [
        "## Held-out networks",
        "",
        "The test split (a third of the networks, by hash) that the shipped predictor was not fitted to; all of it, "
        "and the networks in it that learn at all.",
        "",
        *table(header, rows),
    ]


def intervals(measured: Sequence[Measured]) -> list[str]:
    """Return coverage and width of the 90 % intervals on the test split, by part of the curve."""
    rows: list[list[object]] = []
    for one in measured:
        if one.evaluation is None:
            continue
        found = one.evaluation
        inside = (found.table.curves >= found.lower) & (found.table.curves <= found.upper)
        width = found.upper - found.lower
        for name, epochs in (("all epochs", slice(None)), ("the first", slice(1)), ("the last", slice(-1, None))):
            known = ~np.isnan(found.table.curves[:, epochs])
            share = float(inside[:, epochs][known].mean())
            part = width[:, epochs]
            rows.append([one.task.name, name, share, float(part.mean()), float(np.median(part))])
    return [
        "## Intervals",
        "",
        "Share of measured accuracies of test networks inside the 90 % interval, and its width in accuracy.",
        "",
        *table(["task", "epochs", "coverage", "mean width", "median width"], rows),
    ]


def transfer(measured: Sequence[Measured]) -> list[str]:
    """Return how a predictor fitted to one data set ranks the other's test networks."""
    rows: list[list[object]] = []
    for one in measured:
        for other in measured:
            if one is other or one.predictor is None:
                continue
            found = foreign(one.predictor, other.task.test_rows)
            own = other.evaluation.metrics.tau if other.evaluation else None
            rows.append([one.task.name, other.task.name, found.networks, found.tau, own, *_same(one.task, other.task)])
    if not rows:
        return []
    header = ["fitted to", "ranks", "test networks", "tau", "tau of its own predictor"]
    return [
        "## Transfer",
        "",
        "A predictor fitted to one data set ranks the test networks of the other (the split is by hash: it learned "
        "from none of them). The last columns show how far the two data sets agree on the networks measured on both.",
        "",
        *table([*header, "measured on both", "tau between the measurements"], rows),
    ]


def _same(one: Task, other: Task) -> tuple[int, float | None]:
    finals = [{row.network_id: row.accuracy[-1] for row in task.rows} for task in (one, other)]
    both = sorted(finals[0].keys() & finals[1].keys())
    if len(both) < 3:
        return len(both), None
    return len(both), tau(*(np.array([final[name] for name in both]) for final in finals))


def unfamiliar(measured: Sequence[Measured], folder: Path) -> list[str]:
    """Return how often networks are called unfamiliar: held-out ones of the same search space, and ones of another."""
    rows: list[list[object]] = []
    for one in measured:
        if one.evaluation is None:
            continue
        rows.append([one.task.name, f"{one.task.name}, test", len(one.evaluation.table), one.evaluation.unfamiliar])
        for name, found in Kept(folder, one.task.name).starting("foreign/").items():
            rows.append([one.task.name, name, found["networks"], found["unfamiliar"]])
    if not rows:
        return []
    return [
        "## Unfamiliar networks",
        "",
        "Share of networks beyond the threshold of the out-of-distribution score, which is the 99th percentile over "
        "networks of the learning set, each scored by a predictor not fitted to it. MetaQNN's networks are of another "
        "search space: strides, dropout and hidden linear layers, widths to 512, no batch normalisation.",
        "",
        *table(["predictor of", "networks of", "networks", "share called unfamiliar"], rows),
    ]


def cards(folders: Sequence[Path]) -> list[str]:
    """Return the cross-validated figures that the cards hold."""
    rows: list[list[object]] = []
    names = ("networks", "tau", "r2", "mse", "curve_mae", "interval_coverage", "interval_mean_width")
    for folder in folders:
        card = read_artifact(folder).card
        found = card.metrics["cross_validation"]
        rows.append([card.task, card.version, *(found[name] for name in names)])
    header = ["task", "version", "networks", "tau", "R2", "MSE", "curve MAE", "90 % coverage", "mean width"]
    lines = [
        "## Cross-validation of the shipped predictors",
        "",
        "Five folds over the networks each was fitted to; means of the folds.",
        "",
        *table(header, rows),
    ]
    for task, text in REFERENCE.items():
        lines += [f"Reference for {task} (tau / R2, as measured once outside this project): {text}.", ""]
    return lines


def ablations(measured: Sequence[Measured], kept: dict[str, Kept]) -> list[str]:
    """Return what each step of the predictor is worth, where that was measured."""
    lines: list[str] = []
    for one in measured:
        name = one.task.name
        if (found := kept[name].get("ablation")) is not None:
            rows = [[row["step"], row["tau"], row["r2"], row["mse"]] for row in found]
            lines += [f"### {name}", "", *table(["step", "tau", "R2", "MSE"], rows)]
    return lines and ["## What each step is worth", "", "Cross-validated on the learning set, five folds.", "", *lines]


def curves(measured: Sequence[Measured], folder: Path) -> list[str]:
    """Draw predicted and measured curves of twelve test networks."""
    lines: list[str] = []
    for one in measured:
        if one.evaluation is not None:
            file = f"study-curves-{one.task.name}.svg"
            pictures.curves(folder / file, f"{one.task.name}: twelve test networks", one.evaluation)
            lines += [f"![{one.task.name}: curves predicted before training, and measured](pictures/{file})", ""]
    return lines and [
        "## Twelve test networks",
        "",
        "Evenly spaced from the worst to the best of the test split, not chosen by how well they are predicted.",
        "",
        *lines,
    ]


def readme_table(measured: Sequence[Measured], folders: Sequence[Path]) -> list[str]:
    """Return the README's table of what ships: held-out figures where there is a test split, else cross-validated."""
    evaluations = {one.task.name: one.evaluation for one in measured}
    rows: list[list[object]] = []
    for folder in folders:
        card = read_artifact(folder).card
        found = card.metrics["cross_validation"]
        figures = [found["tau"], found["r2"], found["interval_coverage"]]
        where = f"five folds over {found['networks']} networks"
        evaluation = evaluations.get(card.task)
        if evaluation is not None and card.training["split"] == "train":
            figures = [evaluation.metrics.tau, evaluation.metrics.r2, evaluation.coverage]
            where = f"{len(evaluation.table)} held-out networks"
            if evaluation.noise is not None:
                where += f"; noise ceiling of tau {evaluation.noise.tau:.3g}"
        rows.append([f"`{card.task}`", card.description, card.training["networks"], *figures, where])
    return table(["task", "networks", "training set", "tau", "R2", "90 % coverage", "measured on"], rows)
