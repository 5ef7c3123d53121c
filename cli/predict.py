"""`peephole predict`, `peephole encode` and `peephole serve`."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cli.networks import File, Networks, read_networks
from cli.plain import plain_console
from model.accuracies import ranks, rounded
from model.artifact import Card, read_artifact, shipped
from model.encoding.layer_code import CodeError, encode_architecture, pad
from model.network.schema import Architecture
from model.runtime import Curves, Predictor

_SHIPPED = ", ".join(folder.name for folder in shipped())
Task = Annotated[str | None, typer.Option(metavar="NAME", help=f"Which shipped predictor, one of {_SHIPPED}.")]
Artifact = Annotated[Path | None, typer.Option(help="Folder of another artifact.")]
Clamp = Annotated[bool, typer.Option(help="Take the outermost bin for channel ratios outside the table.")]


def load(task: str | None, artifact: Path | None) -> Predictor:
    """Return a shipped predictor by its task, or the one in a folder."""
    if artifact is not None:
        predictor = Predictor(read_artifact(artifact))
        if task not in {None, predictor.card.task}:
            raise ValueError(f"--task is {task!r}, but {artifact} predicts {predictor.card.task!r}; give one of them")
        return predictor
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


def _load_for(networks: Networks, task: str | None, artifact: Path | None) -> Predictor:
    """Return the predictor that the options name, else the one of the task that the file names."""
    said = networks.body.task
    if said is None or said == task:
        return load(task, artifact)
    if task is not None:
        raise networks.error("task", message=f"is {said!r}, but --task is {task!r}")
    if artifact is None:
        try:
            return load(said, None)
        except ValueError as error:
            raise networks.error("task", message=str(error)) from error
    predictor = load(None, artifact)
    if predictor.card.task != said:
        raise networks.error("task", message=f"is {said!r}, but {artifact} predicts {predictor.card.task!r}")
    return predictor


def _encode(networks: Networks, card: Card, *, clamp: bool) -> list[Any]:
    encodings = []
    clamp = clamp or networks.body.out_of_range == "clamp"
    for index, architecture in enumerate(networks.architectures):
        try:
            encodings.append(encode_architecture(architecture, card.layer_code, card.image, clamp=clamp).codes)
        except CodeError as error:
            faults = []
            for fault in error.faults:
                inside = ("layers", fault.layer, fault.field)
                place = ("in_channels",) if fault.field == "in_channels" else inside
                faults.append(f"{networks.pointer('architectures', index, *place)}: {fault.message}")
            raise ValueError(f"{networks.file}: {'; '.join(faults)}") from error
    return encodings


def _records(
    architectures: list[Architecture], curves: Curves, card: Card, epochs: Sequence[int]
) -> list[dict[str, Any]]:
    last = epochs.index(max(epochs))
    final = curves.accuracy[:, last]
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

    Of a request body, `task`, `epochs` and `out_of_range` count as they do in `POST /predict`; the options may not
    contradict its `task`.

    Example: `peephole sample --protocol mnist-mini -n 5 | peephole predict - --task mnist-mini`
    """
    networks = read_networks(file)
    predictor = _load_for(networks, task, artifact)
    card = predictor.card
    epochs = networks.epochs(card.epochs, card.task)
    codes, lengths = pad(_encode(networks, card, clamp=clamp))
    records = _records(networks.architectures, predictor.run(codes, lengths, epochs), card, epochs)
    if as_json:
        typer.echo(json.dumps({"task": card.task, "epochs": epochs, "predictions": records}))
        return
    last = epochs.index(max(epochs))
    table = Table(title=f"{card.task}: accuracy after {epochs[last]} epochs")
    for heading in ("rank", "id", "accuracy", "90 % interval", ""):
        table.add_column(heading)
    for record in sorted(records, key=lambda record: record["rank"]):
        interval = f"{record['lower'][last]:.3f} to {record['upper'][last]:.3f}"
        remark = "" if record["in_distribution"] else "unlike the networks it learned from"
        table.add_row(str(record["rank"]), record["id"], f"{record['final_accuracy']:.3f}", interval, remark)
    plain_console().print(table)


def encode(file: File, task: Task = None, artifact: Artifact = None, clamp: Clamp = False) -> None:
    """Print the integer codes of networks: one row a layer, ready for a request's `codes`."""
    networks = read_networks(file)
    card = _load_for(networks, task, artifact).card
    encodings = _encode(networks, card, clamp=clamp)
    typer.echo(
        json.dumps(
            {
                "code": card.code,
                "columns": card.layer_code.columns,
                "architectures": [
                    {"id": architecture.id or str(index), "codes": codes.tolist()}
                    for index, (architecture, codes) in enumerate(zip(networks.architectures, encodings, strict=True))
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
