"""`peephole select`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from cli.plain import plain_console
from cli.predict import Artifact, load
from model.artifact import Card, shipped
from model.network.schema import Architecture, Layer
from training.protocols import PROTOCOLS, Protocol
from training.selection.select import Selected, protocol_of, select
from training.selection.widen import to_source, widen

_TASKS = ", ".join(folder.name for folder in shipped() if folder.name in PROTOCOLS)
_SHORT = {"batch_norm": "bn", "max_pool": "max", "avg_pool": "avg"}


def _brief(layer: Layer) -> str:
    """Return a layer in a few characters: `conv 3x5 x1.5` is height, width and channel ratio."""
    name = _SHORT.get(layer.type, layer.type)
    kernel = getattr(layer, "kernel_size", None)
    ratio = getattr(layer, "channel_ratio", None)
    return name + (f" {kernel[0]}x{kernel[1]}" if kernel else "") + (f" x{ratio:g}" if ratio else "")


def _show(found: list[Selected], card: Card, sampled: int) -> None:
    table = Table(title=f"{card.task}: best of {sampled} networks, predicted after {card.epochs} epochs", box=SIMPLE)
    for heading in ("rank", "id", "accuracy", f"{100 * card.interval_level:.0f} % interval", "params"):
        table.add_column(heading, no_wrap=True)
    table.add_column("block")
    for rank, one in enumerate(found, start=1):
        table.add_row(
            str(rank),
            one.network.network_id,
            f"{one.accuracy:.4f}",
            f"{one.lower:.3f} to {one.upper:.3f}",
            f"{one.params:,}",
            ", ".join(map(_brief, one.network.block))
            + ("" if one.familiar else " (unlike the networks it learned from)"),
        )
    plain_console().print(table)


def _write(found: list[Selected], card: Card, protocol: Protocol, out: Path, width: int, *, full: bool) -> None:
    """Write each network as a layer list (JSON) and as a PyTorch module (`.py`)."""
    out.mkdir(parents=True, exist_ok=True)
    for rank, one in enumerate(found, start=1):
        widened = widen(one.network.block, protocol, width=width, full_resolution=full)
        name = f"{card.task}-{rank}-width{width}".replace("-", "_").replace(".", "_")
        title = (
            f"Block {one.network.network_id} of {card.task} at width {width}: rank {rank}; predicted at width "
            f"{protocol.width}: {one.accuracy:.3f} ({one.lower:.3f} to {one.upper:.3f})."
        )
        (out / f"{name}.json").write_text(widened.architecture.model_dump_json(exclude_none=True) + "\n")
        (out / f"{name}.py").write_text(to_source(widened, title))
        typer.echo(f"written to {out / name}.json and .py", err=True)


def select_networks(
    task: Annotated[
        str | None, typer.Option(metavar="NAME", help=f"Whose networks, and which shipped predictor: one of {_TASKS}.")
    ] = None,
    artifact: Artifact = None,
    candidates: Annotated[int, typer.Option("--from", min=1, help="How many distinct networks to sample.")] = 10_000,
    top: Annotated[int, typer.Option(min=1, help="How many of the best to show.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Fixes which networks are sampled, and their order.")] = 0,
    width: Annotated[
        int | None,
        typer.Option(
            "--widen",
            min=1,
            help="Also write the networks with stages of W, 2 W and 4 W channels, as JSON and as PyTorch modules.",
            metavar="W",
        ),
    ] = None,
    full_resolution: Annotated[
        bool, typer.Option("--full-resolution", help="With --widen: for the data set's images as they are.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="With --widen: where to write.", show_default="selected")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a body for POST /predict.")] = False,
) -> None:
    """Find good networks: sample many, predict them all, show the best with their 90 % intervals.

    Networks are sampled as the protocol that is named like the task does; nothing is trained.

    Example: `peephole select --task mnist-mini --from 10000 --top 5 --widen 16`
    """
    predictor = load(task, artifact)
    card, protocol = predictor.card, protocol_of(predictor)
    for option, given in (("--full-resolution", full_resolution), ("--out", out is not None)):
        if width is None and given:
            raise typer.BadParameter(f"{option} needs --widen", param_hint=option)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=plain_console(stderr=True)) as progress:
        bar = progress.add_task("sampling and predicting", total=candidates)
        found = select(
            predictor,
            candidates=candidates,
            top=top,
            seed=seed,
            on_candidates=lambda count: progress.advance(bar, count),
        )
    if as_json:
        networks = [
            Architecture(id=one.network.network_id, in_channels=card.in_channels, layers=one.network.layers)
            for one in found
        ]
        dumped = [network.model_dump(mode="json", exclude_none=True) for network in networks]
        typer.echo(json.dumps({"task": card.task, "architectures": dumped}))
    else:
        _show(found, card, candidates)
    if width is not None:
        _write(found, card, protocol, out or Path("selected"), width, full=full_resolution)


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("select")(select_networks)
