"""`peephole tables`: public benchmarks as tables of observations."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import progress_bar


def tables(
    benchmark: Annotated[
        str, typer.Argument(metavar="NAME", help="nasbench101, nasbench201, transnas101 or accel_nasbench.")
    ],
    folder: Annotated[
        Path, typer.Option("--from", metavar="FOLDER", exists=True, file_okay=False, help="With the benchmark's table.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Table, NAME.parquet.")],
    task: Annotated[str | None, typer.Option(metavar="NAME", help="One of its tasks; all when not given.")] = None,
    count: Annotated[
        int | None, typer.Option("-n", "--count", min=1, help="Draw this many networks; all when not given.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Fixes which networks are drawn.")] = 0,
) -> None:
    """Turn the table of a public benchmark into a table that `fit` and `evaluate` read.

    The benchmarks' tables are not part of Peephole. Networks that compute the same share a side of the split.

    Example: `peephole tables nasbench201 --from benchmarks --task nasbench201-cifar10 -n 500 --out nasbench201.parquet`
    """
    from training.observations.benchmarks import BENCHMARKS, read_benchmark, write_benchmark

    if benchmark not in BENCHMARKS:
        raise typer.BadParameter(f"{benchmark!r} is not a benchmark; there are {', '.join(BENCHMARKS)}")
    records = read_benchmark(benchmark, folder, task=task, networks=count, seed=seed)
    with progress_bar() as progress:
        bar = progress.add_task("converting", total=None)
        rows = write_benchmark(out, records, lambda more: progress.advance(bar, more))
    typer.echo(f"{rows} rows written to {out}", err=True)
