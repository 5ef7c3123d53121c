"""Sentences and ratios of the generated pages say what the readings beside them say."""

import re

import pytest

pytest.importorskip("torch")

from benchmarks import during_page, during_text


def rule(speedup, lost, kept=1.0):
    epochs = {"mean": 2000 / speedup}
    return {"epochs": epochs, "speedup": {"mean": speedup}, "lost": {"mean": lost}, "kept_best": kept}


@pytest.fixture
def replayed():
    return {
        during_text.BOUND: rule(11.0, 0.0),
        "Peephole, layers known, 0.9": rule(9.0, 0.0004, 0.8),
        "Peephole, layers known, 0.95": rule(8.0, 0.0, 1.0),
        "Optuna successive halving": rule(7.5, 0.0016),
        "Optuna Hyperband": rule(4.0, 0.0001),
        "Optuna Hyperband + Peephole, 0.95": rule(8.0, 0.0019),
        "Ray ASHA": rule(6.0, 0.0013),
    }


def test_a_pruner_that_loses_less_or_saves_more_is_named(replayed):
    said = during_text.against_pruners(replayed, replayed["Peephole, layers known, 0.9"])
    assert said == "no pruner saves as much; less is lost by Optuna Hyperband (4.00 times at 0.00010)"
    replayed["Ray ASHA"] = rule(9.0, 0.0013)
    said = during_text.against_pruners(replayed, replayed["Peephole, layers known, 0.95"])
    assert said == "as much or more is saved by Ray ASHA (9.00 times at 0.00130); none loses less"


def test_replays_count_the_searches_that_kept_the_best(replayed):
    found = {"mine": {"networks": 50, "orders": 20, "rules": replayed}}
    said = during_text.replays(found)
    assert "saves 9.00 times at 0.00040, the best found in 16 of 20 searches" in said
    assert "50 %, losing 0.00190 instead of 0.00010" in said
    assert "Without a table" not in said
    replayed[during_text.INSIDE] = rule(2.0, 0.001)
    assert "`mine` 2.00 times at 0.00100 (Optuna successive halving 7.50 times" in during_text.replays(found)


def test_places_where_a_rival_is_ahead_are_listed():
    figures = {"tau": 0.8, "r2": 0.9, "mse": 0.01}
    methods = {
        name: dict(figures) for name in (during_text.WITH_LAYERS, during_text.ALONE, during_text.SVR, during_text.LAST)
    }
    found = {"metaqnn-cifar10": {"seen": {"50%": {"epochs": 10, "methods": methods}}}}
    assert "in 0 of 1 by tau and in 0 of 1 by R2" in during_text.continued(found)
    methods[during_text.SVR]["r2"] = 0.91
    said = during_text.continued(found)
    assert "ν-SVR (Baker et al.) is ahead" in said
    assert "in 0 of 1 by tau and in 1 of 1 by R2 (50% of `metaqnn-cifar10`)" in said


def test_what_a_live_search_lost_is_said():
    study = {"epochs": 250, "processor_seconds": 700.0, "wall_seconds": 710.0, "best": 0.98, "pruned": 0}
    found = {"trials": 25, "machine": {"cores": 2, "processor": "CPU"}, "without": study}
    found["confidence 0.9"] = study | {"epochs": 100, "processor_seconds": 350.0, "pruned": 20}
    assert "2.5 times fewer epochs, 2.0 times less processor time; lost: nothing" in during_text.live(found)
    found["confidence 0.9"]["best"] = 0.97
    assert "lost: 0.01000" in during_text.live(found)


def test_the_page_says_what_its_readings_say():
    page = during_page.PAGE.read_text()
    blocks = dict(re.findall(r"<!-- (?:table|text): ([a-z0-9 -]+) -->\n\n(.*?)\n\n<!-- end -->", page, re.DOTALL))
    del blocks["held-out"]  # predicts networks of the tables, which takes seconds and grows with them
    assert {"replays", "saved", "continued", "live", "weights", "weights notes"} <= set(blocks)
    for name, text in blocks.items():
        assert text == during_page._table(name), f"{name}: run `python -m benchmarks.during_page`"
