"""The pictures of the pages, in one style, from the tables of figures and the shipped predictors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model.continuation import read_continuation
from training.observations.dataset import to_dataset
from training.study.networks import Study, Task

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "peephole",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
OURS, OTHERS, DARK, PALE = "#1f6f8b", ("#c2410c", "#64748b", "#a3a3a3"), "#0f172a", "#cbd5e1"
CURVES = 12
SEEN = (0, 1, 2, 5)


@contextmanager
def _saved(path: Path, title: str, width: float, height: float) -> Iterator[Figure]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.suptitle(title, fontsize=11)
        yield figure
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)
        if path.suffix == ".svg":
            path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


def scatter(study: Study, results: pd.DataFrame) -> None:
    """Measured against predicted final accuracies (the paper's Figure 5)."""
    del results
    for task in study.own:
        if (found := task.evaluation) is None:
            continue
        final, predicted = found.table.final, found.predicted[:, -1]
        ends = min(final.min(), predicted.min()) - 0.02, max(final.max(), predicted.max()) + 0.02
        title = f"{task.name}: final accuracies"
        with _saved(_path(study, "scatter", task), title, 3.4, 3.5) as figure:
            axis = figure.subplots()
            axis.plot(ends, ends, color=PALE, lw=1, zorder=0)
            axis.scatter(final, predicted, s=10, alpha=0.6, color=OURS, linewidths=0)
            axis.set(xlabel="measured", ylabel="predicted", aspect="equal", xlim=ends, ylim=ends)


def _select(results: pd.DataFrame, task: Task, experiment: str) -> pd.DataFrame:
    return results[(results.task == task.name) & (results.experiment == experiment)]


def _path(study: Study, name: str, task: Task) -> Path:
    return study.docs / "pictures" / f"study-{name}-{task.name}.svg"


def learning_curve(study: Study, results: pd.DataFrame) -> None:
    """Size of the training set against tau."""
    for task in study.own:
        taus = _select(results, task, "learning-curve").pivot_table("value", "networks", "method")
        noise = _select(results, task, "noise-ceiling").query("method == 'all networks' and metric == 'tau'")
        with _saved(_path(study, "learning", task), f"{task.name}: size of the training set", 5.2, 3.4) as figure:
            axis = figure.subplots()
            for (name, points), colour in zip(taus.items(), (*OTHERS[:2], OURS), strict=True):
                axis.plot(points, "o-", ms=4, label=name, color=colour)
            axis.axhline(noise.value.item(), ls=":", color=DARK, lw=1, label="noise ceiling")
            axis.set_xscale("log")
            axis.set_xticks(taus.index, [str(size) for size in taus.index])
            axis.set_xticks([], minor=True)
            axis.set(xlabel="networks in the training set", ylabel="tau on the test split")
            figure.legend(loc="outside lower center", ncols=2, fontsize=8)


def _draw_curve(axis: Axes, predicted: Any, lower: Any, upper: Any, measured: Any) -> None:
    """Draw a predicted curve with its interval over the measured one, each [epochs]."""
    ticks = np.arange(1, len(measured) + 1)
    axis.fill_between(ticks, lower, upper, alpha=0.25, color=OURS, linewidth=0, label="90 % interval")
    axis.plot(ticks, predicted, color=OURS, label="predicted")
    axis.plot(ticks, measured, "o", ms=3, color=DARK, label="measured")


def curves(study: Study, results: pd.DataFrame) -> None:
    """Predicted and measured curves of test networks, evenly spaced from the worst to the best."""
    del results
    for task in study.own:
        if (found := task.evaluation) is None:
            continue
        order = np.argsort(found.table.final, kind="stable")
        chosen = order[np.linspace(0, len(order) - 1, CURVES).round().astype(int)]
        with _saved(_path(study, "curves", task), f"{task.name}: twelve test networks", 9, 5.6) as figure:
            axes = figure.subplots(3, CURVES // 3, sharex=True, sharey=True)
            for axis, index in zip(axes.ravel(), chosen, strict=True):
                parts = (part[index] for part in (found.predicted, found.lower, found.upper, found.table.curves))
                _draw_curve(axis, *parts)
                axis.set_title(found.table.network_ids[index][:8])
            axes[0, 0].set_ylim(0, min(1.0, 1.05 * float(found.upper[chosen].max())))
            figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
            for axis in axes[-1]:
                axis.set_xlabel("epoch")
            figure.supylabel("validation accuracy", fontsize=9)


def continued_curve(study: Study, results: pd.DataFrame) -> None:
    """The median test network of cifar10-mini: its curve before training and after some epochs."""
    del results
    task = study.tasks["cifar10-mini"]
    continued, predictor = read_continuation(task.artifact), task.predictor
    if continued is None or predictor is None:
        return
    rows = sorted(task.split("test"), key=lambda row: row.accuracy[-1])
    middle, card = rows[len(rows) // 2], predictor.card
    table = to_dataset([middle], card.layer_code, card.image)
    before = predictor.run(table.codes, table.lengths, range(1, card.epochs + 1))
    title = f"A test network of {task.name}"
    with _saved(study.docs / "pictures" / "curve.png", title, 12, 3.4) as figure:
        axes = figure.subplots(1, len(SEEN), sharey=True)
        for axis, seen in zip(axes, SEEN, strict=True):
            found = continued.run([middle.accuracy[:seen]], prior=before.accuracy) if seen else before
            _draw_curve(axis, found.accuracy[0], found.lower[0], found.upper[0], middle.accuracy)
            axis.axvspan(0.5, seen + 0.5, color=PALE, alpha=0.5, lw=0, label="seen")
            title = f"after {seen} epoch{'s' * (seen > 1)}" if seen else "before training"
            axis.set(title=title, xlabel="epoch")
        axes[0].set_ylabel("validation accuracy")
        figure.legend(*axes[-1].get_legend_handles_labels(), loc="outside lower center", ncols=4)


def replays(study: Study, results: pd.DataFrame) -> None:
    """How many epochs each rule saves in replayed searches, and what it loses."""
    rows = results[results.experiment == "early-stopping"]
    figures = rows.pivot_table("value", "method", ["task", "metric"])
    tasks = sorted(set(rows.task))
    figures = figures.sort_values((tasks[0], "speedup"))
    title, lines = "Replayed searches: mean and standard deviation", -(-len(tasks) // 2)
    with _saved(study.docs / "pictures" / "replay.png", title, 14.2, lines * (0.9 + 0.3 * len(figures))) as figure:
        axes = figure.subplots(lines, 4, sharey=True, squeeze=False).reshape(-1, 2)
        for task, pair in zip(tasks, axes, strict=False):
            for axis, metric, scale in zip(pair, ("speedup", "lost"), (1, 100), strict=True):
                mean, spread = scale * figures[task, metric], scale * figures[task, f"{metric}_std"]
                colours = [OURS if "Peephole" in rule else PALE for rule in figures.index]
                errors = [np.minimum(mean, spread), spread]
                axis.barh(figures.index, mean, 0.7, xerr=errors, color=colours, ecolor=DARK)
                axis.set(xlim=(0, None), xlabel="points of accuracy lost" if scale > 1 else "times fewer epochs")
            pair[0].set_title(task, loc="left")


FIGURES: tuple[Callable[[Study, pd.DataFrame], None], ...] = (
    scatter,
    learning_curve,
    curves,
    continued_curve,
    replays,
)
