"""A user's table: one task's rows, all expressible in a layer code, none twice; what is left out is counted."""

import pytest
from typer.testing import CliRunner

from cli.main import app
from model.encoding.layer_code import EXTENDED, PAPER
from tests.training.tables import LAYERS, jsonl, networks, row
from training.observations.observation import Observation, ObservationError
from training.observations.user_table import load, without_repeated

GROUPED = [{"type": "conv", "kernel_size": 3, "out_channels": 8, "groups": 2}]  # of images of three channels


def test_percent_is_an_error_of_the_whole_table(tmp_path):
    table = jsonl(tmp_path / "t.jsonl", *[row(accuracy=[0.9, 87.3 + number]) for number in range(9)], row())
    with pytest.raises(ObservationError, match="looks like percent; divide all of them by 100"):
        load(table, EXTENDED, skip_bad_rows=True)


@pytest.mark.parametrize("option", ["--resolution", "--in-channels"])
def test_images_of_no_size_are_rejected(tmp_path, option):
    table = jsonl(tmp_path / "t.jsonl", *networks([1] * 24))
    found = CliRunner().invoke(app, ["fit", "--table", str(table), "--out", str(tmp_path / "mine"), option, "0"])
    assert found.exit_code == 2
    assert option in found.stderr


def test_several_tasks_are_listed(tmp_path):
    table = jsonl(tmp_path / "t.jsonl", row(task="b"), row(task="A"))
    with pytest.raises(ObservationError, match=r"several tasks \(a, b\); choose one with --task"):
        load(table, EXTENDED)
    assert [one.task for one in load(table, EXTENDED, task="A").rows] == ["a"]


def test_mistakes_of_other_tasks_are_ignored_and_counted(tmp_path):
    percent = [row(task="Other", accuracy=[71.0])] * 3
    table = jsonl(tmp_path / "t.jsonl", row(), row(task="MINE"), *percent, row(task="third", layers=[]))
    found = load(table, EXTENDED, task="Mine")
    assert (len(found.rows), found.repeated, found.skipped_rows, found.ignored_rows) == (1, 1, 0, 4)
    for task in (None, "other"):
        with pytest.raises(ObservationError, match="3 of 3 rows of task other have accuracies above 1, which looks"):
            load(table, EXTENDED, task=task)
    with pytest.raises(ObservationError, match="1 malformed"):
        load(table, EXTENDED, task="third")


def test_rows_that_name_no_task_are_still_mistakes(tmp_path):
    table = jsonl(tmp_path / "t.jsonl", row(), {"layers": LAYERS, "accuracy": [0.5]}, "{", row(task=3), row(task="??"))
    with pytest.raises(ObservationError, match="4 malformed"):
        load(table, EXTENDED, task="mine")


def test_many_good_rows_of_another_task_do_not_hide_percent(tmp_path):
    table = jsonl(tmp_path / "t.jsonl", *[row(task="other")] * 9, *[row(accuracy=[71.0])] * 3, row())
    with pytest.raises(ObservationError, match="looks like percent"):
        load(table, EXTENDED, task="mine", skip_bad_rows=True)


def test_a_task_of_which_there_is_no_row_is_named(tmp_path):
    with pytest.raises(ObservationError, match="no task none; 1 malformed"):
        load(jsonl(tmp_path / "t.jsonl", row(layers=[])), EXTENDED, task="none")


def test_layers_outside_the_code_are_named_and_counted(tmp_path):
    dropout = [*LAYERS, {"type": "dropout", "p": 0.5}, {"type": "dropout", "p": 0.5}]
    wide = [{"type": "conv", "kernel_size": [3, 13], "out_channels": 8}]
    table = jsonl(tmp_path / "t.jsonl", row(), row(layers=dropout), row(layers=dropout), row(layers=wide))
    with pytest.raises(ObservationError) as caught:
        load(table, PAPER)
    text = str(caught.value)
    assert "lines 2-3: layers/4/type is dropout: the paper's code does not know dropout; it knows conv," in text
    assert "(4 times in 2 lines)" in text
    assert "line 4: layers/0/kernel_size is [3, 13]: must be 1 to 5" in text
    assert "--skip-bad-rows" in text
    assert len(load(table, EXTENDED).rows) == 3, "any kernel is in the extended code"


def test_networks_that_make_no_sense_are_named(tmp_path):
    lonely = [*LAYERS, {"type": "add"}]
    table = jsonl(tmp_path / "t.jsonl", row(), row(layers=GROUPED), row(layers=lonely))
    with pytest.raises(ObservationError) as caught:
        load(table, EXTENDED)
    assert "line 2: layers/0/groups is 2: must divide the 3 input channels" in str(caught.value)
    assert f"line 3: layers/{len(LAYERS)}/inputs: add merges two or more layers: give their names" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"in_channels": 3}, "line 2: in_channels is 3, but the images' in_channels is 1"),
        ({"resolution": 32}, "line 2: resolution is 32, but the images' resolution is 14"),
        ({"accuracy": [0.1] * 11}, "line 2: accuracy has 11 epochs, but the predictor knows 10"),
    ],
)
def test_rows_that_contradict_what_is_known_are_named(tmp_path, changes, message):
    known = {"in_channels": 1, "resolution": 14, "epochs": 10}
    table = jsonl(tmp_path / "t.jsonl", row(in_channels=1, resolution=14), row(**changes), row(accuracy=[0.1] * 10))
    with pytest.raises(ObservationError, match=r"t\.jsonl: 1 malformed") as caught:
        load(table, EXTENDED, **known)
    assert message in str(caught.value)
    assert len(load(table, EXTENDED, **known, skip_bad_rows=True).rows) == 2
    other = jsonl(tmp_path / "t.jsonl", row(), row(task="other", **changes))
    assert len(load(other, EXTENDED, task="mine", **known).rows) == 1


def test_bad_rows_are_left_out_on_demand_with_a_count(tmp_path):
    table = jsonl(tmp_path / "t.jsonl", row(), row(accuracy=[]), "{", row(layers=GROUPED))
    found = load(table, EXTENDED, skip_bad_rows=True)
    assert (len(found.rows), found.skipped_rows) == (1, 3)
    assert all(f"line {number}" in found.skipped for number in (2, 3, 4))


def test_a_table_without_a_single_good_row_is_rejected_even_then(tmp_path):
    with pytest.raises(ObservationError, match="1 malformed"):
        load(jsonl(tmp_path / "t.jsonl", row(accuracy=[])), EXTENDED, skip_bad_rows=True)


def test_equal_rows_are_dropped_and_runs_without_seeds_are_numbered():
    rows = [Observation.model_validate(row(accuracy=[last])) for last in (0.5, 0.5, 0.6, 0.7)]
    kept, dropped = without_repeated(rows)
    assert dropped == 1
    assert [(one.seed, one.accuracy) for one in kept] == [(0, [0.5]), (1, [0.6]), (2, [0.7])]
