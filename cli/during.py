"""`peephole fit-during`: what continues curves from the epochs seen, fitted beside an artifact's predictor."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table as RichTable

from model.artifact import read_artifact
from model.continuation import ContinuationCard
from training.during.fit import fit_continuation
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
    seed: Annotated[int, typer.Option(help="Fixes folds and initial weights.")] = 0,
) -> None:
    """Fit what continues learning curves during training (`"observed"` of `/predict`, and `/stop`).

    The predictor's own recipe is cross-validated once more, because the continuation must learn from predictions of
    networks that the predictor was not fitted to. `predictor.onnx` stays as it is.

    Example: `peephole fit-during --data digits.parquet --artifact my-models/digits-mini`
    """
    card = read_artifact(artifact).card
    prior = out_of_fold(read(data), card, seed=seed, cache=cache, on_fit=lambda step: typer.echo(step, err=True))
    show(fit_continuation(artifact, card, prior.table.curves, prior.predicted, prior.fold))


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command(name="fit-during")(fit_during)
