"""`peephole evaluate` and `peephole report`: how good predictors are."""

import json
import math
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cli.console import existing, print_figures
from cli.fit import load_table
from cli.options import JsonOption, OwnArtifactOption, SkipBadRowsOption, TableOption
from model.artifact import ZOO, read_artifact, read_networks


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
    existing(table)
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
        print_figures(f"{card.task} {card.version}", figures)
    if found.fitted_to is None:
        part = "the train split" if card.training.get("split") == "train" else "all networks, test split included"
        typer.echo(f"note: the artifact does not list what it was fitted to; of its own table: {part}", err=True)
    elif found.fitted_to:
        typer.echo(f"note: the artifact was fitted to {found.fitted_to} of these networks: figures flatter", err=True)


def report(
    refresh: Annotated[
        bool,
        typer.Option("--refresh", help="First fit the baselines again where a table or a predictor changed (minutes)."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="With --refresh: whether or not anything changed.")] = False,
    task: Annotated[str | None, typer.Option(help="With --refresh: this task alone.")] = None,
) -> None:
    """Write docs/results.md and the README's table from the tables in data/ and the shipped predictors.

    Run it in the repository. `--refresh` cross-validates on the public tables as well, where they are: in `curves`,
    beside the images (PEEPHOLE_DATA).

    Example: `peephole report`
    """
    if not refresh and (force or task is not None):
        raise typer.BadParameter("--force and --task go with --refresh", param_hint="--refresh")
    from training.measuring.datasets import data_folder
    from training.study.networks import tasks_in
    from training.study.page import Places, write_report
    from training.study.refresh import refresh as bring_up_to_date

    def say(line: str) -> None:
        typer.echo(line, err=True)

    tasks = tasks_in(Path("data"), own=True)
    docs, readme = Path("docs"), Path("README.md")
    places = Places(Path("data"), ZOO, docs / "data" / "study", docs, readme)
    if refresh:
        warnings.filterwarnings("ignore", module=r"torch|sklearn|pyro")
        public = tasks_in(data_folder() / "curves", own=False)
        names = [one.name for one in (*tasks, *public)]
        if task is not None and task not in names:
            raise typer.BadParameter(f"no table holds {task!r}; there are {', '.join(names)}", param_hint="--task")
        bring_up_to_date(tasks, public, ZOO, places.kept, only=task, force=force, on_step=say)
    write_report(tasks, places, say)
    typer.echo(f"written to {docs / 'results.md'} and {readme}")
