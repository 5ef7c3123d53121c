"""`peephole fit-during`: what continues curves from the epochs seen, fitted beside an artifact's predictor."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table as RichTable

from cli.files import existing
from cli.plain import plain_console
from cli.quiet import hush_exporter
from model.artifact import read_artifact
from model.continuation import ContinuationCard
from training.curves.fit import fit_continuation
from training.curves.prior import out_of_fold
from training.observations.read import read
from training.observations.tasks import other_tasks
from training.weights.fit import fit_weights as fit_weights_to
from training.weights.fit import members_to_fit

_ROWS = {
    "before_training": "before training",
    "last_seen_value": "last seen value",
    "curve_only": "continued, curve alone",
    "with_prior": "continued, with the prediction before training",
}


def show(card: ContinuationCard) -> None:
    """Print a continuation's figures."""
    table = RichTable("seen", "epochs", "predictor", "tau", "R2", "MAE", "coverage", "width", title=card.task)
    for share, entry in card.metrics.items():
        if not isinstance(entry, dict):
            continue
        for name, title in _ROWS.items():
            f = entry[name]
            interval = (f"{f['final_coverage']:.3f}", f"{f['final_width']:.4f}") if "coverage" in f else ("", "")
            seen = str(entry["epochs_seen"])
            table.add_row(share, seen, title, f"{f['tau']:.3f}", f"{f['r2']:.3f}", f"{f['mae']:.4f}", *interval)
    plain_console().print(table)


def fit_during(
    data: Annotated[Path, typer.Option(help="Table of measured networks, Parquet or JSON Lines.")],
    artifact: Annotated[
        Path, typer.Option(help="Folder of the predictor to continue from; the result is written here.")
    ],
    cache: Annotated[
        Path | None, typer.Option(help="Folder for the cross-validated predictions; a second run finds them there.")
    ] = None,
    pretrain: Annotated[
        list[Path] | None, typer.Option(help="The tables that the predictor was pretrained on (repeatable).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Fixes folds and initial weights.")] = 0,
) -> None:
    """Fit what continues learning curves during training (`"observed"` of `/predict`, and `/stop`).

    The predictor's own recipe is cross-validated once more, because the continuation must learn from predictions of
    networks that the predictor was not fitted to. `predictor.onnx` stays as it is.

    Example: `peephole fit-during --data digits.parquet --artifact my-models/digits-mini`
    """
    hush_exporter()
    card = read_artifact(artifact).card
    if card.epochs < 2:
        raise ValueError(f"{artifact}: curves of one epoch end where they begin; there is nothing to continue")
    prior = out_of_fold(
        read(existing(data)),
        card,
        related=[read(existing(table)) for table in pretrain or ()],
        seed=seed,
        cache=cache,
        on_fit=lambda step: typer.echo(step, err=True),
    )
    show(fit_continuation(artifact, card, prior.table.curves, prior.predicted, prior.fold))


def fit_weights(
    data: Annotated[Path, typer.Option(help="Table of measured networks with `weight_stats` (`peephole collect`).")],
    artifact: Annotated[Path, typer.Option(help="Folder of the task's artifact; the result is written here.")],
    pretrain: Annotated[
        list[Path] | None, typer.Option(help="Table of another task to learn from first (repeatable).")
    ] = None,
) -> None:
    """Fit what reads accuracy off trained weights (`peephole predict-weights`, `POST /predict-weights`).

    Example: `peephole fit-weights --data data/mnist-mini.parquet --artifact my-models/mnist-mini`
    """
    hush_exporter()
    task = read_artifact(artifact).card.task
    rows = [row for row in read(existing(data)) if row.task == task]
    others = other_tasks([read(existing(table)) for table in pretrain or ()], task)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=plain_console(stderr=True)) as progress:
        bar = progress.add_task("cross-validating and fitting", total=members_to_fit())
        card = fit_weights_to(artifact, task, rows, related=others, on_member=lambda: progress.advance(bar))
    table = RichTable("what is read", "tau", "R2", "MAE", title=f"{task}: {card.training['networks']} networks")
    for name, title in (
        ("cross_validation", "final weights"),
        ("quarter_of_training", "weights at a quarter of training"),
    ):
        found = card.metrics[name]
        table.add_row(title, f"{found['tau']:.3f}", f"{found['r2']:.3f}", f"{found['mae']:.4f}")
    plain_console().print(table)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command(name="fit-during")(fit_during)
    app.command(name="fit-weights")(fit_weights)
