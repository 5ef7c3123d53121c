"""PyTorch and ONNX say the same, for the paper's predictor and for the shipped one."""

import subprocess
import sys

import numpy as np
import onnx
import torch

from model.encoding.layer_code import EXTENDED, PAPER, encode, pad
from model.network.shapes import Shape
from model.predictors.export import OPSET, TOLERANCE, largest_difference, opset, to_onnx
from model.predictors.paper_predictor import PaperPredictor
from model.predictors.peephole import Peephole, fold_batch_norm
from model.sampling.blocks import sample_blocks
from model.sampling.skeleton import assemble
from training.fitting.fit_ensemble import fit_ensemble
from training.fitting.recipe import Recipe
from training.observations.table import Table

IMAGE = Shape(1, 14, 14)
EPOCHS = 4


def networks(code):
    layers = [assemble(block, IMAGE, 8) for block in sample_blocks(40, seed=3)]
    return [encode(network, code, IMAGE, clamp=True).codes for network in layers]


def test_the_papers_predictor_has_the_papers_sizes():
    network = Peephole(PAPER, epochs=120)
    assert network.layers(torch.ones(1, 1, 4, dtype=torch.int32)).shape[-1] == 40
    assert network.epochs.embedding_dim == 40
    assert network.lstm.lstm.hidden_size == 160
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


def test_exporting_alone_knows_every_operator_it_translates():
    names = ("running_maximum", "sum_of_squares", "lstm")
    code = f"import torch, model.predictors.export; [getattr(torch.ops.peephole, name).default for name in {names}]"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_papers_predictor_is_exported_within_tolerance():
    predictor = PaperPredictor(fitted_peephole(), EPOCHS, torch.randn(5, 160))
    model = to_onnx(predictor, PAPER, EPOCHS)
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
    table = Table([str(number) for number in range(len(codes))], codes, lengths, curves)
    ensemble = fit_ensemble(table, IMAGE, Recipe(members=2, passes=2, attempts=1))
    model = to_onnx(ensemble, EXTENDED, EPOCHS)
    assert largest_difference(ensemble, model, encodings, EPOCHS) < TOLERANCE


def test_a_difference_is_seen():
    torch.manual_seed(0)
    one, other = (PaperPredictor(Peephole(PAPER, EPOCHS), EPOCHS, torch.randn(5, 160)) for _ in range(2))
    assert largest_difference(one, to_onnx(other, PAPER, EPOCHS), networks(PAPER), EPOCHS) > TOLERANCE
