"""`collect` says how far it is, also without a terminal, and what is missing before it begins."""

import re

from training.protocols import PROTOCOLS

LINE = re.compile(r"(\d)/2  [0-9a-f]{16}  0\.\d{3} after 8 epochs, \d+ s \(\w+\), \d:\d\d:\d\d left")


def test_a_line_a_network_tells_count_name_accuracy_and_time_left(peephole, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    out = tmp_path / "digits.parquet"
    arguments = ("collect", "--protocol", "digits-mini", "--workers", "1", "--out", out, "--networks")
    first = peephole(*arguments, 2)
    assert first.status == 0, first.err
    *lines, last = first.out.splitlines()
    assert [LINE.fullmatch(line)[1] for line in lines] == ["1", "2"]
    assert lines[-1].endswith("0:00:00 left")
    assert last == f"2 rows added to {out}"
    assert [line.split()[1] for line in lines] == [
        one.network_id for one, _ in zip(PROTOCOLS["digits-mini"].population(), range(2), strict=False)
    ]
    again = peephole(*arguments, 2)
    assert again.out.splitlines() == [f"2 of 2 runs are already in {out}", f"0 rows added to {out}"]


def test_images_that_are_missing_are_said_before_anything_else(rejected, tmp_path, monkeypatch):
    monkeypatch.setenv("PEEPHOLE_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    arguments = ("collect", "--protocol", "mnist-mini", "--networks", "1", "--out", tmp_path / "m.parquet")
    assert rejected(*arguments).startswith(f"no train images of mnist in {tmp_path / 'nowhere'} (PEEPHOLE_DATA).")
