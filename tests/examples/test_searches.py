"""The examples of searches run, in short form on digits, which need no download."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(name, *arguments):
    """Run an example and return the lines that it prints."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "client")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, ROOT / "examples" / f"{name}.py", *arguments]
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines()


def test_evolve_trains_as_many_networks_of_each_method_and_shows_the_optimism():
    short = ("--protocol", "digits-mini", "--trainings", "1", "--generations", "2", "--children", "6")
    _, *rows = run("evolve", *short)
    methods = ["random search", "best predicted samples", "evolution", "evolution, lower end"]
    assert [row[5:27].strip() for row in rows] == methods
    for row in rows:
        best, mean, predicted, lower, optimism = map(float, row[27:].split())
        assert best == mean
        assert lower <= predicted
        assert optimism == pytest.approx(predicted - mean, abs=0.0011)


def test_a_simulated_search_learns_from_what_it_measured():
    """Its table is not part of the repository."""
    table = Path(os.environ.get("PEEPHOLE_DATA", "")) / "benchmarks/nasbench201.parquet"
    if not table.is_file():
        pytest.skip("needs benchmarks/nasbench201.parquet in PEEPHOLE_DATA")
    heading, *rows = run("nasbench201", table, "--trainings", "20", "--seeds", "1", "--candidates", "30")
    assert heading.split() == ["trainings", "10", "20"]
    assert [row.split()[0] for row in rows] == ["guided", "evolution", "random_search"]
    for row in rows:
        after_10, after_20 = map(float, row.split()[1:])
        assert 0 <= after_20 <= after_10


def test_the_optuna_example_prunes_and_reports():
    pytest.importorskip("optuna")
    best, spent = run("optuna_pruning", "--protocol", "digits-mini", "--trials", "3")
    assert best.startswith("best accuracy 0.")
    assert spent.split(" of ")[1].startswith("3 trials pruned")


def test_a_model_of_pytorch_is_predicted():
    lines = [line for line in run("own_pytorch_model") if line[0].isdigit()]
    assert [line[0] for line in lines] == ["1", "2", "3", "4"]
    assert {line[3:23].strip() for line in lines} == {"8 wide", "8 wide, shortcuts", "32 wide", "32 wide, shortcuts"}
    lower = [float(line.split("[")[1].split(",")[0]) for line in lines]
    assert lower == sorted(lower, reverse=True)


@pytest.mark.skipif("PEEPHOLE_TEST_LONG" not in os.environ, reason="takes minutes; PEEPHOLE_TEST_LONG=1 runs it")
def test_the_loop_with_stored_observations(tmp_path):
    """Against a live service that keeps the observations."""
    from model.artifact import ZOO
    from tests.service.live import running

    settings = {"PEEPHOLE_MODELS": str(ZOO / "mnist-mini"), "PEEPHOLE_STATE": str(tmp_path), "PEEPHOLE_THREADS": "1"}
    with running(None, **settings) as live:
        heading, first, last = run("bayesian", live.url, "--trainings", "4", "--batch", "3", "--candidates", "20")
    assert heading.split("  ")[0].strip() == "trainings"
    assert [first.split()[0], last.split()[0]] == ["3", "4"]
    assert all(float(b) >= float(a) for a, b in zip(first.split()[1:], last.split()[1:], strict=True))
