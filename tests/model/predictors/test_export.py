"""ONNX Runtime predicts what PyTorch predicts, with the paper's network and with the shipped ensemble."""

import numpy as np
import onnx
import torch

from model.calibration import Calibration, CurveScale
from model.encoding.layer_code import EXTENDED, PAPER, encode, pad
from model.network.shapes import Shape
from model.paper_lstm import PaperLSTM
from model.predictors.export import OPSET, TOLERANCE, TorchNetwork, largest_difference, opset, to_onnx
from model.predictors.peephole import Peephole, fold_batch_norm
from model.runtime import CurvePredictor
from model.sampling.blocks import sample_blocks
from model.sampling.skeleton import assemble
from training.fitting.ensemble_config import EnsembleConfig
from training.fitting.fit_ensemble import fit_ensemble
from training.observations.dataset import CurveDataset

IMAGE = Shape(1, 14, 14)
EPOCHS = 4


def networks(code):
    layers = [assemble(block, IMAGE, 8) for block in sample_blocks(40, seed=3)]
    return [encode(network, code, IMAGE).codes for network in layers]


def test_the_papers_predictor_has_the_papers_sizes():
    network = Peephole(PAPER, epochs=120)
    assert network.layers(torch.ones(1, 1, 4, dtype=torch.int32)).shape[-1] == 40
    assert network.epochs.embedding_dim == 40
    assert network.lstm.hidden_size == 160
    assert [m.out_features for m in network.mlp if isinstance(m, torch.nn.Linear)] == [200, 200, 1]
    assert network.from_structure.out_features == 200
    assert network.layers.kernel.num_embeddings == 6, "kernel width and height share one table, 0 is padding"


def fitted_peephole():
    torch.manual_seed(0)
    peephole = Peephole(PAPER, EPOCHS)
    for module in peephole.modules():  # batch norm that is not the identity
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.normal_(module.bias)
    return peephole.eval()


def test_the_papers_predictor_needs_no_batch_normalisation_once_fitted():
    peephole = fitted_peephole()
    codes, lengths = map(torch.from_numpy, pad(networks(PAPER)))
    epochs = torch.arange(1, EPOCHS + 1)
    with torch.no_grad():
        folded = fold_batch_norm(peephole)
        torch.testing.assert_close(folded(codes, lengths, epochs), peephole(codes, lengths, epochs))
    assert not any(isinstance(module, torch.nn.BatchNorm1d) for module in folded.modules())
    assert sum(isinstance(module, torch.nn.BatchNorm1d) for module in peephole.modules()) == 3


def predictor_of(peephole):
    family = PaperLSTM(np.random.default_rng(0).normal(size=(5, 160)))
    return CurvePredictor(family, Calibration.without(CurveScale.unchanged(EPOCHS)), TorchNetwork(peephole))


def test_the_structural_feature_is_the_state_after_the_last_layer():
    """Whatever the longest network of the batch is."""
    peephole, encodings = fitted_peephole(), networks(PAPER)[:8]
    epochs = torch.arange(1, EPOCHS + 1)
    with torch.no_grad():
        curves, structures = peephole(*map(torch.from_numpy, pad(encodings)), epochs)
        for row, codes in enumerate(encodings):
            alone = torch.from_numpy(codes[None])
            _, (state, _) = peephole.lstm(peephole.layers(alone))
            torch.testing.assert_close(structures[row], state[0, 0])
            torch.testing.assert_close(curves[row], peephole.curve(state[0], epochs)[0])


def test_the_papers_predictor_is_exported_within_tolerance():
    folded = fold_batch_norm(fitted_peephole())
    predictor, model = predictor_of(folded), to_onnx(folded)
    assert largest_difference(predictor, model, networks(PAPER), EPOCHS) < TOLERANCE
    assert opset(model) == OPSET
    operators = {node.op_type for node in onnx.load_model_from_string(model).graph.node}
    assert "LSTM" in operators
    assert "BatchNormalization" not in operators
    assert b".py" not in model, "where it was exported is nobody's business"


def test_the_ensemble_is_exported_within_tolerance():
    encodings = networks(EXTENDED)
    codes, lengths = pad(encodings)
    rng = np.random.default_rng(0)
    curves = np.clip(np.sort(rng.uniform(0.1, 0.9, (len(codes), EPOCHS)), axis=1), 0, 1)
    table = CurveDataset([str(number) for number in range(len(codes))], codes, lengths, curves)
    ensemble = fit_ensemble(table, IMAGE, EnsembleConfig(members=2, passes=2, attempts=1))
    model = to_onnx(ensemble.run.module)
    assert largest_difference(ensemble, model, encodings, EPOCHS) < TOLERANCE


def test_a_difference_is_seen():
    torch.manual_seed(0)
    one, other = (Peephole(PAPER, EPOCHS).eval() for _ in range(2))
    assert largest_difference(predictor_of(one), to_onnx(other), networks(PAPER), EPOCHS) > TOLERANCE
