"""`peephole collect` and `peephole train`: train networks and record their learning curves."""

import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import progress_bar
from cli.networks import FileArgument, Networks, read_networks
from cli.options import ProtocolOption, SpaceOption
from model.encoding.layer_code import EXTENDED, encode
from model.network.faults import Fault, pointer
from model.network.graph import NetworkError
from model.network.hashing import canonical_hash
from model.requests.schema import Candidate
from training.protocols import TrainingProtocol

if TYPE_CHECKING:
    from training.measuring.collect import Backend, Job
    from training.observations.observation import Observation


def parse_duration(text: str | float) -> float:
    """Return the seconds of `45s`, `90m`, `1.5h` or a plain number of seconds; the parser of `--time-limit`."""
    if isinstance(text, float):  # the default
        return text
    import pandas as pd

    try:
        seconds = pd.Timedelta(text if text[-1:].isalpha() else f"{text}s").total_seconds()
    except ValueError:
        seconds = -1
    if not seconds >= 0:
        raise typer.BadParameter(f"{text!r} is not a duration; write 45s, 90m or 2h")
    return seconds


OutOption = Annotated[
    Path, typer.Option("--out", help="Table, NAME.parquet; rows it already has are kept and not measured again.")
]
SeedsOption = Annotated[int, typer.Option("--seeds", min=1, help="Train each network under this many seeds.")]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes, one thread each; all cores by default.")
]
DeviceOption = Annotated[
    str, typer.Option("--device", metavar="NAME", help="Where networks are trained: cpu, cuda, cuda:1.")
]
TimeLimitOption = Annotated[
    float, typer.Option("--time-limit", parser=parse_duration, metavar="90m", help="Stop after: 90m, 2h, 45s.")
]


def collect(
    protocol: ProtocolOption,
    networks: Annotated[int, typer.Option(min=1, help="How many networks of the population to train.")],
    out: OutOption,
    seeds: SeedsOption = 1,
    space: SpaceOption = "paper",
    only_held_out: Annotated[bool, typer.Option("--held-out", help="Only networks of the test split.")] = False,
    workers: WorkersOption = None,
    device: DeviceOption = "cpu",
    time_limit: TimeLimitOption = float("inf"),
    ray: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Ray cluster: host:6379, or auto on one.")] = None,
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
    from training.measuring.collect import plan
    from training.observations.read import read

    backend = _this_machine(workers, device) if ray is None else _cluster(ray)
    measured = read(out) if only_held_out and out.is_file() else ()
    jobs = plan(protocol, networks, seeds, space=space, only_held_out=only_held_out, measured=measured)
    _measure(protocol, out, jobs, backend, time_limit)


def train(
    file: FileArgument,
    protocol: ProtocolOption,
    out: OutOption,
    seeds: SeedsOption = 1,
    workers: WorkersOption = None,
    device: DeviceOption = "cpu",
    time_limit: TimeLimitOption = float("inf"),
) -> None:
    """Train networks of your own, or those that were selected, and record their learning curves.

    Works as `peephole collect` does, and fills the same kind of table.

    Example: `peephole select --task mnist-mini --json | peephole train - --protocol mnist-mini --out best.parquet`
    """
    networks = read_networks(file)
    for index, network in enumerate(networks.architectures):
        check_network(network, index, protocol, networks)
    from training.measuring.collect import Job

    jobs = [
        Job(canonical_hash(one["layers"], protocol.image), one["layers"], seed)
        for one in networks.architectures
        for seed in range(seeds)
    ]
    _measure(protocol, out, jobs, _this_machine(workers, device), time_limit)


def check_network(network: Candidate, index: int, protocol: TrainingProtocol, networks: Networks) -> None:
    """Reject a network that cannot be built for the protocol's images, or that no predictor could read."""
    path = ("architectures", index)
    if network.get("in_channels") not in {None, protocol.in_channels}:
        detail = f"the images of {protocol.name} have {protocol.in_channels} channels"
        raise networks.error(Fault(pointer(*path, "in_channels"), "impossible", detail))
    try:
        encode(network["layers"], EXTENDED, protocol.image)
    except NetworkError as error:
        places = [(pointer(*path, "layers", one.layer, one.field), one.message) for one in error.faults]
        raise networks.error(*(Fault(where, "impossible", message) for where, message in places)) from None


def check_device(device: str) -> None:
    """Reject a device that PyTorch does not have."""
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: this PyTorch was built without CUDA
        message = f"{device!r}: {str(error).splitlines()[0]}"
        raise typer.BadParameter(message, param_hint="--device") from None


def _this_machine(workers: int | None, device: str) -> "Backend":
    from training.measuring.processes import processes

    check_device(device)
    return partial(processes, workers=workers, device=device)


def _cluster(address: str) -> "Backend":
    from training.measuring.ray_cluster import ray_cluster

    return partial(ray_cluster, address=address)


def _measure(
    protocol: TrainingProtocol, out: Path, jobs: "Sequence[Job]", backend: "Backend", time_limit: float
) -> None:
    """Run jobs; print a line for each, and a bar on a terminal."""
    from training.measuring.collect import collect as collect_rows
    from training.measuring.journal import Journal

    progress = progress_bar(stderr=False, speed_seconds=600)
    bar = progress.add_task(protocol.name, total=len(jobs))
    before = done = 0
    began = time.monotonic()

    def on_start(measured: int, total: int) -> None:
        nonlocal before, done, began
        before, done, began = measured, measured, time.monotonic()
        progress.reset(bar, total=total, completed=measured)
        progress.start()  # not before: what is missing is said first
        if measured:
            progress.console.print(f"{measured} of {total} runs are already in {out}")

    def on_row(row: "Observation") -> None:
        nonlocal done
        done += 1
        progress.advance(bar)
        left = (time.monotonic() - began) / (done - before) * (len(jobs) - done)
        measured = f"{row.accuracy[-1]:.3f} after {len(row.accuracy)} epochs, {row.seconds:.0f} s ({row.status})"
        remaining = f"{timedelta(seconds=round(left))} left"
        progress.console.print(f"{done}/{len(jobs)}  {row.network_id}  {measured}, {remaining}", style="dim")

    lost: list[str] = []

    def on_lost(job: "Job") -> None:
        lost.append(job.network_id)
        progress.console.print(f"{job.network_id}: its process died; the others go on", style="yellow")

    run = partial(collect_rows, time_limit=time_limit, on_start=on_start, on_row=on_row, on_lost=on_lost)
    try:
        with Journal(out).alone():
            added = run(protocol, out, jobs, backend)
    finally:
        progress.stop()
    typer.echo(f"{added} rows added to {out}")
    if lost:
        raise RuntimeError(
            f"without a row, as their process died: {', '.join(lost)}; the same command tries them again"
        )
