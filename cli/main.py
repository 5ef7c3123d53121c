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
COMMANDS = {  # by the module that registers them
    "cli.predict": ("predict", "encode", "serve"),
    "cli.collect": ("sample", "collect", "train"),
    "cli.select": ("select",),
    "cli.fit": ("fit", "evaluate"),
    "cli.report": ("report",),
    "cli.during": ("fit-during", "fit-weights"),
    "cli.weights": ("predict-weights",),
}


def _register() -> None:
    for module, commands in COMMANDS.items():
        try:
            importlib.import_module(module).register(app)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] in {"cli", "model", "service", "training"}:
                raise
            for command in commands:
                _stand_in(command, error.name)


def _stand_in(command: str, missing: str) -> None:
    """Register what says how to install a command, whatever its arguments."""
    extra = "cpu" if command in COMMANDS["cli.predict"] + COMMANDS["cli.weights"] else "training"
    how = f"install the `{extra}` extra: pip install '.[{extra}]' in the repository"

    def absent() -> None:
        raise RuntimeError(f"{command} needs {missing}; {how}")

    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    app.command(command, help=f"Not installed; {how}.", context_settings=settings)(absent)


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
