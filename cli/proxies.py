"""`peephole proxies`: zero-cost scores of networks."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cli.console import progress_bar
from cli.measure import check_device, check_network
from cli.networks import FileArgument, read_networks
from training.protocols import PROTOCOLS


def proxies(
    file: FileArgument,
    images: Annotated[
        Literal["mnist", "cifar10", "digits"], typer.Option(help="On the images of the small protocol of this name.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Networks with their `proxies`, as JSON Lines; of a table, the table. [FILE.proxies.jsonl]"),
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="cpu, cuda or cuda:1.")] = "cpu",
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes, of one thread each.")] = 1,
) -> None:
    """Measure zero-cost proxies: scores of untrained networks, which tell more than their layers do.

    A network takes less than a second on a core. The networks go with their scores into `peephole predict` and POST
    /predict. FILE may also be a Parquet table of measured networks, which gains the column `proxies` for `peephole
    fit`. Run the same command again to go on.

    Example: `peephole sample --protocol cifar10-mini -n 5 > some.json; peephole proxies some.json --images cifar10`
    """
    from training.measuring.scoring import ScoreFile, score_all

    check_device(device)
    protocol = PROTOCOLS[f"{images}-mini"]
    is_table = file.suffix == ".parquet"
    if out is None and str(file) == "-":
        raise typer.BadParameter("needed with networks from standard input", param_hint="--out")
    target = out or (file if is_table else file.with_suffix(".proxies.jsonl"))
    known = ScoreFile(target.with_suffix(".proxies.jsonl") if is_table else target, protocol.image)
    networks: list[dict[str, Any]]
    if is_table:
        from training.observations.read import read

        rows = read(file)
        networks = [{"layers": row.layers} for row in rows]
    else:
        found = read_networks(file)
        for index, one in enumerate(found.architectures):
            check_network(one, index, protocol, found)
        networks = [{name: one[name] for name in ("id", "layers") if name in one} for one in found.architectures]
    with progress_bar() as progress:
        bar = progress.add_task(images, total=len(networks))
        scores = score_all(
            networks,
            known,
            protocol,
            device=device,
            workers=workers,
            on_start=lambda done, total: progress.reset(bar, total=total, completed=done),
            on_score=lambda: progress.advance(bar),
        )
    if is_table:
        from training.measuring.scoring import write_scores

        write_scores(file, target, rows, scores)
        known.path.unlink()
    typer.echo(f"the scores are in {target}", err=True)
