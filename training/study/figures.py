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
from matplotlib.lines import Line2D

from model.continuation import read_continuation
from training.observations.dataset import to_dataset
from training.study.baselines import DRAWN
from training.study.networks import Study, Task
from training.study.results import read_networks
from training.study.shipped import SHIPPED

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
KINDS = {  # colours of layer types
    "conv": "#c2410c",
    "batch_norm": "#0f172a",
    "max_pool": "#1f6f8b",
    "avg_pool": "#60a5fa",
    "relu": "#a3a3a3",
    "sigmoid": "#ca9a04",
    "tanh": "#a78bfa",
}
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
    """Measured against predicted final accuracies (the paper's Figure 5), a panel for each method."""
    del results
    for task, networks in _with_networks(study):
        if (found := task.evaluation) is None:
            continue
        final = pd.Series(found.table.final, found.table.network_ids)
        panels = {title: networks[title].dropna() for title in DRAWN if title in networks}
        panels[SHIPPED] = pd.Series(found.predicted[:, -1], found.table.network_ids)
        values = pd.concat([final, *panels.values()])
        low, high = values.min() - 0.02, values.max() + 0.02
        title = f"{task.name}: predicted against measured final accuracy"
        with _saved(_path(study, "scatter", task), title, 2.6 * len(panels), 3.1) as figure:
            axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
            for axis, (name, predicted) in zip(axes, panels.items(), strict=True):
                axis.plot([low, high], [low, high], color=PALE, lw=1, zorder=0)
                axis.scatter(final[predicted.index], predicted, s=10, alpha=0.6, color=OURS, linewidths=0)
                axis.set(xlabel="measured", aspect="equal", xlim=(low, high), ylim=(low, high))
                axis.set_title(name, fontsize=8)
            axes[0].set_ylabel("predicted")


def _with_networks(study: Study) -> Iterator[tuple[Task, pd.DataFrame]]:
    """Return the project's own tasks with what pictures show of their networks."""
    networks = read_networks(study.drawn_networks)
    for task in study.own:
        if task.name in networks.index:
            yield task, networks.loc[[task.name]].droplevel("task")


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


def cells(study: Study, results: pd.DataFrame) -> None:
    """Responses of one LSTM cell along networks' layers (the paper's Figure 6)."""
    for task, networks in _with_networks(study):
        layers = {row.network_id: [layer["type"] for layer in row.layers] for row in task.rows}
        final = pd.Series(task.networks.final, task.networks.table.network_ids)
        responses = networks.lstm_cell.dropna()
        shown = sorted(responses.index, key=lambda name: final[name])
        cell = _select(results, task, "lstm-cell").query("metric == 'cell'").value.item()
        title = f"{task.name}: responses of LSTM cell {cell:.0f}"
        with _saved(_path(study, "cells", task), title, 9, 1.05 * len(shown) + 0.5) as figure:
            axes = figure.subplots(len(shown), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
            for axis, name in zip(axes, shown, strict=True):
                values = np.array(responses[name].split(), dtype=float)
                axis.plot(values, color=PALE, lw=1, zorder=0)
                colours = [KINDS[kind] for kind in layers[name]]
                axis.scatter(range(len(values)), values, s=18, color=colours, linewidths=0)
                axis.set_ylabel(f"ends at\n{final[name]:.2f}", rotation=0, ha="right", va="center")
            axes[-1].set(xlabel="layer, from the image on", xlim=(-1, max(len(layers[name]) for name in shown)))
            handles = [Line2D([], [], marker="o", ls="", color=colour, label=kind) for kind, colour in KINDS.items()]
            figure.legend(handles=handles, loc="outside lower center", ncols=len(KINDS), fontsize=8)


def embedding(study: Study, results: pd.DataFrame) -> None:
    """Structural features in the plane, coloured by accuracy (the paper's Figure 7)."""
    del results
    for task, networks in _with_networks(study):
        final = pd.Series(task.networks.final, task.networks.table.network_ids)
        tested = {row.network_id for row in task.split("test")}
        places = networks[["tsne_x", "tsne_y"]].dropna()
        test = places.index.isin(tested)
        with _saved(_path(study, "tsne", task), f"{task.name}: structural features by t-SNE", 5.2, 3.8) as figure:
            axis = figure.subplots()
            style: dict[str, Any] = {"vmin": final.min(), "vmax": final.max(), "cmap": "viridis", "linewidths": 0}
            handles = []
            for chosen, marker, label in ((~test, "o", "training set"), (test, "^", "test split")):
                part = places[chosen]
                axis.scatter(part.tsne_x, part.tsne_y, c=final[part.index], s=16, marker=marker, **style)
                handles.append(Line2D([], [], marker=marker, ls="", ms=4, color=DARK, label=label))
            figure.colorbar(axis.collections[0], ax=axis, label="measured final accuracy")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8)


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
    title, size = "Replayed searches: mean and standard deviation", (4.2 + 5 * len(tasks), 0.9 + 0.3 * len(figures))
    with _saved(study.docs / "pictures" / "replay.png", title, *size) as figure:
        axes = figure.subplots(1, 2 * len(tasks), sharey=True, squeeze=False).reshape(-1, 2)
        for task, pair in zip(tasks, axes, strict=True):
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
    cells,
    embedding,
    curves,
    continued_curve,
    replays,
)
