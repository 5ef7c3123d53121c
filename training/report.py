"""`docs/results.md` from the committed tables and the shipped cards: no figure in it is typed by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.artifact import read_artifact
from model.runtime import Predictor
from training.evaluate import Evaluation, evaluate
from training.metrics import ceiling
from training.observations import Observation, held_out, read

REFERENCE = {
    "metaqnn-cifar10": "0.68 / 0.74 with 800 of 1,000 networks to learn from; of 700 at hand here, 560 a fold",
}
MARKERS = ("<!-- predictors, written by make study -->", "<!-- end of predictors -->")


@dataclass(frozen=True)
class Measured:
    """A table of the project's own measurements, and the predictor fitted to it, if any."""

    task: str
    rows: list[Observation]
    evaluation: Evaluation | None


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    def cell(value: object) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return [*lines, *("| " + " | ".join(map(cell, row)) + " |" for row in rows), ""]


def _statistics(rows: Sequence[Observation], name: str) -> list[object]:
    finals: dict[str, list[float]] = {}
    for row in rows:
        finals.setdefault(row.architecture, []).append(row.accuracy[-1])
    means = np.array([np.mean(values) for values in finals.values()])
    return [name, len(means), *(float(f(means)) for f in (np.mean, np.std, np.min, np.max))]


def _measurements(measured: Sequence[Measured]) -> list[str]:
    lines = [
        "## What was measured",
        "",
        "Final validation accuracy, as in the paper's Table 2; a network's seeds are averaged.",
        "",
    ]
    rows = []
    for one in measured:
        for part, chosen in (("train", False), ("test", True)):
            members = [row for row in one.rows if held_out(row.architecture) is chosen]
            if members:
                rows.append(_statistics(members, f"{one.task}, {part}"))
    lines += _table(["networks of", "count", "mean", "std", "min", "max"], rows)
    cost = []
    for one in measured:
        seconds = [row.seconds for row in one.rows if row.seconds]
        if seconds:
            share = np.mean([row.status == "untrainable" for row in one.rows])
            devices = ", ".join(sorted({row.device for row in one.rows if row.device}))
            cost.append(
                [one.task, len(one.rows), float(np.median(seconds)), float(np.mean(seconds)), float(share), devices]
            )
    lines += _table(["task", "runs", "median seconds", "mean seconds", "share untrainable", "device"], cost)
    return lines


def _ceilings(measured: Sequence[Measured]) -> list[str]:
    lines = [
        "## The noise ceiling",
        "",
        "One training run of a network against the mean of its other runs: what training noise leaves to be predicted.",
        "",
    ]
    rows = []
    for one in measured:
        for name, chosen in (
            (one.task, one.rows),
            (f"{one.task}, trainable networks only", [row for row in one.rows if row.status == "ok"]),
        ):
            found = ceiling(chosen)
            if found is not None:
                rows.append([name, found.networks, found.tau, found.r2, found.noise, found.spread])
    return lines + _table(["task", "networks", "tau", "R2", "noise (std between seeds)", "spread (std)"], rows)


def _held_out(measured: Sequence[Measured]) -> list[str]:
    lines = [
        "## Held-out networks",
        "",
        "The test split (a third of the networks, by hash) that the shipped predictor was not fitted to.",
        "",
    ]
    rows = []
    for one in measured:
        if one.evaluation is None:
            continue
        found = one.evaluation
        limit = found.noise.tau if found.noise else float("nan")
        metrics = found.metrics
        rows.append(
            [
                one.task,
                len(found.table),
                metrics.tau,
                limit,
                metrics.tau / limit,
                metrics.r2,
                metrics.mse,
                metrics.curve_mae,
                found.coverage,
                found.mean_width,
            ]
        )
    header = [
        "task",
        "networks",
        "tau",
        "ceiling",
        "tau / ceiling",
        "R2",
        "MSE",
        "curve MAE",
        "90 % coverage",
        "mean width",
    ]
    return lines + _table(header, rows)


def _cards(folders: Sequence[Path]) -> list[str]:
    lines = [
        "## Cross-validation of the shipped predictors",
        "",
        "Five folds over the networks each was fitted to; means of the folds.",
        "",
    ]
    rows = []
    for folder in folders:
        card = read_artifact(folder).card
        found = card.metrics["cross_validation"]
        names = ("networks", "tau", "r2", "mse", "curve_mae", "interval_coverage", "interval_mean_width")
        rows.append([card.task, card.version, *(found[name] for name in names)])
    header = ["task", "version", "networks", "tau", "R2", "MSE", "curve MAE", "90 % coverage", "mean width"]
    lines += _table(header, rows)
    for task, text in REFERENCE.items():
        lines += [f"Reference for {task} (tau / R2, bidirectional LSTMs blended with trees): {text}.", ""]
    return lines


def measure(data: Path, zoo: Path) -> list[Measured]:
    """Read each table of `data` and evaluate the predictor of its task, where one ships."""
    found = []
    for path in sorted(data.glob("*.parquet")):
        rows = read(path)
        artifact = zoo / rows[0].task
        evaluation = evaluate(rows, Predictor(read_artifact(artifact)), "test") if artifact.is_dir() else None
        found.append(Measured(rows[0].task, rows, evaluation))
    return found


def readme_table(measured: Sequence[Measured], folders: Sequence[Path]) -> list[str]:
    """Return the README's table of what ships: held-out figures where there is a test split, else cross-validated."""
    evaluations = {one.task: one.evaluation for one in measured}
    rows = []
    for folder in folders:
        card = read_artifact(folder).card
        found = card.metrics["cross_validation"]
        figures = [
            found["tau"],
            found["r2"],
            found["interval_coverage"],
            f"five folds over {found['networks']} networks",
        ]
        evaluation = evaluations.get(card.task)
        if evaluation is not None and card.training["split"] == "train":
            metrics = evaluation.metrics
            held = f"{len(evaluation.table)} held-out networks"
            if evaluation.noise is not None:
                held += f"; noise ceiling of tau {evaluation.noise.tau:.3g}"
            figures = [metrics.tau, metrics.r2, evaluation.coverage, held]
        rows.append([f"`{card.task}`", card.description, card.training["networks"], *figures])
    return _table(["task", "networks", "fitted to", "tau", "R2", "90 % coverage", "measured on"], rows)


def update_readme(readme: Path, table: Sequence[str]) -> None:
    """Put the table between the README's markers."""
    before, rest = readme.read_text().split(MARKERS[0])
    _, after = rest.split(MARKERS[1])
    readme.write_text("\n".join([before + MARKERS[0], "", *table]) + MARKERS[1] + after)


def write_report(data: Path, zoo: Path, notes: Path, out: Path, readme: Path) -> None:
    """Write the report, and the README's table of predictors.

    Args:
        data: folder of the project's own tables.
        zoo: folder of artifacts.
        notes: Markdown with what was tried, appended as it stands.
        out: the report.
        readme: has a place for the table.
    """
    measured = measure(data, zoo)
    folders = sorted(card.parent for card in zoo.glob("*/card.json"))
    lines = [
        "# Results",
        "",
        "Generated by `make study` (`peephole report`) from `data/*.parquet` and the cards in `model/zoo/`. Tau is "
        "Kendall's tau-b of the final accuracy; seconds are processor seconds of one thread.",
        "",
        *_measurements(measured),
        *_ceilings(measured),
        *_held_out(measured),
        *_cards(folders),
    ]
    out.write_text("\n".join(lines) + "\n" + notes.read_text())
    update_readme(readme, readme_table(measured, folders))
