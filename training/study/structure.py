"""What the plain LSTM has learnt: its cells along the layers (Figure 6) and its structural features (Figure 7)."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.manifold import TSNE

from model.predictors.export import TorchNetwork
from model.predictors.peephole import Peephole
from model.runtime import CurvePredictor
from training.observations.table import Floats
from training.study.networks import Networks

SHOWN = 6
PERPLEXITY = 30


def _network(predictor: CurvePredictor) -> Peephole:
    assert isinstance(predictor.run, TorchNetwork) and isinstance(predictor.run.module, Peephole)  # noqa: S101, PT018
    return predictor.run.module


@torch.no_grad()
def cell_responses(predictor: CurvePredictor, codes: NDArray[np.int32]) -> Floats:
    """Return the tanh of the LSTM's memory cells after each layer [networks, layers, cells]."""
    network = _network(predictor)
    embedded = network.layers(torch.from_numpy(codes))
    state, responses = None, []
    for layer in range(embedded.shape[1]):
        _, state = network.lstm(embedded[:, layer : layer + 1], state)
        responses.append(torch.tanh(state[1][0]))
    return torch.stack(responses, dim=1).double().numpy()


@torch.no_grad()
def structural_features(predictor: CurvePredictor, codes: NDArray[np.int32]) -> Floats:
    """Return the structural features [networks, cells]."""
    lengths = torch.from_numpy((codes[:, :, 0] > 0).sum(axis=1))
    return _network(predictor).structure(torch.from_numpy(codes), lengths).double().numpy()


def _changes(responses: Floats) -> Floats:
    return np.diff(responses, axis=1, prepend=0.0)


def convolution_cell(responses: Floats, is_conv: NDArray[np.bool_], present: NDArray[np.bool_]) -> int:
    """Return the cell whose response rises most at convolutions as against other layers, in standard deviations."""
    changes = _changes(responses)
    at_conv, at_others = changes[is_conv], changes[present & ~is_conv]
    effect = (at_conv.mean(axis=0) - at_others.mean(axis=0)) / (changes[present].std(axis=0) + 1e-9)
    return int(effect.argmax())


def cells(predictor: CurvePredictor, fitting: Networks, test: Networks) -> dict[str, Any]:
    """Choose a cell on the networks it was fitted to, and describe how it responds along others.

    Returns:
        `cell`, its number; `rises_at_convolutions` and `rises_at_others`, shares of the layers of `test`; `networks`,
        some of them from the worst to the best: layer types, responses and final accuracy.
    """
    conv = fitting.code.rows["conv"].id
    responses = cell_responses(predictor, fitting.codes)
    chosen = convolution_cell(responses, fitting.codes[:, :, 0] == conv, fitting.codes[:, :, 0] > 0)
    kinds = test.codes[:, :, 0]
    along = cell_responses(predictor, test.codes)[:, :, chosen]
    rises = np.diff(along, axis=1, prepend=0.0) > 0
    names = {row.id: name for name, row in test.code.rows.items()}
    by_accuracy = np.argsort(test.final)
    shown = by_accuracy[np.linspace(0, len(by_accuracy) - 1, SHOWN).round().astype(int)]
    return {
        "cell": chosen,
        "rises_at_convolutions": round(float(rises[kinds == conv].mean()), 4),
        "rises_at_others": round(float(rises[(kinds > 0) & (kinds != conv)].mean()), 4),
        "networks": [
            {
                "accuracy": round(float(test.final[index]), 4),
                "layers": [names[int(kind)] for kind in kinds[index] if kind],
                "responses": along[index, kinds[index] > 0].round(3).tolist(),
            }
            for index in shown
        ],
    }


def embedding(predictor: CurvePredictor, networks: Networks, test: NDArray[np.intp]) -> dict[str, Any]:
    """Lay the structural features out in the plane by t-SNE.

    Returns:
        `x`, `y` and `accuracy` of each network, and whether it is a `test` network.
    """
    features = structural_features(predictor, networks.codes)
    perplexity = min(PERPLEXITY, (len(networks) - 1) / 3)
    places = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(features)
    return {
        "x": places[:, 0].astype(float).round(2).tolist(),
        "y": places[:, 1].astype(float).round(2).tolist(),
        "accuracy": networks.final.round(4).tolist(),
        "test": np.isin(np.arange(len(networks)), test).tolist(),
    }
