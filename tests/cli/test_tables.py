"""`tables` writes a table of observations from a benchmark's, and says what is missing."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.observations.read import read

EDGES = [[0, 1], [1, 2]]


@pytest.fixture
def folder(tmp_path):
    """Three networks of NAS-Bench-101 with two nodes and an operation each."""
    rows = [
        {
            "task": "cifar10",
            "arch": json.dumps({"space": "nasbench101", "ops": [op], "edges": EDGES}),
            "accuracy": [0.9],
            "hash": bytes([index] * 16),
        }
        for index, op in enumerate(("conv1x1", "conv3x3", "maxpool3x3"))
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "nasbench101.parquet")
    return tmp_path


def test_a_table_is_written(peephole, folder):
    out = folder / "table.parquet"
    found = peephole("tables", "nasbench101", "--from", folder, "--out", out, "-n", 2)
    assert (found.status, found.err) == (0, f"2 rows written to {out}\n")
    assert {row.task for row in read(out)} == {"nasbench101-cifar10"}


def test_what_is_missing_is_said_in_a_line(rejected, folder):
    out = folder / "table.parquet"
    said = rejected("tables", "nasbench201", "--from", folder, "--out", out)
    assert said == f"{folder / 'nasbench201.parquet'} does not exist"
    said = rejected("tables", "nasbench101", "--from", folder, "--out", out, "--task", "cifar")
    assert said == "nasbench101 has no task cifar; it has nasbench101-cifar10"
    assert not out.exists()


def test_a_benchmark_that_does_not_exist_is_a_usage_error(peephole, folder):
    found = peephole("tables", "nasbench401", "--from", folder, "--out", folder / "table.parquet")
    assert found.status == 2
    assert "accel_nasbench" in found.err
