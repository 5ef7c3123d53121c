"""Tables from anywhere are read, and each bad row is named."""

import json

import pytest

from training.measuring.durations import parse_duration
from training.observations.observation import Observation, ObservationError
from training.observations.read import read, write_parquet

LAYERS = [{"type": "conv", "kernel_size": 3, "out_channels": 8}, {"type": "relu"}]


def row(**changes):
    return {"task": "mine", "layers": LAYERS, "accuracy": [0.5, 0.6]} | changes


def jsonl(path, *rows):
    path.write_text("\n".join(json.dumps(one) if isinstance(one, dict) else one for one in rows) + "\n")
    return path


def test_json_lines_need_only_three_fields(tmp_path):
    (observation,) = read(jsonl(tmp_path / "t.jsonl", row()))
    assert observation.accuracy == [0.5, 0.6]
    assert observation.layers[0]["kernel_size"] in (3, (3, 3))


def test_layers_may_be_json_text(tmp_path):
    assert len(read(jsonl(tmp_path / "t.jsonl", row(layers=json.dumps(LAYERS))))[0].layers) == 2


def test_parquet_round_trip(tmp_path):
    observations = [Observation.model_validate(row(seed=seed, accuracy=[0.1] * (seed + 1))) for seed in range(3)]
    write_parquet(tmp_path / "t.parquet", observations)
    again = read(tmp_path / "t.parquet")
    assert [one.accuracy for one in again] == [one.accuracy for one in observations]
    assert [one.network_id for one in again] == [one.network_id for one in observations]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row(accuracy=[0.5, 1.5]), "line 2: accuracy/1"),
        (row(accuracy=[]), "line 2: accuracy"),
        (row(layers=[{"type": "gelu"}]), "line 2: layers/0"),
        (row(layers="[{"), "line 2: layers is not JSON"),
        ({"task": "mine", "layers": LAYERS}, "line 2: accuracy"),
        ("{", "line 2: not JSON"),
    ],
)
def test_a_malformed_row_is_named(tmp_path, bad, message):
    with pytest.raises(ObservationError, match=message):
        read(jsonl(tmp_path / "t.jsonl", row(), bad, row()))


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(ObservationError, match="does not exist"):
        read(tmp_path / "none.parquet")


@pytest.mark.parametrize(("text", "seconds"), [("90m", 5400), ("2h", 7200), ("45s", 45), ("1.5h", 5400), ("30", 30)])
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


def test_a_bad_duration_says_how_to_write_one():
    with pytest.raises(ValueError, match="90m"):
        parse_duration("soon")
