"""What the shipped predictors promise: the same answer alone and in any batch, for any choice of epochs."""

import numpy as np
import pytest

from model.artifact import read_artifact, shipped
from model.runtime import Predictor
from model.ulc import encode, pad
from training.blocks import sample_blocks
from training.skeleton import assemble


@pytest.fixture(scope="module", params=shipped(), ids=lambda folder: folder.name)
def predictor(request):
    return Predictor(read_artifact(request.param))


@pytest.fixture(scope="module")
def encodings(predictor):
    card = predictor.card
    networks = [assemble(block, card.image, 8) for block in sample_blocks(40, seed=1)]
    return [encode(layers, card.layer_code, card.image, clamp=True).codes for layers in networks]


def test_the_answer_does_not_depend_on_the_batch(predictor, encodings):
    epochs = range(1, predictor.card.epochs + 1)
    together = predictor.run(*pad(encodings), epochs)
    for row, codes in enumerate(encodings):
        alone = predictor.run(*pad([codes]), epochs)
        np.testing.assert_allclose(together.accuracy[row], alone.accuracy[0], atol=1e-5)
        np.testing.assert_allclose(together.upper[row], alone.upper[0], atol=1e-5)


def test_asking_for_some_epochs_gives_the_same_values_as_the_whole_curve(predictor, encodings):
    batch = pad(encodings)
    last = predictor.card.epochs
    whole = predictor.run(*batch, range(1, last + 1)).accuracy
    some = predictor.run(*batch, [last, 1]).accuracy
    np.testing.assert_allclose(some, whole[:, [last - 1, 0]], atol=1e-6)


def test_intervals_hold_the_prediction_and_stay_within_zero_and_one(predictor, encodings):
    curves = predictor.run(*pad(encodings), range(1, predictor.card.epochs + 1))
    assert (curves.lower <= curves.accuracy).all()
    assert (curves.accuracy <= curves.upper).all()
    assert curves.lower.min() >= 0
    assert curves.upper.max() <= 1


@pytest.mark.parametrize("folder", shipped(), ids=lambda folder: folder.name)
def test_files_do_not_tell_where_they_were_made(folder):
    for file in folder.iterdir():
        assert b".py" not in file.read_bytes(), file.name
