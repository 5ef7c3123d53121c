"""The report counts what is in a table, and warns of what would mislead."""

import json

import pytest

from model.encoding.layer_code import EXTENDED, PAPER
from model.network.shapes import Shape
from training.observations.observation import Observation
from training.observations.report import data_report, shown
from training.observations.user_table import UserTable


def observation(width, accuracy, *, seed=0, **changes):
    layers = [{"type": "conv", "kernel_size": 3, "out_channels": width}, {"type": "relu"}]
    return Observation.model_validate({"task": "mine", "layers": layers, "accuracy": accuracy, "seed": seed} | changes)


def own(rows, **changes):
    given = {"image": Shape(3, 32, 32), "assumed": [], "repeated": 0, "skipped": "", "skipped_rows": 0}
    return UserTable(rows=rows, **(given | changes))


def report_of(rows, code=EXTENDED, **changes):
    return data_report(own(rows, **changes), code)


def warned(report, words):
    return any(words in warning for warning in report["warnings"])


def test_counts_are_those_of_the_table():
    rows = [observation(width, [width / 200] * (1 + width % 3)) for width in range(4, 124)]
    rows += [observation(width, [width / 200 + 0.01], seed=1) for width in (4, 5, 6)]
    found = report_of(rows, repeated=2, skipped_rows=1, assumed=["resolution"])
    assert (found["rows"], found["networks"], found["networks_repeated"]) == (123, 120, 3)
    assert (found["duplicate_rows"], found["rows_skipped"]) == (2, 1)
    assert found["layer_types"] == {"conv": 120, "relu": 120}
    assert (found["epochs"]["min"], found["epochs"]["max"], found["epochs"]["whole_curves"]) == (1, 3, 40)
    assert found["final_accuracy"]["100%"] == pytest.approx(123 / 200)
    assert found["noise_ceiling"]["networks"] == 3
    assert warned(found, "1 malformed rows were left out")
    assert warned(found, "do not give resolution of the images; taken as 3x32x32")
    assert warned(found, "80 of 120 curves end before epoch 3")
    assert not warned(found, "are few")
    json.dumps(found, allow_nan=False)
    assert all(isinstance(line, str) for line in shown(found).values())


def test_a_clean_table_warns_of_nothing():
    assert report_of([observation(width, [width / 200]) for width in range(4, 124)])["warnings"] == []


def test_duplicates_are_found_and_those_across_the_split_counted():
    """Dropout rates that differ by less than the code resolves make two networks with one code."""

    def pair(width):
        stem = {"type": "conv", "kernel_size": 3, "out_channels": width}
        return [observation(width, [0.5], layers=[stem, {"type": "dropout", "p": p}]) for p in (0.5, 0.50001)]

    pairs = [pair(width) for width in range(4, 24)]
    across = [two for two in pairs if two[0].split != two[1].split]
    assert 0 < len(across) < len(pairs)
    found = report_of([one for two in pairs for one in two])
    assert (found["duplicates"], found["duplicates_across_split"]) == (40, 2 * len(across))
    assert warned(found, "40 networks are duplicates in this code")


def test_the_paper_code_has_more_duplicates_than_the_extended_one():
    """Table 1 has no absolute widths."""
    rows = [observation(width, [width / 100]) for width in (32, 33, 34)]
    assert report_of(rows, PAPER)["duplicates"] > report_of(rows, EXTENDED)["duplicates"] == 0


def test_clipped_ratios_are_counted_in_networks():
    wide = [
        {"type": "conv", "kernel_size": 3, "out_channels": 8},
        {"type": "conv", "kernel_size": 1, "channel_ratio": 5.0},
        {"type": "conv", "kernel_size": 1, "channel_ratio": 5.0},
    ]
    rows = [observation(8, [0.5]), observation(8, [0.6], layers=wide)]
    assert report_of(rows, PAPER)["clipped_share"] == 0.5
    assert warned(report_of(rows, PAPER), "50% of the networks have channel ratios beyond")
    assert report_of(rows, EXTENDED)["clipped_share"] == 0.0


def test_too_little_spread_is_warned_of():
    assert warned(report_of([observation(width, [0.1]) for width in range(4, 30)]), "nothing to rank")
    close = [observation(width, [0.9 + width / 1e5]) for width in range(4, 30)]
    assert warned(report_of(close), "hardly differ")


def test_noise_as_large_as_the_differences_is_warned_of():
    rows = [
        observation(width, [0.5 + 0.1 * ((width * (1 + 2 * seed)) % 7) / 7], seed=seed)
        for width in range(4, 20)
        for seed in (0, 1)
    ]
    assert warned(report_of(rows), "two runs of one network agree at tau")


def test_a_last_epoch_that_few_reached_is_warned_of():
    rows = [observation(width, [0.3, 0.4] + [width / 100] * (width == 5)) for width in range(4, 60)]
    assert warned(report_of(rows), "only 1 networks were measured at epoch 3")
