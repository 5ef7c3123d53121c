"""The page of the server comparison: its ratios, its aims, and that it shows the committed readings."""

import json

import pandas as pd
import pytest

from benchmarks.bench import RESULTS
from benchmarks.page import PAGE, Results, aims, markdown, overload, page
from benchmarks.servers import SERVERS

TIMES = {"peephole": (1.0, 3.0), "stock": (3.0, 9.0), "ray": (2.0, 18.0)}  # ms, in two rounds; the machine slowed down


def reading(scenario: str, server: str, number: int, **figures: float) -> dict[str, float | str]:
    return {"round": number, "scenario": scenario, "server": server, "batch": 1} | figures


def results(**goodput: float) -> Results:
    found = []
    for server, times in TIMES.items():
        for number, ms in enumerate(times):
            figures = {"p50_ms": ms, "p99_ms": 2 * ms, "cpu_ms": ms}
            found += [reading("sequential", server, number, batch=batch, **figures) for batch in (1, 32, 1000)]
            found.append(reading("steady", server, number, rate=50.0, **figures))
            share = goodput.get(server, 0.5)
            counts = {"answered": 10.0, "timed_out": 4.0}
            found.append(reading("overload", server, number, batch=32, capacity=100.0, goodput=100 * share, **counts))
    servers = {server: {"title": server.title()} for server in TIMES}
    return Results({"about": {"servers": servers, "left_out": {}}, "readings": found})


def test_ratios_are_taken_within_a_round():
    ratio, other = results().speedup(1)
    medians = results().rounds("sequential", "p50_ms").median()
    assert medians["stock"] / medians["peephole"] == 3.0
    assert (ratio, other) == (3.0, "Stock")  # Ray's are 2 and 6, their median 4; of medians it would be 5


@pytest.mark.parametrize(("share", "met"), [(0.79, "**no**"), (0.8, "yes")])
def test_an_aim_is_met_or_not(share, met):
    last = aims(results(peephole=share)).splitlines()[-1]
    assert last == f"| goodput at 3 times the capacity: at least 80% of it | {share:.0%} | {met} |"


def test_a_slower_tail_than_the_best_other_server_misses_the_aim(monkeypatch):
    assert "| 4.00 ms, the other 12.0 ms | yes |" in aims(results())
    monkeypatch.setitem(TIMES, "stock", (1.0, 1.0))
    assert "| 4.00 ms, the other 2.00 ms | **no** |" in aims(results())


def test_overload_without_any_rejection_has_no_time_to_a_rejection():
    row = next(line for line in overload(results()).splitlines() if line.startswith("| Stock "))
    assert row == "| Stock | 100 | 50.0 | 50% | - | - | 20 | 0 | 8 | 0 |"


def test_a_frame_becomes_a_markdown_table():
    assert markdown(pd.DataFrame({"b": ["1"]}, index=["x"]), "a") == "| a | b |\n| --- | --: |\n| x | 1 |"


def test_the_page_shows_the_committed_readings():
    data = json.loads(RESULTS.read_text())
    assert page(Results(data)) == PAGE.read_text(), "run `python -m benchmarks.page`"
    assert {server.name for server in SERVERS} == set(data["about"]["servers"])
