"""`peephole fit-during`: what continues curves from the epochs seen, fitted beside an artifact's predictor."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table as RichTable

from model.artifact import read_artifact
from model.continuation import ContinuationCard
from training.during.fit import fit_continuation
from training.during.fit_weights import fit_weights as fit_weights_to
from training.during.prior import out_of_fold
from training.observations import read

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
    Console().print(table)


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
    card = read_artifact(artifact).card
    if card.epochs < 2:
        raise ValueError(f"{artifact}: curves of one epoch end where they begin; there is nothing to continue")
    prior = out_of_fold(
        read(data),
        card,
        related=[read(table) for table in pretrain or ()],
        seed=seed,
        cache=cache,
        on_fit=lambda step: typer.echo(step, err=True),
    )
    show(fit_continuation(artifact, card, prior.table.curves, prior.predicted, prior.fold))


def fit_weights(
    data: Annotated[Path, typer.Option(help="Table of measured networks with `weight_stats` (`peephole collect`).")],
    artifact: Annotated[Path, typer.Option(help="Folder of the task's artifact; the result is written here.")],
    other: Annotated[Path | None, typer.Option(help="Table of another task, to measure what carries over.")] = None,
) -> None:
    """Fit what reads accuracy off trained weights (`peephole predict-weights`, `POST /predict-weights`).

    Example: `peephole fit-weights --data data/mnist-mini.parquet --artifact my-models/mnist-mini`
    """
    task = read_artifact(artifact).card.task
    rows = [row for row in read(data) if row.task == task]
    card = fit_weights_to(artifact, task, rows, other=read(other) if other else ())
    table = RichTable("what is read", "tau", "R2", "MAE", title=f"{task}: {card.training['networks']} networks")
    titles = {"cross_validation": "final weights", "quarter_of_training": "weights at a quarter of training"}
    found = {title: card.metrics[name] for name, title in titles.items()}
    found |= {f"final weights, {name} alone": figures for name, figures in card.metrics["each_alone"].items()}
    if "other_task" in card.metrics:
        found[f"final weights of {card.metrics['other_task']['task']}, not fitted again"] = card.metrics["other_task"]
    for title, f in found.items():
        table.add_row(title, f"{f['tau']:.3f}", f"{f['r2']:.3f}", f"{f['mae']:.4f}")
    Console().print(table)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command(name="fit-during")(fit_during)
    app.command(name="fit-weights")(fit_weights)
