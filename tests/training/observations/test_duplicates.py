"""Networks that the encoding does not tell apart never stand on both sides of a fold or of the test split."""

import numpy as np
import pytest
from sklearn.model_selection import KFold

from model.calibration import Calibration, CurveScale, StandardisedPrediction
from model.encoding.layer_code import EXTENDED
from model.network.shapes import Shape
from training.fitting.calibrate import cross_validate
from training.fitting.ensemble_config import EnsembleConfig
from training.fitting.fit import fit
from training.observations.dataset import to_dataset, training_split
from training.observations.observation import Observation, ObservationError

IMAGE = Shape(3, 32, 32)
TINY = EnsembleConfig(members=1, passes=1, attempts=1)


def network(width, accuracy, *, copy=False):
    """Return a row; the copy's dropout differs by less than the code resolves."""
    layers = [
        {"type": "conv", "kernel_size": 3, "out_channels": width},
        {"type": "conv", "kernel_size": 1 + width % 5, "channel_ratio": 2.0},
        {"type": "dropout", "p": 0.50001 if copy else 0.5},
    ]
    return Observation(task="mine", layers=layers, accuracy=[accuracy])


class Mean:
    """A predictor of 0.5."""

    def __init__(self, part):
        self.calibration = Calibration.without(CurveScale.of_logits(part.curves))


@pytest.fixture
def fold_of(monkeypatch):
    """Return the fold of each row's network in a cross-validation."""

    def predict(predictor, part):
        zeros = np.zeros_like(part.curves)
        return zeros, StandardisedPrediction(zeros, zeros, np.zeros(len(part)))

    monkeypatch.setattr("training.fitting.calibrate.predict_table", predict)

    def fold(rows, seed=0):
        dataset = to_dataset(rows, EXTENDED, IMAGE)
        assert len(dataset) == len(rows)
        return cross_validate(dataset, lambda part, fold: Mean(part), seed=seed).fold

    return fold


def test_duplicates_share_a_fold(fold_of):
    folds = fold_of([network(4 + n, n / 60, copy=copy) for copy in (False, True) for n in range(60)])
    assert (folds[:60] == folds[60:]).all()
    assert len(set(folds)) == 5


def test_tables_without_duplicates_are_folded_as_scikit_learn_does(fold_of):
    rows = [network(width, width / 100) for width in range(4, 35)]
    folds = fold_of(rows, seed=3)
    for number, (_, out) in enumerate(KFold(5, shuffle=True, random_state=3).split(rows)):
        assert np.flatnonzero(folds == number).tolist() == out.tolist()


def test_a_duplicate_of_a_test_network_is_not_fitted_to():
    rows = [network(width, width / 100, copy=copy) for width in range(4, 44) for copy in (False, True)]
    across = [pair for pair in zip(rows[::2], rows[1::2], strict=True) if len({r.split for r in pair}) > 1]
    kept, left_out = training_split(rows, EXTENDED, IMAGE)
    assert 0 < left_out == len(across)
    groups = [{row.layers[0]["out_channels"] for row in part} for part in (kept, [r for r in rows if r not in kept])]
    assert not groups[0] & groups[1]


def test_networks_with_one_code_are_rejected(tmp_path):
    layers = [[{"type": "conv", "kernel_size": 3, "out_channels": width}] for width in range(1000, 1020)]
    rows = [Observation(task="mine", layers=one, accuracy=[0.5]) for one in layers]
    with pytest.raises(ObservationError, match="have one code in the paper code"):
        fit(rows, tmp_path, code_name="paper")
