"""Draw pictures: a continued curve, the replayed searches, what each statistic of the weights is worth.

    python -m benchmarks.during_plots --data data/cifar10-mini.parquet --artifact model/zoo/cifar10-mini

`curve.png` shows the median of the networks that the predictor was not fitted to, before training and after some
epochs. `replay.png` is drawn from `docs/data/replay-*.json`, `weights.png` from `docs/data/weights.json`.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import matplotlib as mpl
import numpy as np
import typer

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from model.artifact import read_artifact, read_networks
from model.continuation import read_continuation
from model.runtime import Predictor
from training.observations.read import read
from training.observations.table import tabulate

PICTURES = Path("docs/pictures")
COLOUR, OTHERS = "#1f6f8b", "#94a3b8"
SEEN = (0, 1, 2, 5)
PAGE = {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}


def draw_curve(data: Path, artifact: Path) -> None:
    """Draw a measured curve over what is predicted of it, before training and after some epochs."""
    loaded = read_artifact(artifact)
    continuation, fitted_to = read_continuation(artifact), read_networks(loaded)
    assert continuation is not None
    assert fitted_to is not None
    card = loaded.card
    new = [row for row in read(data) if row.task == card.task and row.network_id not in fitted_to]
    middle = sorted(new, key=lambda row: row.accuracy[-1])[len(new) // 2]
    table = tabulate([middle], card.layer_code, card.image, clamp=True)
    ticks = np.arange(1, card.epochs + 1)
    prior = Predictor(loaded).run(table.codes, table.lengths, ticks.tolist())
    figure, axes = plt.subplots(1, len(SEEN), figsize=(12, 3.4), sharey=True, layout="constrained")
    for axis, seen in zip(axes, SEEN, strict=True):
        got = prior if seen == 0 else continuation.run([middle.accuracy[:seen]], prior=prior.accuracy)
        axis.fill_between(ticks, got.lower[0], got.upper[0], alpha=0.25, color=COLOUR, lw=0, label="90 % interval")
        axis.plot(ticks, got.accuracy[0], color=COLOUR, label="predicted")
        axis.plot(ticks, middle.accuracy, ":", color="black", label="measured")
        axis.plot(ticks[:seen], middle.accuracy[:seen], "o", ms=4, color="black", label="measured before predicting")
        title = "before training" if seen == 0 else f"after {seen} epoch{'s' if seen > 1 else ''}"
        axis.set(title=title, xlabel="epoch", xticks=ticks[1::2])
    axes[0].set_ylabel("validation accuracy")
    handles, labels = axes[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    figure.suptitle(f"A network of {card.task} that the predictor was not fitted to")
    figure.savefig(PICTURES / "curve.png", dpi=110)


def draw_replays() -> None:
    """Draw how many epochs each rule saves, and what it loses: a panel for each table, a line for each rule."""
    found = {
        file.stem.removeprefix("replay-"): json.loads(file.read_text())
        for file in sorted(Path("docs/data").glob("replay-*.json"))
    }
    first = next(iter(found.values()))["rules"]
    names = sorted(first, key=lambda name: first[name]["speedup"]["mean"])
    size = (4.2 + 5 * len(found), 0.9 + 0.3 * len(names))
    figure, grid = plt.subplots(1, 2 * len(found), figsize=size, sharey=True, layout="constrained")
    for (task, result), axes in zip(found.items(), grid.reshape(-1, 2), strict=True):
        for what, scale, title, axis in (
            ("speedup", 1, "times fewer epochs", axes[0]),
            ("lost", 100, "points of accuracy lost", axes[1]),
        ):
            _rules(axis, {name: result["rules"].get(name) for name in names}, what, scale)
            axis.set_xlabel(title)
        axes[0].set_title(task, loc="left")
    figure.suptitle(
        f"Searches of {result['trials']} networks: mean and standard deviation of {result['orders']} orders"
    )
    figure.savefig(PICTURES / "replay.png", dpi=110)
    plt.close(figure)


def _rules(axis: Axes, rules: dict[str, Any], what: str, scale: float) -> None:
    for place, (name, rule) in enumerate(rules.items()):
        if rule is not None:
            colour = COLOUR if "Peephole" in name else OTHERS
            mean, deviation = scale * rule[what]["mean"], scale * rule[what]["std"]
            axis.barh(place, mean, 0.7, xerr=[[min(mean, deviation)], [deviation]], color=colour, ecolor="#0f172a")
    axis.set_yticks(range(len(rules)), list(rules))
    axis.set_xlim(left=0)


def draw_weights(file: Path) -> None:
    """Draw what each statistic of the weights says by itself, the best first."""
    found = json.loads(file.read_text())
    task, worth = found["worth"]["task"], found["worth"]["figures"]
    alone = {name: entry["alone"]["r2"] for name, entry in worth.items() if name != "all"}
    bars = {"shipped (test split)": found["tasks"][task]["held_out"]["r2"], "trees: all statistics": worth["all"]["r2"]}
    bars |= {f"trees: {name} alone": r2 for name, r2 in sorted(alone.items(), key=lambda entry: -entry[1])}
    figure, axis = plt.subplots(figsize=(7, 5.2), layout="constrained")
    colours = [COLOUR if name.startswith("shipped") else OTHERS for name in bars]
    drawn = axis.barh(list(bars), list(bars.values()), color=colours)
    axis.bar_label(drawn, [f"{r2:.2f}" for r2 in bars.values()], padding=3, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlim(-0.15, 1.08)
    axis.set(title=f"{task}: accuracy read off weights", xlabel="R2 of the final accuracy (trees: cross-validated)")
    figure.savefig(PICTURES / "weights.png", dpi=110)
    plt.close(figure)


def main(data: Annotated[Path, typer.Option()], artifact: Annotated[Path, typer.Option()]) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(PAGE):
        draw_replays()
        draw_weights(Path("docs/data/weights.json"))
        draw_curve(data, artifact)


if __name__ == "__main__":
    typer.run(main)
