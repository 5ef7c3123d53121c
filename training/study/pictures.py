"""The pictures of docs/results.md, in one style."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from training.fitting.evaluate import Evaluation
from training.observations.table import Floats

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "peephole",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
OURS, OTHERS, DARK = "#1f6f8b", ("#c2410c", "#64748b", "#a3a3a3"), "#0f172a"
KINDS = {  # colours of layer types in the cell pictures
    "conv": "#c2410c",
    "batch_norm": "#0f172a",
    "max_pool": "#1f6f8b",
    "avg_pool": "#60a5fa",
    "relu": "#a3a3a3",
    "sigmoid": "#ca9a04",
    "tanh": "#a78bfa",
}
CURVES = 12


@contextmanager
def _saved(path: Path, title: str, width: float, height: float) -> Iterator[Figure]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.suptitle(title, fontsize=11)
        yield figure
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None})
        lines = path.read_text().splitlines()
        path.write_text("\n".join(line.rstrip() for line in lines) + "\n")


def scatter(path: Path, title: str, panels: Sequence[tuple[str, Floats, Floats]]) -> None:
    """Draw measured against predicted final accuracies (the paper's Figure 5), a panel for each method."""
    values = np.concatenate([part for _, *parts in panels for part in parts])
    low, high = float(values.min()) - 0.02, float(values.max()) + 0.02
    with _saved(path, title, 2.6 * len(panels), 3.1) as figure:
        axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
        for axis, (name, measured, predicted) in zip(axes, panels, strict=True):
            axis.plot([low, high], [low, high], color="#cbd5e1", lw=1, zorder=0)
            axis.scatter(measured, predicted, s=10, alpha=0.6, color=OURS, linewidths=0)
            axis.set(xlabel="measured", aspect="equal", xlim=(low, high), ylim=(low, high))
            axis.set_title(name, fontsize=8)
        axes[0].set_ylabel("predicted")


def learning(path: Path, title: str, series: dict[str, list[tuple[int, float]]], ceiling: float | None) -> None:
    """Draw the size of the learning set against tau."""
    with _saved(path, title, 5.2, 3.4) as figure:
        axis = figure.subplots()
        for (name, points), colour in zip(series.items(), (OURS, *OTHERS), strict=False):
            axis.plot(*zip(*sorted(points), strict=True), "o-", ms=4, label=name, color=colour)
        if ceiling is not None:
            axis.axhline(ceiling, ls=":", color=DARK, lw=1, label="noise ceiling")
        axis.set_xscale("log")
        sizes: list[int] = []
        for size in sorted({size for points in series.values() for size, _ in points}, reverse=True):
            if not sizes or size < sizes[-1] / 1.2:  # labels do not overlap
                sizes.append(size)
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.set_xticks([], minor=True)
        axis.set(xlabel="networks in the training set", ylabel="tau on the test split")
        figure.legend(loc="outside lower center", ncols=2, fontsize=8)


def cells(path: Path, title: str, found: dict[str, Any]) -> None:
    """Draw the responses of one LSTM cell along networks' layers (the paper's Figure 6)."""
    shown = found["networks"]
    with _saved(path, title, 9, 1.05 * len(shown) + 0.5) as figure:
        axes = figure.subplots(len(shown), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for axis, network in zip(axes, shown, strict=True):
            ticks = np.arange(len(network["layers"]))
            axis.plot(ticks, network["responses"], color="#cbd5e1", lw=1, zorder=0)
            axis.scatter(
                ticks, network["responses"], s=18, color=[KINDS[kind] for kind in network["layers"]], linewidths=0
            )
            axis.set_xlim(-1, max(len(one["layers"]) for one in shown))
            axis.set_ylabel(f"ends at\n{network['accuracy']:.2f}", rotation=0, ha="right", va="center")
        axes[-1].set_xlabel("layer, from the image on")
        handles = [Line2D([], [], marker="o", ls="", color=colour, label=kind) for kind, colour in KINDS.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(KINDS), fontsize=8)


def embedding(path: Path, title: str, found: dict[str, Any]) -> None:
    """Draw the structural features in the plane, coloured by accuracy (the paper's Figure 7)."""
    x, y, accuracy = (np.array(found[name]) for name in ("x", "y", "accuracy"))
    test = np.array(found["test"])
    with _saved(path, title, 5.2, 3.8) as figure:
        axis = figure.subplots()
        style: dict[str, Any] = {"vmin": accuracy.min(), "vmax": accuracy.max(), "cmap": "viridis", "linewidths": 0}
        handles = []
        for chosen, marker, label in ((~test, "o", "training set"), (test, "^", "test split")):
            axis.scatter(x[chosen], y[chosen], c=accuracy[chosen], s=16, marker=marker, **style)
            handles.append(Line2D([], [], marker=marker, ls="", ms=4, color=DARK, label=label))
        figure.colorbar(axis.collections[0], ax=axis, label="measured final accuracy")
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
        figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8)


def curves(path: Path, title: str, found: Evaluation) -> None:
    """Draw predicted and measured curves of test networks, evenly spaced from the worst to the best."""
    order = np.argsort(found.table.final, kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, CURVES).round().astype(int)]
    with _saved(path, title, 9, 5.6) as figure:
        axes = figure.subplots(3, CURVES // 3, sharex=True, sharey=True).ravel()
        for axis, index in zip(axes, chosen, strict=True):
            _curve(axis, found, int(index))
        highest = max(found.upper[chosen].max(), found.table.curves[chosen].max())
        axes[0].set_ylim(0, min(1.0, 1.05 * float(highest)))
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
        for axis in axes[-CURVES // 3 :]:
            axis.set_xlabel("epoch")
        figure.supylabel("validation accuracy", fontsize=9)


def _curve(axis: Axes, found: Evaluation, index: int) -> None:
    ticks = np.arange(1, found.table.epochs + 1)
    low, high = found.lower[index], found.upper[index]
    axis.fill_between(ticks, low, high, alpha=0.25, color=OURS, linewidth=0, label="90 % interval")
    axis.plot(ticks, found.predicted[index], color=OURS, label="predicted before training")
    axis.plot(ticks, found.table.curves[index], "o", ms=3, color=DARK, label="measured")
    axis.set_title(found.table.network_ids[index][:8])
