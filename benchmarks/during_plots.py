"""Draw the pictures of docs/during-training.md.

    python -m benchmarks.during_plots --data TABLE --artifact model/zoo/metaqnn-cifar10

`curve.png` continues a network of the table after 1, 2, 5 and 10 epochs, `replay.png` shows the replays in docs/data,
and `weights.png` what each statistic of the weights is worth (`docs/data/weights.json`).
"""

import json
from pathlib import Path
from typing import Annotated

import matplotlib as mpl
import numpy as np
import typer

mpl.use("Agg")

import matplotlib.pyplot as plt

from model.artifact import read_artifact
from model.continuation import read_continuation
from model.runtime import Predictor
from training.observations.read import read
from training.observations.table import tabulate

PICTURES = Path("docs/pictures")
COLOUR = "#1f6f8b"


def draw_curve(data: Path, artifact: Path) -> None:
    loaded = read_artifact(artifact)
    continuation = read_continuation(artifact)
    assert continuation is not None
    card = loaded.card
    rows = [row for row in read(data) if row.task == card.task]
    middle = sorted(rows, key=lambda row: row.accuracy[-1])[len(rows) // 2]
    table = tabulate([middle], card.layer_code, card.image, clamp=True)
    ticks = np.arange(1, card.epochs + 1)
    prior = Predictor(loaded).run(table.codes, table.lengths, ticks.tolist())
    figure, axes = plt.subplots(1, 5, figsize=(15, 3.2), sharey=True)
    for axis, seen in zip(axes, (0, 1, 2, 5, 10), strict=True):
        got = prior if seen == 0 else continuation.run([middle.accuracy[:seen]], prior=prior.accuracy)
        axis.fill_between(ticks, got.lower[0], got.upper[0], alpha=0.25, color=COLOUR, label="90 % interval")
        axis.plot(ticks, got.accuracy[0], color=COLOUR, label="predicted")
        axis.plot(ticks, middle.accuracy, ":", color="black", label="measured")
        axis.plot(ticks[:seen], middle.accuracy[:seen], "o", ms=4, color="black", label="seen")
        axis.set_title("before training" if seen == 0 else f"after {seen} epoch{'s' if seen > 1 else ''}")
        axis.set_xlabel("epoch")
    axes[0].set_ylabel("validation accuracy")
    axes[-1].legend(loc="lower right", fontsize=8)
    figure.tight_layout()
    figure.savefig(PICTURES / "curve.png", dpi=110)


def draw_replays() -> None:
    files = sorted(Path("docs/data").glob("replay-*.json"))
    figure, axes = plt.subplots(1, len(files), figsize=(6.5 * len(files), 4.2), squeeze=False)
    for axis, file in zip(axes[0], files, strict=True):
        result = json.loads(file.read_text())
        for name, f in result["rules"].items():
            ours = "Peephole" in name
            axis.errorbar(
                f["speedup"]["mean"],
                100 * f["lost"]["mean"],
                xerr=f["speedup"]["std"],
                fmt="o" if ours else "s",
                color=COLOUR if ours else "grey",
                alpha=0.9,
            )
            axis.annotate(
                name,
                (f["speedup"]["mean"], 100 * f["lost"]["mean"]),
                fontsize=7,
                xytext=(4, 4),
                textcoords="offset points",
            )
        axis.set_xlabel("times fewer epochs than full training (mean and deviation of 20 orders)")
        axis.set_ylabel("lost of the best accuracy found, points")
        axis.set_title(f"{file.stem.removeprefix('replay-')}: searches of {result['trials']} networks")
    figure.tight_layout()
    figure.savefig(PICTURES / "replay.png", dpi=110)


def draw_weights(file: Path) -> None:
    found = json.loads(file.read_text())
    task, worth = found["worth"]["task"], found["worth"]["figures"]
    bars = {"shipped (held out)": found["tasks"][task]["held_out"]["r2"], "trees: all": worth["all"]["r2"]}
    bars |= {f"trees: {name}": entry["alone"]["r2"] for name, entry in worth.items() if name != "all"}
    figure, axis = plt.subplots(figsize=(7, 4.5))
    axis.barh(list(bars)[::-1], list(bars.values())[::-1], color=COLOUR)
    axis.set_xlabel(f"R2 of the final accuracy of {task}; trees: cross-validated, each alone")
    figure.tight_layout()
    figure.savefig(PICTURES / "weights.png", dpi=110)


def main(data: Annotated[Path, typer.Option()], artifact: Annotated[Path, typer.Option()]) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    draw_replays()
    draw_weights(Path("docs/data/weights.json"))
    draw_curve(data, artifact)


if __name__ == "__main__":
    typer.run(main)
