"""Anyone's table: what is meant the same is read the same, each bad row is named, and any curves can be fitted to."""

import json
import os
from pathlib import Path
from threading import Thread

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from cli.main import app
from model.encoding.layer_code import EXTENDED, PAPER, pad
from model.network.hashing import canonical_hash
from model.network.shapes import Shape
from training.observations.observation import Observation, ObservationError
from training.observations.read import read, write_parquet
from training.observations.table import tabulate
from training.observations.user_table import load, without_repeated

LAYERS = [
    {"type": "conv", "kernel_size": 3, "out_channels": 8},
    {"type": "relu"},
    {"type": "conv", "kernel_size": [1, 3], "channel_ratio": 1.5},
    {"type": "max_pool", "kernel_size": 2},
]


def row(**changes):
    return {"task": "mine", "layers": LAYERS, "accuracy": [0.5, 0.6]} | changes


def jsonl(path, *rows):
    path.write_text("\n".join(json.dumps(one) if isinstance(one, dict) else one for one in rows) + "\n")
    return path


def networks(lengths):
    """Networks of different widths whose curves have the given lengths."""
    found = []
    for number, length in enumerate(lengths):
        layers = [LAYERS[0] | {"out_channels": 4 + number}, {"type": "relu"}]
        curve = [(0.2 + number / 40) * (1 - 0.5 ** (epoch + 1)) for epoch in range(length)]
        found.append({"task": "mine", "layers": layers, "accuracy": curve})
    return found


def test_a_pandas_frame_with_structs_and_arrays_is_read_like_json(tmp_path):
    """Absent keys are null in a Parquet struct, gaps make integers floats, a curve is a numpy array."""
    structs = [
        {"type": "conv", "kernel_size": [3.0, 3.0], "out_channels": 8.0, "channel_ratio": None},
        {"type": "relu", "kernel_size": None, "out_channels": None, "channel_ratio": np.nan},
        {"type": "conv", "kernel_size": [1, 3], "out_channels": None, "channel_ratio": 1.5},
        {"type": "max_pool", "kernel_size": [2, 2], "out_channels": None, "channel_ratio": None},
    ]
    curves = [np.array([0.5, 0.6]), np.array([0.5])]
    frame = pd.DataFrame({"task": ["mine"] * 2, "layers": [structs] * 2, "accuracy": curves, "id": [1, 2]})
    frame.to_parquet(tmp_path / "t.parquet")
    rows = read(tmp_path / "t.parquet")
    assert [one.accuracy for one in rows] == [[0.5, 0.6], [0.5]]
    expected = Observation.model_validate(row()).layers
    assert {one.network_id for one in rows} == {canonical_hash(expected, 3)}


@pytest.mark.parametrize("layers", [json.dumps(LAYERS), LAYERS, np.array(LAYERS, dtype=object)])
@pytest.mark.parametrize(
    ("accuracy", "curve"),
    [
        ([0, 1], [0.0, 1.0]),
        (0.7, [0.7]),
        ("[0.1, 0.2]", [0.1, 0.2]),
        (np.array([0.1, 0.2]), [0.1, 0.2]),
        ([0.1, 0.2, None, float("nan")], [0.1, 0.2]),
    ],
)
def test_spellings_of_layers_and_curves(layers, accuracy, curve):
    one = Observation.model_validate(row(layers=layers, accuracy=accuracy))
    assert one.accuracy == curve
    assert one.network_id == Observation.model_validate(row()).network_id


def test_the_kind_of_table_is_told_by_its_content_not_its_name(tmp_path):
    pq.write_table(pa.Table.from_pylist([row(layers=json.dumps(LAYERS))]), tmp_path / "table.pq")
    assert len(read(tmp_path / "table.pq")) == 1


def test_a_task_is_named_as_artifacts_can_be():
    assert Observation.model_validate(row(task=" CIFAR 10/v2 ")).task == "cifar-10-v2"
    with pytest.raises(ValueError, match="letters and digits"):
        Observation.model_validate(row(task="??"))


BAD = [
    (row(accuracy=[0.5, 1.5]), "line 2: accuracy/1 is 1.5, but accuracies are between 0 and 1; divide percent by 100"),
    (row(accuracy=[-0.1]), "line 2: accuracy/0 is -0.1, but"),
    (row(accuracy=[]), "line 2: accuracy is empty; give"),
    (row(accuracy=[None, 0.5]), "line 2: accuracy/0 is not a number; only epochs at the end"),
    (row(accuracy=["high"]), "line 2: accuracy/0 is not a number"),
    (row(accuracy=[0.5, True]), "line 2: accuracy/1 is not a number but true"),
    (row(accuracy=False), "line 2: accuracy/0 is not a number but false"),
    (row(accuracy=["0.5"]), "line 2: accuracy/0 is not a number but text"),
    (row(accuracy="0.5"), "line 2: accuracy is text; give a number, or a list of them"),
    (row(layers=[]), "line 2: layers is empty; list"),
    (row(layers=[{"type": "gelu"}]), "line 2: layers/0 has the unknown type gelu; there are conv, max_pool"),
    (row(layers=[{"kernel_size": 3}]), "line 2: layers/0 has no type; there are conv"),
    (row(layers=[LAYERS[0] | {"padding": 1}]), "line 2: layers/0/padding is not a field of this layer; remove it"),
    (row(layers=[{"type": "conv", "kernel_size": 3}]), "line 2: layers/0 give exactly one of out_channels and"),
    (row(layers="[{"), "line 2: layers is not JSON text"),
    ({"task": "mine", "layers": LAYERS, "acc": 1}, "line 2: accuracy is missing; a row needs task, layers, accuracy"),
    (row(resolution=0), "line 2: resolution input should be greater than or equal to 1"),
    (row(in_channels=-3), "line 2: in_channels input should be greater than or equal to 1"),
    (row(seed="first"), "line 2: seed input should be a valid integer"),
    ("[1]", "line 2: is not an object with the fields task"),
    ("{", "line 2: not JSON"),
    ("[" * 20_000, "line 2: not JSON (nested too deeply)"),
    (row(layers="[" * 20_000), "line 2: layers is not JSON text (nested too deeply)"),
    ('{"seed": ' + "1" * 5001 + "}", "line 2: not JSON (a number has too many digits)"),
]


@pytest.mark.parametrize(("bad", "message"), BAD)
def test_a_malformed_row_is_named_with_what_to_do(tmp_path, bad, message):
    with pytest.raises(ObservationError) as caught:
        read(jsonl(tmp_path / "t.jsonl", row(), bad, row()))
    assert message in str(caught.value)


def test_every_bad_row_is_named_and_alike_ones_share_a_line(tmp_path):
    bad = row(layers=[{"type": "gelu"}, {"type": "gelu"}])
    table = jsonl(tmp_path / "t.jsonl", row(), *[bad] * 30, row(), bad, row(accuracy=[]), *[row()] * 40)
    with pytest.raises(ObservationError) as caught:
        read(table)
    first, *lines = str(caught.value).splitlines()
    assert "32 malformed row(s)" in first
    assert [line.split(":")[0] for line in lines] == ["lines 2-31, 33", "line 34"]
    assert "(62 times in 31 lines)" in lines[0]


def test_percent_is_an_error_of_the_whole_table(tmp_path):
    table = jsonl(tmp_path / "t.jsonl", *[row(accuracy=[0.9, 87.3 + number]) for number in range(9)], row())
    with pytest.raises(ObservationError, match="looks like percent; divide all of them by 100"):
        load(table, EXTENDED, skip_bad_rows=True)


def test_a_table_that_is_not_text_is_named(tmp_path):
    (tmp_path / "t.jsonl").write_bytes(json.dumps(row()).encode() + b"\n\xff\xfe")
    with pytest.raises(ObservationError, match=r"t\.jsonl is neither Parquet nor JSON Lines in UTF-8"):
        read(tmp_path / "t.jsonl")


@pytest.mark.parametrize("option", ["--resolution", "--in-channels"])
def test_images_of_no_size_are_refused(tmp_path, option):
    table = jsonl(tmp_path / "t.jsonl", *networks([1] * 24))
    found = CliRunner().invoke(app, ["fit", "--table", str(table), "--out", str(tmp_path / "mine"), option, "0"])
    assert found.exit_code == 2
    assert option in found.stderr


def test_a_json_array_is_told_from_json_lines(tmp_path):
    (tmp_path / "t.json").write_text(json.dumps([row()]))
    with pytest.raises(ObservationError, match="one object a line"):
        read(tmp_path / "t.json")


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
    assert "lines 2-3: layers/4/type is of type dropout, which the paper code does not know" in text
    assert "(4 times in 2 lines)" in text
    assert "line 4: layers/0/kernel_size is a conv of kernel 3x13, but its kernel must be 1 to 5" in text
    assert "--skip-bad-rows" in text
    with pytest.raises(ObservationError, match="line 4: layers/0/kernel_size is a conv of kernel 3x13"):
        load(table, EXTENDED)


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


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_table_is_read_from_a_pipe(tmp_path, suffix):
    """A process substitution, or `/dev/stdin`: it can be read once, and is no regular file."""
    table = jsonl(tmp_path / "t.jsonl", *[row()] * 3)
    if suffix == "parquet":
        write_parquet(tmp_path / "t.parquet", read(table))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = Thread(target=lambda: pipe.write_bytes((tmp_path / f"t.{suffix}").read_bytes()), daemon=True)
    writer.start()
    assert len(read(pipe)) == 3
    writer.join()


def test_an_empty_device_has_no_rows():
    with pytest.raises(ObservationError, match="/dev/null has no rows"):
        read(Path("/dev/null"))


def test_bad_rows_are_left_out_on_demand_with_a_count(tmp_path):
    wide = [{"type": "conv", "kernel_size": 13, "out_channels": 8}]
    table = jsonl(tmp_path / "t.jsonl", row(), row(accuracy=[]), "{", row(layers=wide))
    found = load(table, EXTENDED, skip_bad_rows=True)
    assert (len(found.rows), found.skipped_rows) == (1, 3)
    assert all(f"line {number}" in found.skipped for number in (2, 3, 4))


def test_a_table_without_a_single_good_row_is_refused_even_then(tmp_path):
    with pytest.raises(ObservationError, match="1 malformed"):
        load(jsonl(tmp_path / "t.jsonl", row(accuracy=[])), EXTENDED, skip_bad_rows=True)


def test_equal_rows_are_dropped_and_runs_without_seeds_are_numbered():
    rows = [Observation.model_validate(row(accuracy=[last])) for last in (0.5, 0.5, 0.6, 0.7)]
    kept, dropped = without_repeated(rows)
    assert dropped == 1
    assert [(one.seed, one.accuracy) for one in kept] == [(0, [0.5]), (1, [0.6]), (2, [0.7])]


def test_the_mean_of_runs_of_different_lengths_ends_with_the_longest():
    rows = [
        Observation.model_validate(row(seed=seed, accuracy=[0.2, 0.4, 0.6][:length]))
        for seed, length in ((0, 1), (1, 3))
    ]
    table = tabulate(rows, EXTENDED, Shape(3, 32, 32), clamp=True)
    np.testing.assert_allclose(table.curves, [[0.2, 0.4, 0.6]])
    assert pad([table.codes[0]])[1] == 4
