"""Compare the parameters of converted notations with the public tables, row by row.

    python -m tests.model.check_notations FOLDER [--every 100] [--only nasbench101]

FOLDER holds `nasbench101.parquet`, `nasbench201.parquet`, `accel_nasbench.parquet`, `transnas101.parquet`: `arch` is a
notation as JSON text, `params` counts the classifier. TransNAS-Bench-101 has no costs: there the code and the list of
operations or blocks must give one network, and all shapes must fit. Accel-NASBench's `macs` count 4 for each normalised
value and 1 for each value read or made by a pooling, which `flops` leaves out.

With `--by-graph` the 423,624 rows of NAS-Bench-101 take a minute, not half an hour: its 2,494 graphs are converted
with pooling on all nodes and with one convolution each, and a row's parameters are the sum of what its operations add.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from model.encoding.layer_cache import LayerCache
from model.encoding.layer_code import EXTENDED
from model.network.graph import resolve
from model.network.notations import SPACES, nasbench101, transnas101
from model.network.shapes import Shape

COLUMNS = ["task", "arch", "params", "macs", "code"]
CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet16-120": 120, "imagenet": 1000}
IMAGES = {"imagenet16-120": Shape(3, 16, 16), "imagenet": Shape(3, 224, 224)}
SHOWN = 5  # faults of a table
MICRO = 1_000_000  # the table gives ImageNet16-120's parameters in millionths


def rows_of(file: Path, every: int) -> Iterator[dict[str, Any]]:
    """Yield every n-th row of a table."""
    table = pq.ParquetFile(file)
    columns = [name for name in COLUMNS if name in table.schema_arrow.names]
    number = 0
    for batch in table.iter_batches(2000, columns=columns):
        for row in batch.to_pylist():
            if number % every == 0:
                yield row
            number += 1


def fault_of(row: dict[str, Any], cache: LayerCache) -> str | None:
    """Return in what a row's network differs from the table."""
    arch = json.loads(row["arch"])
    layers = SPACES[arch["space"].removesuffix("_macro").removesuffix("_micro")].read(arch)
    if "params" not in row:
        resolve(layers, Shape(3, 64, 64))
        return None if layers == transnas101(row["code"]) else "the code and the list give different networks"
    image = IMAGES.get(row["task"], Shape(3, 32, 32))
    encoding = cache.encode(layers, image)
    found, width = encoding.costs, int(encoding.codes[-1, EXTENDED.columns.index("width")])
    classifier = (width + 1) * CLASSES[row["task"]]
    params = row["params"] // MICRO if row["task"] == "imagenet16-120" else row["params"]
    if found.params + classifier != params:
        return f"{found.params + classifier} parameters, {params} in the table: {row['arch']}"
    if arch["space"] == "accel_nasbench":
        return _fault_of_macs(layers, row["macs"], found.flops // 2 + classifier - CLASSES[row["task"]])
    return None


def _fault_of_macs(layers: Any, expected: int, found: int) -> str | None:
    for node in resolve(layers, IMAGES["imagenet"]):
        kind = node.layer["type"]
        found += 4 * node.after.size if kind == "batch_norm" else 0
        found += node.before[0].size + node.after.size if kind == "global_avg_pool" else 0
    return None if found == expected else f"{found} multiply-adds, {expected} in the table"


def faults_by_graph(rows: Iterator[dict[str, Any]], cache: LayerCache) -> Iterator[str | None]:
    """Yield in what each row of NAS-Bench-101 differs, from the parameters that each operation adds to a graph."""

    def params(ops: list[str], edges: list[list[int]]) -> int:
        return cache.encode(nasbench101(ops, edges), Shape(3, 32, 32)).costs.params + (512 + 1) * 10

    graphs: dict[str, list[tuple[list[str], int]]] = defaultdict(list)
    for row in rows:
        arch = json.loads(row["arch"])
        graphs[json.dumps(arch["edges"])].append((arch["ops"], row["params"]))
    for text, cells in graphs.items():
        edges, pooling = json.loads(text), ["maxpool3x3"] * len(cells[0][0])
        least = params(pooling, edges)
        added = [{"maxpool3x3": 0} for _ in pooling]
        for node, adds in enumerate(added):
            for op in ("conv1x1", "conv3x3"):
                adds[op] = params([*pooling[:node], op, *pooling[node + 1 :]], edges) - least
        for ops, expected in cells:
            found = least + sum(adds[op] for adds, op in zip(added, ops, strict=True))
            yield None if found == expected else f"{found} parameters, {expected} in the table: {ops} {edges}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, help="check every n-th row only")
    parser.add_argument("--only", help="one table")
    parser.add_argument("--by-graph", action="store_true", help="NAS-Bench-101: add up what operations add to graphs")
    arguments = parser.parse_args()
    wrong = 0
    for name in ["accel_nasbench", "nasbench201", "transnas101", "nasbench101"]:
        if arguments.only not in {None, name}:
            continue
        cache, start, count, of_table = LayerCache(EXTENDED), time.process_time(), 0, 0
        rows = rows_of(arguments.folder / f"{name}.parquet", arguments.every)
        by_graph = arguments.by_graph and name == "nasbench101"
        for fault in faults_by_graph(rows, cache) if by_graph else (fault_of(row, cache) for row in rows):
            count += 1
            of_table += fault is not None
            if fault and of_table <= SHOWN:
                print(f"{name}: {fault}", flush=True)
        print(f"{name}: {count} rows, {of_table} wrong, {time.process_time() - start:.0f} s", flush=True)
        wrong += of_table
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
