"""`peephole report`."""

import warnings
from pathlib import Path
from typing import Annotated

import typer

from model.artifact import ZOO
from training.measuring.datasets import data_folder
from training.study.networks import tasks_in
from training.study.page import Places, write_report
from training.study.refresh import refresh as bring_up_to_date


def _say(line: str) -> None:
    typer.echo(line, err=True)


def report(
    data: Annotated[Path, typer.Option(help="Folder of measured tables.")] = Path("data"),
    zoo: Annotated[Path, typer.Option(help="Folder of artifacts.")] = ZOO,
    docs: Annotated[Path, typer.Option(help="Gets results.md and its pictures.")] = Path("docs"),
    readme: Annotated[Path, typer.Option(help="Gets the table of predictors.")] = Path("README.md"),
    refresh: Annotated[
        bool,
        typer.Option("--refresh", help="First fit the rivals again where a table or a predictor changed (minutes)."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="With --refresh: whether or not anything changed.")] = False,
    task: Annotated[str | None, typer.Option(help="With --refresh: this task alone.")] = None,
) -> None:
    """Write the results report from the committed tables and the shipped predictors.

    `--refresh` cross-validates on the public tables as well, where they are: in `curves`, beside the images
    (PEEPHOLE_DATA).
    """
    if not refresh and (force or task is not None):
        raise typer.BadParameter("--force and --task go with --refresh", param_hint="--refresh")
    tasks = tasks_in(data, own=True)
    places = Places(data, zoo, docs / "data" / "study", docs, readme)
    if refresh:
        warnings.filterwarnings("ignore", module=r"torch|sklearn|pyro")
        public = tasks_in(data_folder() / "curves", own=False)
        names = [one.name for one in (*tasks, *public)]
        if task is not None and task not in names:
            raise typer.BadParameter(f"no table holds {task!r}; there are {', '.join(names)}", param_hint="--task")
        bring_up_to_date(tasks, public, zoo, places.kept, only=task, force=force, on_step=_say)
    write_report(tasks, places, _say)
    typer.echo(f"written to {docs / 'results.md'} and {readme}")


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command()(report)
