"""`peephole report`: the project's results, measured and written."""

import warnings
from pathlib import Path
from typing import Annotated

import typer

from model.artifact import ZOO


def report(
    experiment: Annotated[
        list[str] | None,
        typer.Option(help="First fit and measure this again (minutes to hours), such as `baselines`; repeatable."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="With --experiment: of this task alone.")] = None,
) -> None:
    """Write the tables and pictures of docs/results.md, and the README's table.

    Run it in the repository. The shipped predictors are measured on the tables in data/; figures of what must be
    fitted are those in docs/data/results.csv. The public tables are measured too where they are: in `curves`,
    beside the images (PEEPHOLE_DATA).

    Example: `peephole report`
    """
    if task is not None and not experiment:
        raise typer.BadParameter("--task goes with --experiment", param_hint="--task")
    root = Path.cwd()
    if not (root / "docs" / "results.md").exists():
        raise ValueError("no docs/results.md here; run this in the repository")
    from training.measuring.datasets import data_folder
    from training.study import experiments
    from training.study.networks import Study
    from training.study.report import write_report

    def say(line: str) -> None:
        typer.echo(line, err=True)

    warnings.filterwarnings("ignore", module=r"torch|sklearn|pyro|optuna")
    public = data_folder() / "curves"
    chosen = Study(root, ZOO, public, only=task)
    if task is not None and not chosen.chosen:
        raise typer.BadParameter(f"no table holds {task!r}; there are {', '.join(chosen.tasks)}", param_hint="--task")
    for one in experiment or ():
        if one not in experiments.REFITS:
            names = ", ".join(experiments.REFITS)
            raise typer.BadParameter(f"no experiment {one!r}; there are {names}", param_hint="--experiment")
    for one in experiment or ():
        experiments.measure(one, chosen, say)
    whole = Study(root, ZOO, public)
    write_report(whole)
    for line in experiments.outdated(whole):
        say(f"of an older table or predictor: {line}")
    typer.echo("written: docs/results.md, docs/data/results.csv, docs/pictures, README.md")
