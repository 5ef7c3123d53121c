"""A row's accuracy without a list is known after the last epoch only, wherever rows become curves."""

import numpy as np

from model.encoding.layer_code import EXTENDED
from model.network.shapes import Shape
from tests.training.observations.test_user_table import LAYERS, jsonl, row
from training.observations.read import read, write_parquet
from training.observations.report import data_report
from training.observations.table import carry_forward, tabulate
from training.observations.user_table import load, without_repeated


def test_a_single_accuracy_is_of_the_last_epoch_and_a_list_of_one_is_of_the_first(tmp_path):
    layers = [[LAYERS[0] | {"out_channels": width}] for width in (4, 5, 6)]
    given = zip(layers, (0.7, [0.7], [0.1, 0.2, 0.3]), strict=True)
    table = jsonl(tmp_path / "t.jsonl", *[row(layers=one, accuracy=accuracy) for one, accuracy in given])
    rows = load(table, EXTENDED).rows
    write_parquet(tmp_path / "t.parquet", rows)
    for same in (rows, read(tmp_path / "t.parquet")):
        curves = tabulate(same, EXTENDED, Shape(3, 32, 32), clamp=True).curves
        nan = np.nan
        np.testing.assert_array_equal(curves, [[nan, nan, 0.7], [0.7, nan, nan], [0.1, 0.2, 0.3]])
        np.testing.assert_array_equal(carry_forward(curves), [[0.7, 0.7, 0.7], [0.7, 0.7, 0.7], [0.1, 0.2, 0.3]])
        assert tabulate(same, EXTENDED, Shape(3, 32, 32), clamp=True, last=5).curves.shape == (3, 5)
    assert without_repeated([rows[0], rows[0].model_copy(update={"only_last": False})])[1] == 0
    report = data_report(load(table, EXTENDED), EXTENDED)
    assert (report["epochs"]["min"], report["epochs"]["max"], report["epochs"]["whole_curves"]) == (1, 3, 2)
