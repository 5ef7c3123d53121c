"""`peephole proxies`: scores of networks and of tables, and going on after a kill."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from model.network.shapes import Shape
from model.proxies.names import SCORES
from training.measuring.scoring import ScoreFile, score_all, write_scores
from training.observations.observation import Observation
from training.observations.read import read, write_parquet
from training.protocols import PROTOCOLS

PROTOCOL = PROTOCOLS["digits-mini"]
NETWORKS = [
    [
        {"type": "conv", "kernel_size": 3, "out_channels": width},
        {"type": "relu"},
        {"type": "max_pool", "kernel_size": 2},
    ]
    for width in (4, 6, 8)
]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from cli import run; run()", "proxies", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks with an id each, scored by the command."""
    folder = tmp_path_factory.mktemp("scored")
    networks = [{"id": f"n{index}", "layers": layers} for index, layers in enumerate(NETWORKS[:2])]
    (folder / "nets.json").write_text(json.dumps(networks))
    done = run(str(folder / "nets.json"), "--images", "digits")
    assert done.returncode == 0, done.stderr
    return folder / "nets.proxies.jsonl"


def test_networks_are_written_with_their_scores(scored: Path) -> None:
    lines = [json.loads(line) for line in scored.read_text().splitlines()]
    assert [line["id"] for line in lines] == ["n0", "n1"]
    assert all(line["proxies"].keys() == SCORES.keys() for line in lines)
    assert lines[0]["proxies"] != lines[1]["proxies"]


def test_a_second_run_goes_on_after_a_line_that_was_cut_off(scored: Path, tmp_path: Path) -> None:
    """What is there is not measured again; the torn line is."""
    file = ScoreFile(tmp_path / "some.jsonl", PROTOCOL.image)
    first, second = scored.read_text().splitlines()
    file.path.write_text(f"{first}\n{second[:50]}")
    starts, done = [], []
    found = score_all(
        [{"layers": layers} for layers in NETWORKS],
        file,
        PROTOCOL,
        on_start=lambda known, total: starts.append((known, total)),
        on_score=lambda: done.append(None),
    )
    assert starts == [(1, 3)]
    assert len(done) == 2
    assert len(file.path.read_text().splitlines()) == len(found) == 3
    assert json.loads(file.path.read_text().splitlines()[1])["proxies"] == json.loads(second)["proxies"]


def test_numbers_near_zero_are_not_lost_in_this_process_afterwards(tmp_path: Path) -> None:
    """While networks are measured they are: some are several times slower on them."""
    score_all([{"layers": NETWORKS[0]}], ScoreFile(tmp_path / "one.jsonl", PROTOCOL.image), PROTOCOL)
    assert float(torch.tensor(1e-310, dtype=torch.float64) * 1.0) > 0


def test_a_table_gains_a_column_and_changes_nothing_else(tmp_path: Path, scored: Path) -> None:
    rows = [
        Observation(task="digits-mini", layers=layers, accuracy=[0.5], seed=seed, in_channels=1, resolution=8)
        for layers in NETWORKS[:2]
        for seed in range(2)
    ]
    table = tmp_path / "rows.parquet"
    write_parquet(table, rows)
    before = pq.read_table(table)
    known = ScoreFile(scored, Shape(1, 8, 8)).read()
    write_scores(table, table, read(table), known)
    after = pq.read_table(table)
    assert after.drop_columns(["proxies"]).equals(before.drop_columns(["proxies"]))
    assert after.column_names == before.column_names
    first, again, *_ = read(table)
    assert first.proxies == again.proxies == pytest.approx(known[first.canonical], rel=1e-4)


def test_what_cannot_be_scored_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "nets.json").write_text('[{"type": "max_pool", "kernel_size": 3, "padding": 0}, {"type": "softsign"}]')
    done = run(str(tmp_path / "nets.json"), "--images", "digits")
    assert done.returncode == 1
    assert "/1/type" in done.stderr
    assert not (tmp_path / "nets.proxies.jsonl").exists()
