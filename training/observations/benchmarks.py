"""Public benchmarks as tables of observations: a row of theirs becomes a row of ours.

A benchmark's table is Parquet with `task`, `arch` (a notation as JSON text, with its `space`) and `accuracy` (a list of
one: the final value). These tables are not part of the repository.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.encoding.layer_cache import LayerCache
from model.encoding.layer_code import EXTENDED
from model.network.hashing import canonical_hash
from model.network.notations import SPACES, NotationError
from model.network.shapes import Shape
from training.observations.observation import DEFAULT_CHANNELS, ObservationError, split_of
from training.observations.read import SCHEMA

BATCH = 1000  # rows of a part of a table that is written at once
TABLE_SCHEMA = pa.schema([*SCHEMA, ("epochs", pa.int32()), ("group", pa.string())])
Record = dict[str, Any]


@dataclass(frozen=True)
class BenchmarkTask:
    """A task of a benchmark.

    Attributes:
        name: what predictors call it.
        resolution: of its images, which have three channels.
        epochs: of training; the accuracy is measured after the last one. `None`: the source does not say.
    """

    name: str
    resolution: int
    epochs: int | None = None


@dataclass(frozen=True)
class Benchmark:
    """A public benchmark.

    Attributes:
        file: its table.
        tasks: by their names there; other tasks are left out.
        name_column: what the benchmark calls a network.
        group_column: which networks compute the same; these share a side of the split.
    """

    file: str
    tasks: dict[str, BenchmarkTask]
    name_column: str
    group_column: str | None = None


BENCHMARKS = {
    "nasbench101": Benchmark("nasbench101.parquet", {"cifar10": BenchmarkTask("nasbench101-cifar10", 32, 108)}, "hash"),
    "nasbench201": Benchmark(
        "nasbench201.parquet",
        {
            "cifar10": BenchmarkTask("nasbench201-cifar10", 32, 200),
            "cifar100": BenchmarkTask("nasbench201-cifar100", 32, 200),
            "imagenet16-120": BenchmarkTask("nasbench201-imagenet16-120", 16, 200),
        },
        "index",
        "iso_class",
    ),
    "transnas101": Benchmark(
        "transnas101.parquet",
        {
            "taskonomy_class_scene": BenchmarkTask("transnas101-class-scene", 256, 25),
            "taskonomy_jigsaw": BenchmarkTask("transnas101-jigsaw", 64, 10),
        },
        "code",
    ),
    "accel_nasbench": Benchmark(
        "accel_nasbench.parquet", {"imagenet": BenchmarkTask("accel-imagenet", 224)}, "model_id"
    ),
}


def read_benchmark(
    name: str, folder: Path, *, task: str | None = None, networks: int | None = None, seed: int = 0
) -> Iterator[Record]:
    """Yield the rows of a benchmark with the columns of a table of observations, in the order of their notations.

    Columns beside an observation's: `epochs`, and `group`, which is the same for networks that compute the same.
    `network_id` is the canonical hash; several rows of one network have different seeds. `layers` is a list.

    Args:
        name: of `BENCHMARKS`.
        folder: with its table.
        task: one of its tasks; all when not given.
        networks: how many to draw; all when not given. All tasks have the same ones.
        seed: of the draw.

    Raises:
        ObservationError: when the benchmark has no such task, or its table is missing or holds what it should not.
    """
    benchmark = BENCHMARKS[name]
    chosen = {key: one for key, one in benchmark.tasks.items() if task in {None, one.name}}
    if not chosen:
        raise ObservationError(
            f"{name} has no task {task}; it has {', '.join(t.name for t in benchmark.tasks.values())}"
        )
    rows = _rows(folder / benchmark.file, benchmark, list(chosen), networks, seed)
    yield from _records(rows, benchmark, chosen)


def _rows(file: Path, benchmark: Benchmark, tasks: list[str], networks: int | None, seed: int) -> pa.Table:
    """Return the chosen rows, equal networks next to each other."""
    if not file.exists():
        raise ObservationError(f"{file} does not exist")
    columns = {"task", "arch", "accuracy", benchmark.name_column, benchmark.group_column} - {None}
    with pq.ParquetFile(file) as opened:
        missing = columns - set(opened.schema_arrow.names)
        if missing:
            raise ObservationError(f"{file} has no column {', '.join(sorted(map(str, missing)))}")
        table = opened.read(columns=sorted(map(str, columns)))
    table = table.filter(pc.is_in(table["task"], pa.array(tasks)))
    if networks is not None:
        known = pc.unique(table["arch"]).sort()
        drawn = np.random.default_rng(seed).permutation(len(known))[:networks]
        table = table.filter(pc.is_in(table["arch"], known.take(pa.array(drawn))))
    return table.sort_by([("arch", "ascending"), ("task", "ascending")])


def _records(rows: pa.Table, benchmark: Benchmark, tasks: dict[str, BenchmarkTask]) -> Iterator[Record]:
    cache = LayerCache(EXTENDED)
    seeds: Counter[tuple[str, str]] = Counter()
    arch, network_id, layers = "", "", []
    for batch in rows.to_batches(BATCH):
        for row in batch.to_pylist():
            task = tasks[row["task"]]
            image = Shape(DEFAULT_CHANNELS, task.resolution, task.resolution)
            if row["arch"] != arch:
                arch = row["arch"]
                layers = _layers(arch)
                network_id = canonical_hash(layers, image)
            found = cache.encode(layers, image).costs
            name = row[benchmark.name_column]
            group = str(row[benchmark.group_column]) if benchmark.group_column else network_id
            yield {
                "id": name.hex() if isinstance(name, bytes) else str(name),
                "network_id": network_id,
                "split": split_of(group if benchmark.group_column is None else f"{benchmark.file}:{group}"),
                "task": task.name,
                "protocol": f"{task.name}-public",
                "in_channels": DEFAULT_CHANNELS,
                "resolution": task.resolution,
                "seed": seeds[task.name, network_id],
                "layers": layers,
                "accuracy": row["accuracy"],
                "final_only": True,
                "status": "ok",
                "params": found.params,
                "flops": found.flops,
                "epochs": task.epochs,
                "group": group,
            }
            seeds[task.name, network_id] += 1


def _layers(arch: str) -> Any:
    """Return the layers of a notation with its space."""
    given = json.loads(arch)
    space = given["space"].removesuffix("_macro").removesuffix("_micro")
    try:
        return SPACES[space].read(given)
    except NotationError as error:
        raise ObservationError(f"{arch[:200]}: {error}") from error


def write_benchmark(out: Path, records: Iterator[Record], on_rows: Callable[[int], None] = lambda _: None) -> int:
    """Write a table of observations part by part, and replace an old one in one step; return the number of rows.

    Args:
        out: the table.
        records: as `read_benchmark` yields them.
        on_rows: is called with the number of rows of each part.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".partial")
    count = 0
    with pq.ParquetWriter(partial, TABLE_SCHEMA, compression="zstd") as writer:
        while part := list(islice(records, BATCH)):
            for record in part:
                record["layers"] = json.dumps(record["layers"], separators=(",", ":"))
            writer.write_table(pa.Table.from_pylist(part, schema=TABLE_SCHEMA))
            count += len(part)
            on_rows(len(part))
    partial.replace(out)
    return count
