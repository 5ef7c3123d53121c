"""The `peephole` command: its commands, its help, and how failures are reported."""

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from cli.console import describe
from cli.convert import convert
from cli.evaluate import evaluate
from cli.fit import fit, fit_continuation, fit_process, fit_proxies, fit_weights
from cli.importing import import_
from cli.measure import collect, train
from cli.predict import predict, predict_weights
from cli.proxies import proxies
from cli.report import report
from cli.sample import sample, select
from cli.serve import serve
from cli.tables import tables
from cli.worker import worker

COMMANDS = {
    "Use": (sample, select, import_, convert, proxies, predict, predict_weights, serve),
    "Measure": (collect, train, tables),
    "Fit": (fit, fit_continuation, fit_proxies, fit_weights, fit_process, worker),
    "Report": (evaluate, report),
}
EXTRAS = {"onnxruntime": "cpu", "pyarrow": "cli", "ray": "cluster", "pyro": "study"}  # by package; others: training
OWN = {"cli", "model", "service", "store", "training"}

app = typer.Typer(
    name="peephole",
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group, commands in COMMANDS.items():
    for command in commands:
        app.command(command.__name__.strip("_").replace("_", "-"), rich_help_panel=group)(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"peephole {version('peephole-service')}")
        except PackageNotFoundError:
            typer.echo("peephole, not installed")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def peephole(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Predict the learning curves of convolutional networks before they are trained.

    A network is a JSON list of layers. `peephole sample` prints some, `peephole predict` predicts them,
    `peephole serve` answers over HTTP.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line; expected failures end in one line on standard error and status 1."""
    try:
        app()
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing in OWN:
            raise
        extra = EXTRAS.get(missing, "training")
        what = "./client" if missing == "peephole" else f"'.[{extra}]'"
        _fail(f"this needs {missing}: pip install {what} in the repository")
    except OSError as error:
        _fail(describe(error))
    except (ValueError, RuntimeError) as error:
        _fail(str(error))


def _fail(message: str) -> None:
    typer.secho(f"peephole: {message}", fg="red", err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
