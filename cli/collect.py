"""`peephole sample`, `peephole collect` and `peephole train`."""

import importlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cli.networks import File, read_networks
from cli.plain import plain_console
from model.network.hashing import canonical_hash
from model.network.schema import Architecture
from training.measuring.collect import Job, plan
from training.measuring.collect import collect as collect_networks
from training.measuring.durations import parse_duration
from training.measuring.journal import Journal
from training.observations.observation import Observation
from training.observations.read import read
from training.protocols import PROTOCOLS, Protocol

_NAMES = ", ".join(PROTOCOLS)


def _protocol(name: str) -> Protocol:
    if name not in PROTOCOLS:
        raise typer.BadParameter(f"{name!r} is not a protocol; there are {_NAMES}")
    return PROTOCOLS[name]


ProtocolOption = Annotated[Protocol, typer.Option(parser=_protocol, metavar="NAME", help=f"One of {_NAMES}.")]


def _summary(row: Observation) -> str:
    return f"{row.accuracy[-1]:.3f} after {len(row.accuracy)} epochs, {row.seconds:.0f} s ({row.status})"


def _on_cluster(address: str) -> Callable[..., int]:
    try:
        module = importlib.import_module("training.measuring.ray_collect")
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise typer.BadParameter("Ray is not installed; pip install '.[cluster]'") from None
    return partial(module.collect, address=address)


def sample(
    protocol: ProtocolOption,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many networks.")] = 5,
    skip: Annotated[int, typer.Option(min=0, help="Leave out this many of the population first.")] = 0,
) -> None:
    """Print networks of a protocol's population as JSON, ready for `peephole predict` and `POST /predict`."""
    architectures = [
        Architecture(id=one.network_id, in_channels=protocol.in_channels, layers=one.layers).model_dump(
            mode="json", exclude_none=True
        )
        for one in islice(protocol.population(), skip, skip + count)
    ]
    typer.echo(json.dumps({"architectures": architectures}))


Out = Annotated[Path, typer.Option(help="Table, NAME.parquet; rows it already has are kept and not measured again.")]
Seeds = Annotated[int, typer.Option(min=1, help="Train each network under this many seeds.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes, one thread each; all cores by default.")]


def _device(name: str) -> str:
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:  # AssertionError: this PyTorch was built without CUDA
        raise typer.BadParameter(f"{name!r}: {str(error).splitlines()[0]}") from None
    return name


Device = Annotated[
    str,
    typer.Option(parser=_device, metavar="NAME", help="Where networks are trained: cpu, cuda, cuda:1."),
]
TimeLimit = Annotated[
    float, typer.Option(parser=parse_duration, metavar="90m", help="Stop after this long: 90m, 2h, 45s.")
]


def _measure(collector: Callable[..., int], protocol: Protocol, out: Path, jobs: Sequence[Job]) -> None:
    """Run jobs behind a progress bar."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, speed_estimate_period=600, console=plain_console()) as progress:
        bar = progress.add_task(protocol.name, total=len(jobs), rate="")

        def on_start(done: int, total: int) -> None:
            progress.reset(bar, total=total, completed=done)
            if done:
                progress.console.print(f"{done} of {total} runs are already in {out}")

        def on_row(row: Observation) -> None:
            progress.advance(bar)
            speed = progress.tasks[0].speed
            progress.update(bar, rate=f"{3600 * speed:.0f} networks/h" if speed else "")
            progress.console.print(_summary(row), style="dim", highlight=False)

        with Journal(out).alone():
            added = collector(protocol, out, jobs, on_start=on_start, on_row=on_row)
    typer.echo(f"{added} rows added to {out}")


def collect(
    protocol: ProtocolOption,
    networks: Annotated[int, typer.Option(min=1, help="How many networks of the population to train.")],
    out: Out,
    seeds: Seeds = 1,
    only_held_out: Annotated[
        bool,
        typer.Option("--held-out", help="Count and train only networks of the test split: its noise ceiling."),
    ] = False,
    workers: Workers = None,
    device: Device = "cpu",
    time_limit: TimeLimit = float("inf"),
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Train on a Ray cluster instead: host:6379, or auto on one.")
    ] = None,
) -> None:
    """Train sampled networks and record their learning curves.

    Finished networks are on disk at once (JSON Lines beside the table, folded into it now and then and at the end), so
    that a kill loses at most the networks in flight. Run the same command again to go on.

    With `--device cuda` the processes share one GPU. NVIDIA's multi-process service, `nvidia-cuda-mps-control -d`
    before it, lets their networks run at the same time instead of in turns.

    Example: `peephole collect --protocol digits-mini --networks 20 --out digits.parquet`
    """
    if ray is not None and (workers is not None or device != "cpu"):
        raise typer.BadParameter("the cluster decides on --workers and --device; leave them out", param_hint="--ray")
    collector = partial(collect_networks, workers=workers, device=device) if ray is None else _on_cluster(ray)
    measured = read(out) if only_held_out and out.is_file() else ()
    jobs = plan(protocol, networks, seeds, only_held_out=only_held_out, measured=measured)
    _measure(partial(collector, time_limit=time_limit), protocol, out, jobs)


def train(
    file: File,
    protocol: ProtocolOption,
    out: Out,
    seeds: Seeds = 1,
    workers: Workers = None,
    device: Device = "cpu",
    time_limit: TimeLimit = float("inf"),
) -> None:
    """Train networks of your own, or those that were selected, and record their learning curves.

    Works as `peephole collect` does, and fills the same kind of table.

    Example: `peephole select --task mnist-mini --json | peephole train - --protocol mnist-mini --out best.parquet`
    """
    networks = read_networks(file)
    for index, network in enumerate(networks.architectures):
        if network.in_channels not in {None, protocol.in_channels}:
            message = f"{network.in_channels}, but images of {protocol.name} have {protocol.in_channels}"
            raise networks.error("architectures", index, "in_channels", message=message)
    jobs = [
        Job(canonical_hash(one.layers, protocol.in_channels), one.layers, seed)
        for one in networks.architectures
        for seed in range(seeds)
    ]
    _measure(partial(collect_networks, workers=workers, device=device, time_limit=time_limit), protocol, out, jobs)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(sample)
    app.command()(collect)
    app.command()(train)
