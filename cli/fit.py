"""`peephole fit` and `peephole evaluate`."""

import json
import math
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from cli.files import existing
from cli.plain import plain_console
from cli.quiet import hush_exporter
from model.artifact import read_artifact, read_networks
from model.encoding.layer_code import CODES, LayerCode
from model.runtime import Predictor
from training.curves.fit import fit_continuation
from training.fitting import evaluate as evaluation
from training.fitting import fit as fitting
from training.fitting.calibrate import FOLDS
from training.observations.report import data_report, shown
from training.observations.user_table import OwnTable, load

Observations = Annotated[Path, typer.Option(help="Parquet or JSON Lines table of measured networks.")]

SkipBadRows = Annotated[
    bool, typer.Option("--skip-bad-rows", help="Leave malformed rows out instead of refusing the table.")
]


class Code(StrEnum):
    """Layer codes that can be fitted."""

    paper = "paper"
    extended = "extended"


class Split(StrEnum):
    """Which networks to fit to."""

    train = "train"
    all = "all"


class Part(StrEnum):
    """Which networks to evaluate on."""

    test = "test"
    train = "train"
    all = "all"


def _load(observations: Path, code: LayerCode, **options: Any) -> OwnTable:
    """Read a table, and say what of it is of no matter."""
    table = load(existing(observations), code, **options)
    if table.ignored_rows:
        typer.echo(f"{table.ignored_rows} malformed rows of other tasks were ignored", err=True)
    return table


def show_figures(title: str, figures: dict[str, Any]) -> None:
    """Print figures by name, or a report in words."""
    table = RichTable(title=title, show_header=False)
    for name, value in figures.items():
        shown = "unknown" if value is None else str(value)
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else shown)
    plain_console().print(table)


def fit(
    observations: Observations,
    out: Annotated[Path, typer.Option(help="Folder of the artifact to write.")],
    code: Annotated[
        Code, typer.Option(help="`extended`: the ensemble that ships; `paper`: the paper's LSTM.")
    ] = Code.extended,
    task: Annotated[str | None, typer.Option(help="Which task's rows, when the table holds several.")] = None,
    resolution: Annotated[
        int | None, typer.Option(min=1, help="Of the images, where the rows do not say; else 32.")
    ] = None,
    in_channels: Annotated[
        int | None, typer.Option(min=1, help="Of the images, where the rows do not say; else 3.")
    ] = None,
    skip_bad_rows: SkipBadRows = False,
    split: Annotated[
        Split,
        typer.Option(help="`train` leaves out the test split, a third of the networks, and what looks like one of it."),
    ] = Split.all,
    pretrain: Annotated[
        list[Path] | None,
        typer.Option(
            help="Table of another task that the neural members are trained on first (repeatable): worth it where "
            "networks of the same kind were measured there."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Fixes folds and initial weights.")] = 0,
    description: Annotated[str | None, typer.Option(help="One sentence for the card.")] = None,
) -> None:
    """Fit a predictor to measured networks: cross-validate, calibrate, export to ONNX, write the card.

    What continues curves during training is fitted along with it (see `peephole fit-during`).

    A table needs only `task`, `layers` and `accuracy` in each row (docs/bring-your-own.md). A report on it is shown
    first and kept in the card.

    Example: `peephole fit --observations mine.parquet --out my-predictor`
    """
    hush_exporter()
    table = _load(
        observations,
        CODES[code.value],
        task=task,
        resolution=resolution,
        in_channels=in_channels,
        skip_bad_rows=skip_bad_rows,
    )
    if pretrain and code is Code.paper:
        raise typer.BadParameter("the paper's LSTM learns from its own task alone", param_hint="--pretrain")
    related = [_load(path, CODES[code.value]).rows for path in pretrain or ()]
    report = data_report(table, CODES[code.value])
    show_figures(str(observations), shown(report))
    if table.skipped:
        typer.echo(f"left out:\n{table.skipped}", err=True)
    for warning in report["warnings"]:
        typer.secho(f"warning: {warning}", fg="yellow", err=True)
    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()) as progress:
        bar = progress.add_task("reading", total=FOLDS + 3)

        def on_fit(step: str) -> None:
            progress.update(bar, description=step, advance=1 if progress.tasks[0].description != "reading" else 0)

        fitted = fitting.fit(
            table.rows,
            out,
            code_name=code.value,
            task=task,
            resolution=resolution,
            in_channels=in_channels,
            data=report,
            split=split.value,
            related=related,
            seed=seed,
            description=description,
            on_fit=on_fit,
        )
        if fitted.card.epochs > 1:
            on_fit("continuing curves")
            validated = fitted.out_of_fold
            fit_continuation(out, fitted.card, fitted.table.curves, validated.predicted, validated.fold)
        progress.update(bar, completed=FOLDS + 3)
    show_figures(f"{fitted.card.task} {fitted.card.version}", fitted.card.metrics["cross_validation"])
    if twins := fitted.card.training.get("twins_left_out"):
        typer.echo(f"{twins} networks of the train split look like one of the test split and were left out", err=True)
    if part := fitted.card.training.get("process_scales_fitted_to"):
        typer.echo(
            f"the Gaussian process took its scales from {part} of {len(fitted.table)} networks, drawn at random",
            err=True,
        )
    measured = observations if split is Split.train else "OTHER-NETWORKS"
    typer.echo(f"written to {out}; try it: peephole evaluate --observations {measured} --artifact {out}")


def evaluate(
    observations: Observations,
    artifact: Annotated[Path, typer.Option(help="Folder of the artifact.")],
    part: Annotated[
        Part | None,
        typer.Option(
            help="Networks to measure on: the `test` split, the `train` split or `all`; by default those of the table "
            "that the artifact was not fitted to."
        ),
    ] = None,
    skip_bad_rows: SkipBadRows = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare an artifact's predictions with measured curves.

    How many of the networks the artifact was fitted to is said beside the figures (`fitted_to`, `new`); it lists those
    in `networks.txt`.
    """
    warnings.filterwarnings("ignore", module=r"sklearn|scipy|training")  # of a single network, or a single accuracy
    loaded = read_artifact(artifact)
    fitted_to = read_networks(loaded)
    predictor = Predictor(loaded)
    card = predictor.card
    table = _load(
        observations,
        card.layer_code,
        task=card.task,
        resolution=card.resolution,
        in_channels=card.in_channels,
        epochs=card.epochs,
        skip_bad_rows=skip_bad_rows,
    )
    found = evaluation.evaluate(table.rows, predictor, part.value if part else None, fitted_to=fitted_to)
    figures: dict[str, Any] = {
        "networks": len(found.table),
        "fitted_to": found.fitted_to,
        "new": None if found.fitted_to is None else len(found.table) - found.fitted_to,
        **found.metrics.rounded(),
        "interval_coverage": round(found.coverage, 4),
        "interval_mean_width": round(found.mean_width, 4),
        "unfamiliar": round(found.unfamiliar, 4),
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
        show_figures(f"{predictor.card.task} {predictor.card.version}", figures)
    if found.fitted_to is None:
        typer.echo(
            "note: the artifact does not list the networks it was fitted to; of its own table it was fitted to "
            + (
                "the train split" if card.training.get("split") == "train" else "every network, the test split included"
            ),
            err=True,
        )
    elif found.fitted_to:
        typer.echo(f"note: the artifact was fitted to {found.fitted_to} of these networks: figures flatter", err=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(fit)
    app.command()(evaluate)
