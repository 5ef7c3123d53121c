"""`peephole report`."""

from pathlib import Path
from typing import Annotated

import typer

from model.artifact import ZOO
from training.report import write_report


def report(
    data: Annotated[Path, typer.Option(help="Folder of measured tables.")] = Path("data"),
    zoo: Annotated[Path, typer.Option(help="Folder of artifacts.")] = ZOO,
    notes: Annotated[Path, typer.Option(help="Markdown that is appended.")] = Path("docs/results-notes.md"),
    out: Annotated[Path, typer.Option(help="The report.")] = Path("docs/results.md"),
    readme: Annotated[Path, typer.Option(help="Gets the table of predictors.")] = Path("README.md"),
) -> None:
    """Write the results report from the committed tables and the shipped predictors."""
    write_report(data, zoo, notes, out, readme)
    typer.echo(f"written to {out} and {readme}")


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command()(report)
