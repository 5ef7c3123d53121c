"""Rows of public benchmarks become rows of observations: tasks, costs, seeds, the split and the draw."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.network.hashing import canonical_hash
from model.network.notations import nasbench201
from model.network.shapes import Shape
from training.observations.benchmarks import BENCHMARKS, read_benchmark, write_benchmark
from training.observations.observation import ObservationError
from training.observations.read import read

OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
TASKS = ("cifar10", "cifar100", "imagenet16-120")
POOL_OR_NOT = [["avg_pool_3x3" if first else "none", *["none"] * 2, "nor_conv_1x1", *["none"] * 2] for first in (0, 1)]


def write_201(folder, cells):
    """Write a table of cells, each in three tasks, as the shared tables have it; cells in pairs compute the same."""
    rows = [
        {
            "task": task,
            "arch": json.dumps({"space": "nasbench201", "ops": ops}),
            "accuracy": [0.5 + 0.01 * index],
            "index": index,
            "iso_class": index // 2,
        }
        for task in TASKS
        for index, ops in enumerate(cells)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "nasbench201.parquet")


@pytest.fixture
def folder(tmp_path):
    write_201(tmp_path, [[op, *["none"] * 3, other, "nor_conv_1x1"] for op in OPS for other in OPS[1:]])
    return tmp_path


def test_a_table_is_read_as_it_was_written(folder):
    out = folder / "new" / "table.parquet"
    assert write_benchmark(out, read_benchmark("nasbench201", folder)) == 60
    rows = read(out)
    assert {row.task for row in rows} == {f"nasbench201-{task}" for task in TASKS}
    for row in rows:
        image = Shape(3, row.resolution, row.resolution)
        assert row.network_id == row.canonical == canonical_hash(row.layers, image)
        assert row.final_only
        assert row.accuracy == [0.5 + 0.01 * int(row.id)]
    flops = {row.task: row.flops for row in rows if row.id == "3"}
    assert flops["nasbench201-cifar10"] == flops["nasbench201-cifar100"] == 4 * flops["nasbench201-imagenet16-120"]
    assert not list(out.parent.glob("*.partial"))


def test_networks_that_compute_the_same_share_a_side_of_the_split(folder):
    sides = {}
    for record in read_benchmark("nasbench201", folder):
        sides.setdefault(record["group"], set()).add(record["split"])
    assert len(sides) == 10
    assert all(len(one) == 1 for one in sides.values())
    assert set.union(*sides.values()) == {"train", "test"}


def test_rows_of_one_network_have_different_seeds(tmp_path):
    """A pool that leads to no output is left out, so that both cells are one network."""
    write_201(tmp_path, POOL_OR_NOT)
    rows = list(read_benchmark("nasbench201", tmp_path, task="nasbench201-cifar10"))
    assert rows[0]["layers"] == rows[1]["layers"] == nasbench201(POOL_OR_NOT[0])
    assert [row["seed"] for row in rows] == [0, 1]


def test_a_draw_is_fixed_by_its_seed_and_the_same_for_all_tasks(folder):
    def drawn(**options):
        return [(one["task"], one["id"]) for one in read_benchmark("nasbench201", folder, **options)]

    some = drawn(networks=5, seed=1)
    assert some == drawn(networks=5, seed=1) != drawn(networks=5, seed=2)
    assert len(some) == 15
    assert [one for one in some if one[0] == "nasbench201-cifar10"] == drawn(
        networks=5, seed=1, task="nasbench201-cifar10"
    )
    assert len({name for _, name in some}) == 5
    assert set(drawn(networks=4, seed=1)) < set(some)


def test_every_task_has_its_images_and_epochs():
    tasks = {task.name: (task.resolution, task.epochs) for one in BENCHMARKS.values() for task in one.tasks.values()}
    assert tasks == {
        "nasbench101-cifar10": (32, 108),
        "nasbench201-cifar10": (32, 200),
        "nasbench201-cifar100": (32, 200),
        "nasbench201-imagenet16-120": (16, 200),
        "transnas101-class-scene": (256, 25),
        "transnas101-jigsaw": (64, 10),
        "accel-imagenet": (224, None),
    }


def test_what_is_wrong_with_a_table_is_named(folder):
    with pytest.raises(ObservationError, match="nasbench201-cifar100"):
        next(read_benchmark("nasbench201", folder, task="nasbench101-cifar10"))
    write_201(folder, [["none"] * 5])
    with pytest.raises(ObservationError, match="6 operations, not 5"):
        next(read_benchmark("nasbench201", folder))
    pq.write_table(pa.table({"task": ["cifar10"]}), folder / "nasbench201.parquet")
    with pytest.raises(ObservationError, match="no column accuracy, arch"):
        next(read_benchmark("nasbench201", folder))
    with pytest.raises(ObservationError, match="does not exist"):
        next(read_benchmark("nasbench101", folder))
