"""`collect` says how far it is, also without a terminal, and what is missing before it begins."""

import re

import pytest
import typer

from cli.measure import parse_duration
from training.observations.observation import Observation

LINE = re.compile(r"(\d)/4  ([0-9a-f]{16})  (0\.\d{3}) after 2 epochs, 7 s \(ok\), (\d:\d\d:\d\d) left")


def measured(channels):
    layers = [{"type": "conv", "kernel_size": 3, "out_channels": channels}]
    return Observation(task="t", layers=layers, accuracy=[0.1, channels / 10], seconds=7.2)


@pytest.fixture
def collector(monkeypatch):
    """Instead of training, three networks are said to be measured, one a minute; the first of four was before."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def collect(protocol, out, jobs, backend, *, on_start, on_row, **_):
        on_start(1, len(jobs))
        for channels in (1, 2, 3):
            now[0] += 60
            on_row(measured(channels))
        return 3

    monkeypatch.setattr("training.measuring.collect.collect", collect)


def test_a_line_a_network_tells_count_name_accuracy_and_time_left(peephole, tmp_path, monkeypatch, collector):
    monkeypatch.setenv("COLUMNS", "40")
    out = tmp_path / "digits.parquet"
    found = peephole("collect", "--protocol", "digits-mini", "--networks", 4, "--out", out)
    first, *lines, last = found.out.splitlines()
    assert first == f"1 of 4 runs are already in {out}"
    assert [LINE.fullmatch(line).groups() for line in lines] == [
        ("2", measured(1).network_id, "0.100", "0:02:00"),
        ("3", measured(2).network_id, "0.200", "0:01:00"),
        ("4", measured(3).network_id, "0.300", "0:00:00"),
    ]
    assert last == f"3 rows added to {out}"


def test_images_that_are_missing_are_said_before_anything_else(rejected, tmp_path, monkeypatch):
    monkeypatch.setenv("PEEPHOLE_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    arguments = ("collect", "--protocol", "mnist-mini", "--networks", "1", "--out", tmp_path / "m.parquet")
    assert rejected(*arguments).startswith(f"no train images of mnist in {tmp_path / 'nowhere'} (PEEPHOLE_DATA).")


@pytest.mark.parametrize(("text", "seconds"), [("90m", 5400), ("2h", 7200), ("45s", 45), ("1.5h", 5400), ("30", 30)])
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["soon", "", "nan", "-5m", "NaT", "5 apples"])
def test_a_bad_duration_says_how_to_write_one(text):
    with pytest.raises(typer.BadParameter, match="write 45s, 90m or 2h"):
        parse_duration(text)
