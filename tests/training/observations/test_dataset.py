"""Rows become curves: runs are averaged, a single accuracy is of the last epoch, duplicates have one group."""

import numpy as np

from model.encoding.layer_code import EXTENDED, pad
from model.network.shapes import Shape
from tests.training.tables import LAYERS, jsonl, row
from training.observations.dataset import CurveDataset, carry_forward, to_dataset
from training.observations.observation import Observation
from training.observations.read import read, write_parquet
from training.observations.report import data_report
from training.observations.user_table import load, without_repeated


def test_a_single_accuracy_is_of_the_last_epoch_and_a_list_of_one_is_of_the_first(tmp_path):
    layers = [[LAYERS[0] | {"out_channels": width}] for width in (4, 5, 6)]
    given = zip(layers, (0.7, [0.7], [0.1, 0.2, 0.3]), strict=True)
    table = jsonl(tmp_path / "t.jsonl", *[row(layers=one, accuracy=accuracy) for one, accuracy in given])
    rows = load(table, EXTENDED).rows
    write_parquet(tmp_path / "t.parquet", rows)
    for same in (rows, read(tmp_path / "t.parquet")):
        curves = to_dataset(same, EXTENDED, Shape(3, 32, 32)).curves
        nan = np.nan
        np.testing.assert_array_equal(curves, [[nan, nan, 0.7], [0.7, nan, nan], [0.1, 0.2, 0.3]])
        np.testing.assert_array_equal(carry_forward(curves), [[0.7, 0.7, 0.7], [0.7, 0.7, 0.7], [0.1, 0.2, 0.3]])
        assert to_dataset(same, EXTENDED, Shape(3, 32, 32), last=5).curves.shape == (3, 5)
    assert without_repeated([rows[0], rows[0].model_copy(update={"final_only": False})])[1] == 0
    report = data_report(load(table, EXTENDED), EXTENDED)
    assert (report["epochs"]["min"], report["epochs"]["max"], report["epochs"]["whole_curves"]) == (1, 3, 2)


def test_a_single_accuracy_is_marked_whatever_the_table_calls_the_mark():
    marks = [row(accuracy=0.7), row(accuracy=[0.7], final_only=True), row(accuracy=[0.7], only_last=True)]
    assert all(Observation.model_validate(one).final_only for one in marks)
    assert not Observation.model_validate(row(accuracy=[0.7])).final_only


def test_the_mean_of_runs_of_different_lengths_ends_with_the_longest():
    rows = [
        Observation.model_validate(row(seed=seed, accuracy=[0.2, 0.4, 0.6][:length]))
        for seed, length in ((0, 1), (1, 3))
    ]
    dataset = to_dataset(rows, EXTENDED, Shape(3, 32, 32))
    np.testing.assert_allclose(dataset.curves, [[0.2, 0.4, 0.6]])
    assert dataset.lengths.tolist() == [4]


def test_padding_does_not_tell_duplicates_apart():
    short, long = (np.ones((length, 2), dtype=np.int32) for length in (1, 3))
    codes, lengths = pad([short, long, short])
    table = CurveDataset(["a", "b", "c"], codes, lengths, np.ones((3, 1)))
    assert table.duplicate_groups.tolist() == [0, 1, 0]
