"""`peephole evaluate`: how good an artifact is."""

import json
import math
import warnings
from typing import Annotated, Any, Literal

import typer

from cli.console import print_figures
from cli.fit import load_table
from cli.options import JsonOption, OwnArtifactOption, SkipBadRowsOption, TableOption
from model.artifact import read_artifact, read_networks


def evaluate(
    table: TableOption,
    artifact: OwnArtifactOption,
    split: Annotated[
        Literal["test", "train", "all"] | None,
        typer.Option(help="Networks to measure on; by default those that the artifact was not fitted to."),
    ] = None,
    skip_bad_rows: SkipBadRowsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare an artifact's predictions with measured curves.

    How many of the networks the artifact was fitted to is said beside the figures (`fitted_to`, `new`); it lists those
    in `networks.txt`.

    Example: `peephole evaluate --table others.parquet --artifact my-predictor`
    """
    artifact_read = read_artifact(artifact)
    card, fitted_to = artifact_read.card, read_networks(artifact_read)
    from model.runtime import Predictor
    from training.fitting import evaluate as evaluation

    warnings.filterwarnings("ignore", module=r"sklearn|scipy|training")  # of a single network, or a single accuracy
    rows = load_table(
        table,
        card.layer_code,
        task=card.task,
        resolution=card.resolution,
        in_channels=card.in_channels,
        epochs=card.epochs,
        skip_bad_rows=skip_bad_rows,
    ).rows
    found = evaluation.evaluate(rows, Predictor(artifact_read), split, fitted_to=fitted_to)
    figures: dict[str, Any] = {
        "networks": len(found.table),
        "fitted_to": found.fitted_to,
        "new": None if found.fitted_to is None else len(found.table) - found.fitted_to,
        **found.metrics.rounded(),
        "interval_coverage": round(found.coverage, 4),
        "interval_mean_width": round(found.mean_width, 4),
        "out_of_distribution": round(found.out_of_distribution, 4),
    }
    if found.noise is not None:
        figures |= {"ceiling_tau": round(found.noise.tau, 4), "ceiling_networks": found.noise.networks}
    # JSON knows no NaN, which R2 is where one network was measured
    figures = {
        name: None if isinstance(value, float) and math.isnan(value) else value for name, value in figures.items()
    }
    if as_json:
        typer.echo(json.dumps(figures))
    else:
        print_figures(f"{card.task} {card.version}", figures)
    if found.fitted_to is None:
        part = "the train split" if card.training.get("split") == "train" else "all networks, test split included"
        typer.echo(f"note: the artifact does not list what it was fitted to; of its own table: {part}", err=True)
    elif found.fitted_to:
        typer.echo(f"note: the artifact was fitted to {found.fitted_to} of these networks: figures flatter", err=True)
