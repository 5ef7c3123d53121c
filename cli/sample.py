"""`peephole sample` and `peephole select`: networks drawn as a protocol draws them, and the best of many."""

import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import console, print_table, progress_bar
from cli.options import TASKS, ArtifactOption, ProtocolOption, SpaceOption, choose_artifact
from model.artifact import Card
from model.network.schema import Layer
from model.sampling.population import SampledNetwork
from training.protocols import PROTOCOLS, TrainingProtocol

if TYPE_CHECKING:
    from training.selection.select import Selected

SAMPLED_TASKS = ", ".join(name for name in TASKS if name in PROTOCOLS)
_SHORT = {"batch_norm": "bn", "max_pool": "max", "avg_pool": "avg"}


def _architectures(networks: Iterable[SampledNetwork], in_channels: int) -> list[dict[str, Any]]:
    return [{"id": one.network_id, "in_channels": in_channels, "layers": one.layers} for one in networks]


def sample(
    protocol: ProtocolOption,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many networks.")] = 5,
    skip: Annotated[int, typer.Option(min=0, help="Leave out this many of the population first.")] = 0,
    space: SpaceOption = "paper",
    as_lines: Annotated[bool, typer.Option("--jsonl", help="Print JSON Lines, a network a line.")] = False,
) -> None:
    """Print random networks of a protocol: the JSON body of a request to POST /predict.

    Networks come in an order that never changes; `collect` trains them in the same order.

    Example: `peephole sample --protocol mnist-mini -n 5 | peephole predict -`
    """
    chosen = islice(protocol.population(space=space), skip, skip + count)
    architectures = _architectures(chosen, protocol.in_channels)
    if as_lines:
        for one in architectures:
            typer.echo(json.dumps(one))
        return
    task = {"task": protocol.name} if protocol.name in TASKS else {}
    typer.echo(json.dumps({**task, "architectures": architectures}))


def select(
    task: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"Whose networks, and which shipped predictor: one of {SAMPLED_TASKS}."),
    ] = None,
    artifact: ArtifactOption = None,
    candidates: Annotated[int, typer.Option(min=1, help="How many distinct networks to sample.")] = 10_000,
    top: Annotated[int, typer.Option(min=1, help="How many of the best to show.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Fixes which networks are sampled, and their order.")] = 0,
    width: Annotated[
        int | None,
        typer.Option("--widen", min=1, metavar="W", help="Also write them W, 2 W and 4 W channels wide."),
    ] = None,
    full: Annotated[bool, typer.Option("--full-resolution", help="With --widen: for images of full size.")] = False,
    out: Annotated[Path | None, typer.Option(help="With --widen: where to write.", show_default="selected")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the body of a request to POST /predict.")] = False,
) -> None:
    """Find good networks: sample many, predict them all, show the best. Nothing is trained.

    Networks are sampled by the protocol that is named like the task. `--widen` writes each as JSON;
    `model.torch_modules.build` makes a PyTorch module of its layers.

    Example: `peephole select --task mnist-mini --candidates 10000 --top 5`
    """
    for option, given in (("--full-resolution", full), ("--out", out is not None)):
        if width is None and given:
            raise typer.BadParameter(f"{option} needs --widen", param_hint=option)
    from model.runtime import Predictor
    from training.selection.select import protocol_of
    from training.selection.select import select as find_best

    predictor = Predictor(choose_artifact(task, artifact))
    card, protocol = predictor.card, protocol_of(predictor)
    with progress_bar() as progress:
        bar = progress.add_task("sampling and predicting", total=candidates)
        found = find_best(
            predictor,
            candidates=candidates,
            top=top,
            seed=seed,
            on_candidates=lambda count: progress.advance(bar, count),
        )
    if as_json:
        architectures = _architectures((one.network for one in found), card.in_channels)
        typer.echo(json.dumps({"task": card.task, "architectures": architectures}))
    else:
        _show(found, card, candidates)
    if width is not None:
        _write(found, card, protocol, out or Path("selected"), width, full=full)


def _show(found: "list[Selected]", card: Card, sampled: int) -> None:
    headings = ("rank", "id", "accuracy", f"{card.interval_level:.0%} interval", "params", "in distribution", "block")
    rows = [
        (
            str(rank),
            one.network.network_id,
            f"{one.accuracy:.4f}",
            f"{one.lower:.3f} to {one.upper:.3f}",
            f"{one.params:,}",
            "yes" if one.in_distribution else "no",
            ", ".join(map(_brief, one.network.block)),
        )
        for rank, one in enumerate(found, start=1)
    ]
    print_table(f"{card.task}: best of {sampled} networks, predicted after {card.epochs} epochs", headings, rows)
    alike = sum(one.accuracy >= found[0].lower for one in found)
    if alike > 1:
        console().print(
            f"The first {alike} are within the interval of the best: their order is not reliable. Train several."
        )


def _brief(layer: Layer) -> str:
    """Return a layer in a few characters: `conv 3x5 x1.5` is height, width and channel ratio."""
    kernel, ratio = layer.get("kernel_size"), layer.get("channel_ratio")
    size = f" {kernel[0]}x{kernel[1]}" if isinstance(kernel, tuple) else ""
    return _SHORT.get(layer["type"], layer["type"]) + size + (f" x{ratio:g}" if isinstance(ratio, float) else "")


def _write(
    found: "list[Selected]", card: Card, protocol: TrainingProtocol, out: Path, width: int, *, full: bool
) -> None:
    """Write each network as JSON."""
    from training.selection.widen import widen

    out.mkdir(parents=True, exist_ok=True)
    for rank, one in enumerate(found, start=1):
        widened = widen(one.network.block, protocol, width=width, full_resolution=full)
        name = f"{card.task}-{rank}-width{width}".replace("-", "_").replace(".", "_")
        (out / f"{name}.json").write_text(json.dumps(widened.architecture) + "\n")
        typer.echo(f"written to {out / name}.json", err=True)
