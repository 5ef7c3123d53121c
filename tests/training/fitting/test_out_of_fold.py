"""What the shipped predictors keep of their cross-validation."""

import numpy as np
import pytest

from model.artifact import ArtifactError, read_artifact, shipped
from model.out_of_fold import MOST_POINTS, POINTS_FILE, read_points
from training.fitting.out_of_fold import OUT_OF_FOLD_FILE, read_out_of_fold, write_points
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


@pytest.mark.parametrize("folder", KEPT, ids=lambda folder: folder.name)
def test_the_points_of_a_shipped_predictor_are_of_these_predictions(folder, tmp_path):
    """What the service shows is what `peephole report` makes of them: evenly drawn, from the worst to the best."""
    card = read_artifact(folder).card
    kept = read_out_of_fold(folder, card)
    measured, predicted = kept.measured[:, -1], kept.predicted[:, -1]
    write_points(tmp_path, card, measured, predicted)
    assert (folder / POINTS_FILE).read_text() == (tmp_path / POINTS_FILE).read_text()
    points = read_points(folder, card)
    assert len(points.measured) == MOST_POINTS
    assert points.networks == len(kept.network_ids)
    assert points.measured == sorted(points.measured)
    assert (points.measured[0], points.measured[-1]) == tuple(np.round([measured.min(), measured.max()], 4))
    pairs = set(zip(measured.round(4), predicted.round(4), strict=True))
    assert set(zip(points.measured, points.predicted, strict=True)) <= pairs


def test_points_of_another_fit_are_not_shown_and_broken_ones_are_an_error(tmp_path):
    card = read_artifact(KEPT[0]).card
    write_points(tmp_path, card, np.array([0.5, np.nan, 0.2]), np.array([0.4, 0.3, 0.1]))
    assert read_points(tmp_path, card).measured == [0.2, 0.5]
    assert read_points(tmp_path, card.model_copy(update={"files": {"members.onnx": "0" * 64}})) is None
    (tmp_path / POINTS_FILE).write_text("{}")
    with pytest.raises(ArtifactError, match=POINTS_FILE):
        read_points(tmp_path, card)
