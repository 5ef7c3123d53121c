"""What the shipped predictors promise: the same answer alone and in any batch, for any choice of epochs."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from model.artifact import read_artifact, shipped
from model.encoding.layer_code import encode, pad
from model.network.schema import FIELDS, LAYERS
from model.runtime import Predictor
from model.sampling.blocks import sample_blocks
from model.sampling.skeleton import assemble

GOLDEN = np.load(Path(__file__).with_name("predictions.npz"))


@pytest.fixture(scope="module", params=shipped(), ids=lambda folder: folder.name)
def predictor(request):
    return Predictor(read_artifact(request.param))


@pytest.fixture(scope="module")
def encodings(predictor):
    card = predictor.card
    networks = [assemble(block, card.image, 8) for block in sample_blocks(40, seed=1)]
    networks += [[{"type": "relu"}], [{"type": "conv", "kernel_size": 3, "out_channels": 8}]]
    return [encode(layers, card.layer_code, card.image).codes for layers in networks]


def test_the_answer_does_not_depend_on_the_batch(predictor, encodings):
    epochs = range(1, predictor.card.epochs + 1)
    together = predictor.run(*pad(encodings), epochs)
    for row, codes in enumerate(encodings):
        alone = predictor.run(*pad([codes]), epochs)
        np.testing.assert_allclose(together.accuracy[row], alone.accuracy[0], atol=1e-5)
        np.testing.assert_allclose(together.upper[row], alone.upper[0], atol=1e-5)


def test_chains_are_predicted_as_by_the_version_that_knew_chains_only(predictor):
    """Of the artifacts that were read then: networks of a committed table, and one of all ten types of layers."""
    card = predictor.card
    if f"{card.task}/version" not in GOLDEN or GOLDEN[f"{card.task}/version"] != card.version:
        pytest.skip(f"{card.task} has been fitted since")
    encodings = [encode(LAYERS.validate_json(text), card.layer_code, card.image).codes for text in GOLDEN["layers"]]
    curves = predictor.run(*pad(encodings), range(1, card.epochs + 1))
    np.testing.assert_allclose(curves.accuracy, GOLDEN[f"{card.task}/accuracy"], atol=1e-5)
    np.testing.assert_allclose(curves.distance, GOLDEN[f"{card.task}/distance"], atol=1e-5)


def test_every_lane_gives_the_same_answer(predictor, encodings):
    batch, epochs = pad(encodings), range(1, predictor.card.epochs + 1)
    folder = next(folder for folder in shipped() if folder.name == predictor.card.task)
    with_lanes = Predictor(read_artifact(folder), lanes=2)
    for lane in (0, 1):
        np.testing.assert_array_equal(
            with_lanes.run(*batch, epochs, lane=lane).accuracy, predictor.run(*batch, epochs).accuracy
        )


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


@pytest.mark.parametrize("folder", shipped(), ids=lambda folder: folder.name)
def test_nothing_is_cut_off_by_padding(folder):
    """ONNX Runtime before 1.24 makes noise of a network of one layer when a `Pad` takes that layer away."""
    for file in folder.glob("*.onnx"):
        graph = onnx.load(file).graph
        values = {entry.name: numpy_helper.to_array(entry) for entry in graph.initializer}
        amounts = [values[node.input[1]] for node in graph.node if node.op_type == "Pad"]
        assert all((amount >= 0).all() for amount in amounts), file.name


def test_every_type_without_fields_is_read(predictor):
    """Also one that is younger than the predictor."""
    conv = {"type": "conv", "kernel_size": 3, "out_channels": 8}
    for kind in (kind for kind, fields in FIELDS.items() if not fields and kind not in {"add", "mul", "concat"}):
        codes = encode([conv, {"type": kind}], predictor.card.layer_code, predictor.card.image).codes
        assert np.isfinite(predictor.run(*pad([codes]), [1]).accuracy).all(), kind
