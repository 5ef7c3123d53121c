"""`peephole predict`, `peephole encode` and `peephole serve`."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from rich.table import Table

from cli.files import existing
from cli.plain import plain_console
from model.accuracies import ranks, rounded
from model.architecture import Architecture
from model.artifact import Card, read_artifact, shipped
from model.runtime import Curves, Predictor
from model.ulc import CodeError, encode_architecture, pad

_ARCHITECTURES: TypeAdapter[list[Architecture]] = TypeAdapter(list[Architecture])
File = Annotated[
    Path, typer.Argument(help="JSON: an architecture, a list of them, or a request body; `-` reads standard input.")
]
_SHIPPED = ", ".join(folder.name for folder in shipped())
Task = Annotated[str | None, typer.Option(metavar="NAME", help=f"Which shipped predictor, one of {_SHIPPED}.")]
Artifact = Annotated[Path | None, typer.Option(help="Folder of another artifact.")]
Clamp = Annotated[bool, typer.Option(help="Take the outermost bin for channel ratios outside the table.")]


def _fault(error: ErrorDetails) -> str:
    """Return where validation found a mistake, as a JSON Pointer, and what it is."""
    loc, kind = list(error["loc"]), error["type"]
    if not loc:
        return "not an architecture, a list of them, or a request body"
    if "layers" in loc:
        place = loc.index("layers") + 2
        del loc[place : place + 1]  # the layer's type, which is no part of the JSON
    where = "/" + "/".join(map(str, loc))
    if kind == "union_tag_invalid":
        return f"{where}/type: must be one of {error['ctx']['expected_tags']}"
    if kind == "union_tag_not_found":
        return f"{where}: a layer is an object with a `type`"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}"


def read_architectures(file: Path) -> list[Architecture]:
    """Read networks from JSON in any of the forms that `File` names.

    Raises:
        ValueError: saying what is wrong with the file, or where the JSON is wrong.
    """
    read = sys.stdin.buffer.read() if str(file) == "-" else existing(file).read_bytes()
    try:
        content = json.loads(read.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not JSON: not UTF-8 ({error.reason} at byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}: not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from error
    if isinstance(content, dict):
        content = content.get("architectures", [content] if "layers" in content else content)
    if isinstance(content, list) and content and all(isinstance(item, dict) and "type" in item for item in content):
        content = [{"layers": content}]
    try:
        networks = _ARCHITECTURES.validate_json(json.dumps(content))
    except ValidationError as error:
        raise ValueError(f"{file}: {_fault(error.errors(include_input=False)[0])}") from error
    if not networks:
        raise ValueError(f"{file}: holds no network")
    return networks


def load(task: str | None, artifact: Path | None) -> Predictor:
    """Return a shipped predictor by its task, or the one in a folder."""
    if artifact is not None:
        return Predictor(read_artifact(artifact))
    folders = {folder.name: folder for folder in shipped()}
    if task is None and len(folders) == 1:
        (task,) = folders
    if task not in folders:
        raise ValueError(
            f"choose a predictor with --task: {', '.join(folders)}"
            if task is None
            else f"no predictor for {task!r}; there are {', '.join(folders)}"
        )
    return Predictor(read_artifact(folders[task]))


def _encode(architectures: list[Architecture], card: Card, *, clamp: bool) -> list[Any]:
    encodings = []
    for index, architecture in enumerate(architectures):
        try:
            encodings.append(encode_architecture(architecture, card.layer_code, card.image, clamp=clamp).codes)
        except CodeError as error:
            where = "; ".join(f"/architectures/{index}{fault}" for fault in error.faults)
            raise ValueError(where) from error
    return encodings


def _records(architectures: list[Architecture], curves: Curves, card: Card) -> list[dict[str, Any]]:
    final = curves.accuracy[:, -1]
    places = ranks(rounded(final).tolist())
    return [
        {
            "id": architecture.id or str(index),
            "accuracy": curves.accuracy[index].tolist(),
            "lower": curves.lower[index].tolist(),
            "upper": curves.upper[index].tolist(),
            "final_accuracy": float(final[index]),
            "rank": places[index],
            "in_distribution": bool(curves.distance[index] <= card.distance_threshold),
        }
        for index, architecture in enumerate(architectures)
    ]


def predict(
    file: File,
    task: Task = None,
    artifact: Artifact = None,
    clamp: Clamp = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print whole curves as JSON.")] = False,
) -> None:
    """Predict the learning curves of networks before they are trained.

    Example: `peephole sample --protocol mnist-mini -n 5 | peephole predict - --task mnist-mini`
    """
    architectures = read_architectures(file)
    predictor = load(task, artifact)
    card = predictor.card
    codes, lengths = pad(_encode(architectures, card, clamp=clamp))
    records = _records(architectures, predictor.run(codes, lengths, range(1, card.epochs + 1)), card)
    if as_json:
        typer.echo(json.dumps({"task": card.task, "epochs": list(range(1, card.epochs + 1)), "predictions": records}))
        return
    table = Table(title=f"{card.task}: accuracy after {card.epochs} epochs")
    for heading in ("rank", "id", "accuracy", "90 % interval", ""):
        table.add_column(heading)
    for record in sorted(records, key=lambda record: record["rank"]):
        interval = f"{record['lower'][-1]:.3f} to {record['upper'][-1]:.3f}"
        remark = "" if record["in_distribution"] else "unlike the networks it learned from"
        table.add_row(str(record["rank"]), record["id"], f"{record['final_accuracy']:.3f}", interval, remark)
    plain_console().print(table)


def encode(file: File, task: Task = None, artifact: Artifact = None, clamp: Clamp = False) -> None:
    """Print the integer codes of networks: one row a layer, ready for a request's `codes`."""
    card = load(task, artifact).card
    architectures = read_architectures(file)
    encodings = _encode(architectures, card, clamp=clamp)
    typer.echo(
        json.dumps(
            {
                "code": card.code,
                "columns": card.layer_code.columns,
                "architectures": [
                    {"id": architecture.id or str(index), "codes": codes.tolist()}
                    for index, (architecture, codes) in enumerate(zip(architectures, encodings, strict=True))
                ],
            }
        )
    )


def serve(
    host: Annotated[str, typer.Option(envvar="HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="PORT", help="Port to listen on.")] = 8000,
) -> None:
    """Start the HTTP service; every other setting is an environment variable (docs/operations.md)."""
    os.environ |= {"HOST": host, "PORT": str(port)}
    from service.start import main  # noqa: PLC0415 - only this command needs the serving packages

    raise typer.Exit(main())


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(predict)
    app.command()(encode)
    app.command()(serve)
