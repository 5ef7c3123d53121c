"""What the shipped predictors keep of their cross-validation."""

import numpy as np
import pytest

from model.artifact import read_artifact, shipped
from training.fitting.out_of_fold import OUT_OF_FOLD_FILE, read_out_of_fold
from training.metrics import score

KEPT = [folder for folder in shipped() if (folder / OUT_OF_FOLD_FILE).exists()]  # those of public spaces keep none


@pytest.mark.parametrize("folder", KEPT, ids=lambda folder: folder.name)
def test_a_shipped_predictor_keeps_the_predictions_that_its_card_measures(folder):
    card = read_artifact(folder).card
    kept = read_out_of_fold(folder, card)
    said = card.metrics["cross_validation"]
    assert len(kept.network_ids) == said["networks"]
    folds = [kept.fold == number for number in range(said["folds"])]
    scores = [score(kept.measured[out], kept.predicted[out]) for out in folds]
    for name in ("tau", "r2", "mse", "curve_mae"):
        assert np.mean([getattr(one, name) for one in scores]) == pytest.approx(said[name], rel=1e-3)
