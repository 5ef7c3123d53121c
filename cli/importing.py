"""`peephole import`: networks that are written as ONNX models or PyTorch modules, as JSON."""

import contextlib
import importlib
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from peephole import Request

Shape = tuple[int, int, int]


def _shape(text: str) -> Shape:
    """Parse `--input`."""
    try:
        channels, height, width = map(int, text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not CHANNELS,HEIGHT,WIDTH") from None
    if min(channels, height, width) < 1:
        raise typer.BadParameter(f"{text!r} has a size below 1")
    return channels, height, width


def import_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="An ONNX file; or `package.module:name` of a PyTorch module or of what returns one."
        ),
    ],
    shape: Annotated[
        Any,
        typer.Option("--input", parser=_shape, metavar="C,H,W", help="Shape of the images; PyTorch modules need it."),
    ] = None,
) -> None:
    """Print a network of PyTorch or ONNX as the body of a request to POST /predict.

    The final linear layer is left out as the classifier. A module is read as it is in eval mode; it needs no
    weights. What the network form cannot express is listed, all at once.

    Example: `peephole import torchvision.models:resnet18 --input 3,224,224`
    """
    if ":" in source and not Path(source).exists():
        if shape is None:
            raise typer.BadParameter("needed for a PyTorch module, as in 3,224,224", param_hint="--input")
        request = import_module(source, shape)
    else:
        request = import_onnx(Path(source), shape)
    typer.echo(json.dumps(request))


def import_onnx(file: Path, shape: Shape | None = None) -> "Request":
    """Return the request of an ONNX model; notes go to standard error.

    Raises:
        OSError: when it cannot be read.
        ValueError: one line with the file and what is wrong there.
    """
    import peephole

    with _notes():
        try:
            return peephole.from_onnx(file, input_shape=shape, name=file.stem)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None


def import_module(source: str, shape: Shape) -> "Request":
    """Return the request of `package.module:name`; what its code prints, and notes, go to standard error.

    Raises:
        ValueError: one line with the source and what is wrong there.
    """
    import torch

    import peephole

    where, _, name = source.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    with contextlib.redirect_stdout(sys.stderr), _notes():
        try:
            found: Any = importlib.import_module(where)
            for part in name.split("."):
                found = getattr(found, part)
            module = found if isinstance(found, torch.nn.Module) else found()
        except Exception as error:
            raise ValueError(f"{source}: {type(error).__name__}: {error}") from error
        if not isinstance(module, torch.nn.Module):
            message = f"{source} is no PyTorch module, and returns none but a {type(module).__name__}"
            raise ValueError(message)  # noqa: TRY004 - what the command line reports
        try:
            return peephole.from_torch(module, shape, name=name)
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from None


@contextlib.contextmanager
def _notes() -> Iterator[None]:
    """Print the notes of an importer, a line each, and no other warnings."""
    import peephole

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", peephole.ImportNote)
        yield
    for one in caught:
        typer.echo(f"peephole: note: {one.message}", err=True)
