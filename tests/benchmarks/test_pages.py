"""Ratios of the generated page say what the readings beside them say."""

from benchmarks.page import _throughput
from benchmarks.results import Results


def readings():
    """Two rounds on a machine that slowed down: medians of the servers tell another story than the rounds."""
    servers = {name: {"title": name.title()} for name in ("peephole", "stock", "ray")}
    rates = {"peephole": (900.0, 300.0), "stock": (300.0, 100.0), "ray": (450.0, 50.0)}
    found = []
    for name, both in rates.items():
        for number, value in enumerate(both):
            what = {"server": name, "round": number, "form": "codes", "per_second": value, "requests_per_second": value}
            found += [
                what | {"scenario": "sequential", "batch": batch, "epochs": "curve"} for batch in (1, 32, 1000)
            ] + [what | {"scenario": "concurrent", "batch": 1}]
    return Results({"servers": servers, "left_out": [], "readings": found})


def test_the_best_other_is_found_by_ratios_within_rounds():
    results = readings()
    assert results.median("sequential", "ray", "per_second", batch=1) > results.median(
        "sequential", "stock", "per_second", batch=1
    )
    assert results.to_best_other("sequential", "per_second", batch=1) == (3.0, "stock")
    row = _throughput(results, "codes").splitlines()[-1]
    assert row.count("3.00x Stock") == 4
