"""The `peephole` command.

Predicting needs only the serving packages; collecting and fitting need those of `training` as well.
"""

import importlib
import sys

import typer

from cli.files import described

app = typer.Typer(
    name="peephole",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Predict the learning curves of convolutional networks before they are trained.\n\n"
    "A network is a JSON list of layers; `peephole sample` prints some, `peephole predict` predicts them, "
    "`peephole serve` answers over HTTP.",
)
_COMMANDS = ("cli.predict", "cli.collect", "cli.select", "cli.fit", "cli.report", "cli.during", "cli.weights")


def _register() -> None:
    for module in _COMMANDS:
        try:
            importlib.import_module(module).register(app)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] in {"cli", "model", "service", "training"}:
                raise
            # The offline commands are absent where only the serving packages are installed.


def main() -> None:
    """Run the command line; expected failures end in one line on standard error and status 1."""
    _register()
    try:
        app()
    except (ValueError, OSError, RuntimeError) as error:
        message = described(error) if isinstance(error, OSError) else str(error)
        typer.secho(f"peephole: {message}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
