"""Networks that the encoding does not tell apart never stand on both sides of a fold or of the test split."""

import numpy as np
import pytest
from sklearn.model_selection import KFold

from model.calibration import Calibration, CurveScale, StandardisedPrediction
from model.encoding.layer_code import EXTENDED, pad
from model.network.shapes import Shape
from training.fitting.calibrate import cross_validate
from training.fitting.fit import fit
from training.fitting.fit_ensemble import fit_ensemble
from training.fitting.recipe import Recipe
from training.observations.observation import Observation, ObservationError
from training.observations.split import training_split
from training.observations.table import Table, tabulate

IMAGE = Shape(3, 32, 32)
TINY = Recipe(members=1, passes=1, attempts=1)


def network(width, accuracy, *, copy=False):
    """Return a row; the copy's dropout differs by less than the code resolves."""
    layers = [
        {"type": "conv", "kernel_size": 3, "out_channels": width},
        {"type": "conv", "kernel_size": 1 + width % 5, "channel_ratio": 2.0},
        {"type": "dropout", "p": 0.50001 if copy else 0.5},
    ]
    return Observation(task="mine", layers=layers, accuracy=[accuracy])


def test_random_labels_stay_random_when_every_network_is_there_twice():
    labels = np.random.default_rng(0).uniform(0.1, 0.9, 60)
    rows = [network(4 + n, label, copy=copy) for copy in (False, True) for n, label in enumerate(labels)]
    table = tabulate(rows, EXTENDED, IMAGE, clamp=True)
    assert len(table) == 120
    found = cross_validate(table, lambda part, fold: fit_ensemble(part, IMAGE, TINY, seed=fold))
    assert (found.fold[:60] == found.fold[60:]).all()
    assert abs(found.metrics().tau) < 0.25


class Stub:
    """A predictor of the mean."""

    def __init__(self, part):
        self.calibration = Calibration.without(CurveScale.of_logits(part.curves))


def test_tables_without_duplicates_are_folded_as_scikit_learn_does(monkeypatch):
    rows = [network(width, width / 100) for width in range(4, 35)]
    table = tabulate(rows, EXTENDED, IMAGE, clamp=True)

    def mean(predictor, part):
        zeros = np.zeros_like(part.curves)
        return zeros, StandardisedPrediction(zeros, zeros, np.zeros(len(part)))

    monkeypatch.setattr("training.fitting.calibrate.predict_table", mean)
    found = cross_validate(table, lambda part, fold: Stub(part), seed=3)
    for number, (_, out) in enumerate(KFold(5, shuffle=True, random_state=3).split(rows)):
        assert np.flatnonzero(found.fold == number).tolist() == out.tolist()


def test_padding_does_not_tell_duplicates_apart():
    short, long = (np.ones((length, 2), dtype=np.int32) for length in (1, 3))
    codes, lengths = pad([short, long, short])
    table = Table(["a", "b", "c"], codes, lengths, np.ones((3, 1)))
    assert table.groups.tolist() == [0, 1, 0]


def test_a_duplicate_of_a_test_network_is_not_fitted_to(tmp_path):
    rows = [network(width, width / 100, copy=copy) for width in range(4, 44) for copy in (False, True)]
    across = [pair for pair in zip(rows[::2], rows[1::2], strict=True) if len({r.split for r in pair}) > 1]
    kept, left_out = training_split(rows, EXTENDED, IMAGE)
    assert 0 < left_out == len(across)
    groups = [{row.layers[0]["out_channels"] for row in part} for part in (kept, [r for r in rows if r not in kept])]
    assert not groups[0] & groups[1]
    card = fit(rows, tmp_path, split="train", recipe=TINY).card
    assert card.training["duplicates_left_out"] == left_out
    assert card.training["networks"] == len(kept)


def test_networks_with_one_code_are_rejected(tmp_path):
    layers = [[{"type": "conv", "kernel_size": 3, "out_channels": width}] for width in range(1000, 1020)]
    rows = [Observation(task="mine", layers=one, accuracy=[0.5]) for one in layers]
    with pytest.raises(ObservationError, match="have one code in the paper code"):
        fit(rows, tmp_path, code_name="paper")
