"""`peephole convert`: notations of search spaces as networks of the one form."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic_core import from_json

from cli.networks import BYTE_ORDER_MARK
from model.network.faults import not_json
from model.network.notations import SPACES, NotationError
from model.network.schema import MAX_ID, MAX_LAYERS

SPACE_NAMES = ", ".join(SPACES)


def convert(
    file: Annotated[
        Path,
        typer.Argument(
            help="JSON Lines, a notation a line, or a JSON list of notations, or one. `-` reads standard input."
        ),
    ],
    space: Annotated[str, typer.Option(metavar="NAME", help=f"One of {SPACE_NAMES}.")],
    as_lines: Annotated[bool, typer.Option("--jsonl", help="Print JSON Lines, a network a line.")] = False,
) -> None:
    """Convert notations of a search space to networks: the JSON body of a request to POST /predict.

    A notation is what the space's papers use; `{"id": ..., "arch": NOTATION}` gives it a name.

    Example: `peephole convert cells.jsonl --space nasbench201 | peephole predict - --task nasbench201-cifar10`
    """
    if space not in SPACES:
        raise typer.BadParameter(f"{space!r} is not a space; there are {SPACE_NAMES}", param_hint="--space")
    content = (sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()).removeprefix(BYTE_ORDER_MARK)
    networks = (_network(file, place, given, space) for place, given in _notations(file, content))
    if as_lines:
        for network in networks:
            typer.echo(json.dumps(network))
        return
    typer.echo(json.dumps({"architectures": list(networks)}))


def _notations(file: Path, content: bytes) -> Iterator[tuple[str, Any]]:
    """Yield notations with their place; a text that is not JSON is a notation a line.

    Raises:
        ValueError: when there is none, or a line is not JSON.
    """
    lines = [(number, line) for number, line in enumerate(content.splitlines(), start=1) if line.strip()]
    if not lines:
        raise ValueError(f"{file}: holds no notation")
    try:
        document = from_json(content)
    except ValueError as error:
        try:
            yield f"line {lines[0][0]}", _of_line(file, *lines[0])
        except ValueError:  # these are no JSON Lines
            raise ValueError(f"{file}: {not_json(str(error))}") from None
        for number, line in lines[1:]:
            yield f"line {number}", _of_line(file, number, line)
        return
    if isinstance(document, list) and document and not _is_one(document):
        yield from ((f"/{index}", one) for index, one in enumerate(document))
    else:
        yield "", document


def _is_one(document: list[Any]) -> bool:
    """Whether a list is a notation itself: names of operations, or stages."""
    first = document[0]
    if isinstance(first, str):
        return not any(mark in first for mark in "|(-")
    return isinstance(first, dict) and ("kernel" in first or "stride" in first)


def _of_line(file: Path, number: int, line: bytes) -> Any:
    text = line.decode("utf-8", "replace").strip()
    if text[0] not in '{["':  # the bare string of a cell, a code or a genotype
        return text
    try:
        return from_json(text)
    except ValueError as error:
        raise ValueError(
            f"{file}: line {number}: {not_json(str(error)).replace('(line 1 column', '(column')}"
        ) from None


def _network(file: Path, place: str, given: Any, space: str) -> dict[str, Any]:
    """Return a network that a request may hold.

    Raises:
        ValueError: one line with the place and what is wrong there.
    """
    where = f"{file}: {place}: " if place else f"{file}: "
    notation = given["arch"] if isinstance(given, dict) and "arch" in given else given
    try:
        if isinstance(notation, str) and notation.lstrip().startswith("{"):
            notation = from_json(notation)
        layers = SPACES[space].read(notation)
    except NotationError as error:
        raise ValueError(f"{where}{error} (a notation of {space}: {SPACES[space].form})") from None
    except ValueError as error:
        raise ValueError(f"{where}arch is {not_json(str(error))}") from None
    if len(layers) > MAX_LAYERS:
        raise ValueError(f"{where}makes {len(layers)} layers, the limit is {MAX_LAYERS}")
    name = given.get("id") if isinstance(given, dict) else None
    return ({"id": str(name)[:MAX_ID]} if name is not None else {}) | {"layers": layers}
