"""Tables of any origin: what is meant the same is read the same, and each bad row is named with what to do."""

import json
import os
from pathlib import Path
from threading import Thread

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.network.hashing import canonical_hash
from model.network.shapes import Shape
from tests.training.tables import LAYERS, jsonl, row
from training.observations.observation import Observation, ObservationError
from training.observations.read import read, write_parquet


def test_json_lines_need_only_three_fields(tmp_path):
    (one,) = read(jsonl(tmp_path / "t.jsonl", row()))
    assert one.accuracy == [0.5, 0.6]
    assert one.layers == [*LAYERS[:2], LAYERS[2] | {"kernel_size": (1, 3)}, LAYERS[3]]


def test_a_table_is_written_and_read_again(tmp_path):
    """All fields are kept, the user's name for a network included; one who gave none has none."""
    names = ["", "mine", None]
    rows = [Observation.model_validate(row(seed=n, id=name, accuracy=[0.1] * (n + 1))) for n, name in enumerate(names)]
    write_parquet(tmp_path / "t.parquet", rows)
    assert read(tmp_path / "t.parquet") == rows
    assert [one.id for one in read(tmp_path / "t.parquet")] == names


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
    assert {one.network_id for one in rows} == {canonical_hash(expected, Shape(3, 32, 32))}


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
    (
        row(layers=[{"type": "mish"}]),
        "line 2: layers/0/type is mish: write silu or gelu, which are much like it; the types are: ",
    ),
    (
        row(layers=[{"type": "Conv2d"}]),
        "line 2: layers/0/type is Conv2d: did you mean `conv`? The types are: ",
    ),
    (row(layers=[{"kernel_size": 3}]), "line 2: layers/0/type: `type` is missing"),
    (row(layers=["relu"]), "line 2: layers/0: a layer is an object with a `type`"),
    (row(layers=[{"type": "dropout", "p": "half"}]), "line 2: layers/0/p: must be a number"),
    (row(layers=[{"type": "linear", "out_features": "8x"}]), "line 2: layers/0/out_features: must be an integer"),
    (row(layers=[{"type": "linear", "out_features": 8.5}]), "line 2: layers/0/out_features: must be an integer"),
    (
        row(layers=[LAYERS[0] | {"dilations": 8}]),
        "line 2: layers/0/dilations: unknown field; write dilation; the fields of conv are: ",
    ),
    (
        row(layers=[LAYERS[0] | {"kernel": 3}]),
        "line 2: layers/0/kernel: unknown field; the fields of conv are: ",
    ),
    (
        row(layers=[LAYERS[0] | {"kernel_size": 0}]),
        "line 2: layers/0/kernel_size: must be an integer from 1 to 1024",
    ),
    (row(layers={"conv": 3}), "line 2: layers is an object, not a list of layers"),
    (row(accuracy=[0.5, {"loss": 1}]), "line 2: accuracy/1 is not a number but an object"),
    (row(layers=[{"type": "conv", "kernel_size": 3}]), "line 2: layers/0: give exactly one of out_channels and"),
    (row(layers="[{"), "line 2: layers is not JSON: it ends before it is complete"),
    ({"task": "mine", "layers": LAYERS, "acc": 1}, "line 2: accuracy is missing; a row needs task, layers, accuracy"),
    (row(resolution=0), "line 2: resolution input should be greater than or equal to 1"),
    (row(in_channels=-3), "line 2: in_channels input should be greater than or equal to 1"),
    (row(seed="first"), "line 2: seed input should be a valid integer"),
    ("[1]", "line 2: is not an object with the fields task"),
    ("{", "line 2: not JSON"),
    ("[" * 20_000, "line 2: not JSON: it is nested too deeply"),
    (row(layers="[" * 20_000), "line 2: layers is not JSON: it is nested too deeply"),
    ('{"seed": ' + "1" * 5001 + "}", "line 2: not JSON: a number has too many digits"),
]


@pytest.mark.parametrize(("bad", "message"), BAD)
def test_a_malformed_row_is_named_with_what_to_do(tmp_path, bad, message):
    with pytest.raises(ObservationError) as caught:
        read(jsonl(tmp_path / "t.jsonl", row(), bad, row()))
    assert message in str(caught.value)


OBJECTS = {"0": 0.2, "1": 0.4}, {"loss": [1, 2], "val_accuracy": [0.2, 0.4]}


@pytest.mark.parametrize("curve", [*OBJECTS, json.dumps(OBJECTS[0])])
def test_a_curve_given_as_an_object_is_named(curve, tmp_path):
    """As `pandas` writes a dictionary, or Keras its history."""
    with pytest.raises(ObservationError, match=r"lines 2-3: accuracy is an object, not a list of accuracies$"):
        read(jsonl(tmp_path / "t.jsonl", row(), *[row(accuracy=curve)] * 2))


@pytest.mark.parametrize("kind", [pa.map_(pa.string(), pa.float64()), pa.struct([("a", pa.float64())])])
def test_a_curve_that_parquet_holds_as_an_object_is_named(kind, tmp_path):
    curves = pa.array([{"a": 0.5}, {"a": 0.6}], type=pa.struct([("a", pa.float64())]))
    if pa.types.is_map(kind):
        curves = pa.array([[("a", 0.5)], [("a", 0.6)]], type=kind)
    columns = {"task": ["mine"] * 2, "layers": [json.dumps(LAYERS)] * 2, "accuracy": curves}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(ObservationError, match=r"rows 0-1: accuracy is an object, not a list of accuracies$"):
        read(tmp_path / "t.parquet")


def damaged(content):
    """A Parquet file, damaged in several ways."""
    return {
        "cut short": content[: len(content) // 2],
        "an end without a beginning": b"PAR1" + content[-100:],
        "a page overwritten": content[:30] + b"\xff" * 40 + content[70:],
        "text that is not UTF-8": content.replace(b"letters", b"l\xff\xfeters"),
        "nothing but its mark": b"PAR1",
    }


@pytest.mark.parametrize("kind", damaged(b""))
def test_a_damaged_parquet_file_is_one_line_with_its_name(kind, tmp_path):
    path = tmp_path / "t.parquet"
    rows = [row(layers=json.dumps(LAYERS), task=f"letters {number}") for number in range(50)]
    pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd" if kind == "a page overwritten" else "none")
    path.write_bytes(damaged(path.read_bytes())[kind])
    with pytest.raises(ObservationError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path} cannot be read as Parquet: ")
    assert "\n" not in str(caught.value)


def test_columns_of_one_name_are_named(tmp_path):
    path = tmp_path / "t.parquet"
    values = [["mine"], [json.dumps(LAYERS)], [[0.5]], ["other"]]
    pq.write_table(pa.table([pa.array(one) for one in values], names=["task", "layers", "accuracy", "task"]), path)
    with pytest.raises(ObservationError, match=f"^{path} has two columns of the name task$"):
        read(path)


def test_every_bad_row_is_named_and_alike_ones_share_a_line(tmp_path):
    bad = row(layers=[{"type": "mish"}, {"type": "mish"}])
    table = jsonl(tmp_path / "t.jsonl", row(), *[bad] * 30, row(), bad, row(accuracy=[]), *[row()] * 40)
    with pytest.raises(ObservationError) as caught:
        read(table)
    first, *lines = str(caught.value).splitlines()
    assert "32 malformed row(s)" in first
    assert [line.split(":")[0] for line in lines] == ["lines 2-31, 33", "line 34"]
    assert "(62 times in 31 lines)" in lines[0]


def test_a_table_that_is_not_text_is_named(tmp_path):
    (tmp_path / "t.jsonl").write_bytes(json.dumps(row()).encode() + b"\n\xff\xfe")
    with pytest.raises(ObservationError, match=r"t\.jsonl is neither Parquet nor JSON Lines in UTF-8"):
        read(tmp_path / "t.jsonl")


def test_a_json_array_is_told_from_json_lines(tmp_path):
    (tmp_path / "t.json").write_text(json.dumps([row()]))
    with pytest.raises(ObservationError, match="one object a line"):
        read(tmp_path / "t.json")


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


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(ObservationError, match="does not exist"):
        read(tmp_path / "none.parquet")
