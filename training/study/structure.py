"""What the plain LSTM has learnt: a cell along the layers (Figure 6) and its structural features (Figure 7)."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.manifold import TSNE

from model.network.layer_types import TYPE_IDS
from model.predictors.export import TorchNetwork
from model.predictors.peephole import Peephole
from model.runtime import CurvePredictor
from training.observations.dataset import Floats
from training.study.networks import Networks, Study, Task
from training.study.results import Row, record_networks, rows_of

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


def convolution_cell(responses: Floats, is_conv: NDArray[np.bool_], present: NDArray[np.bool_]) -> int:
    """Return the cell whose response rises most at convolutions as against other layers, in standard deviations."""
    changes = np.diff(responses, axis=1, prepend=0.0)
    at_conv, at_others = changes[is_conv], changes[present & ~is_conv]
    effect = (at_conv.mean(axis=0) - at_others.mean(axis=0)) / (changes[present].std(axis=0) + 1e-9)
    return int(effect.argmax())


def look_into(predictor: CurvePredictor, task: Task, study: Study, method: str) -> Iterator[Row]:
    """Describe a cell, chosen on the training split, on the test split; keep what the pictures show of networks."""
    networks, ((fitting, tested),) = task.networks, task.parts
    known, test = networks.rows(fitting), networks.rows(tested)
    conv = TYPE_IDS["conv"]
    cell = convolution_cell(
        cell_responses(predictor, known.codes), known.codes[:, :, 0] == conv, known.codes[:, :, 0] > 0
    )
    responses, kinds = cell_responses(predictor, test.codes)[:, :, cell], test.codes[:, :, 0]
    rises = np.diff(responses, axis=1, prepend=0.0) > 0
    figures = {
        "cell": cell,
        "rises_at_convolutions": rises[kinds == conv].mean(),
        "rises_at_others": rises[(kinds > 0) & (kinds != conv)].mean(),
    }
    yield from rows_of("lstm-cell", task.name, method, figures, networks=len(test), data_sha=task.data_sha)
    shown = np.argsort(test.final)[np.linspace(0, len(test) - 1, SHOWN).round().astype(int)]
    along = {
        test.table.network_ids[index]: " ".join(f"{one:.3f}" for one in responses[index, kinds[index] > 0])
        for index in shown
    }
    record_networks(study.drawn_networks, task.name, {"lstm_cell": along, **embedding(predictor, networks)})


def embedding(predictor: CurvePredictor, networks: Networks) -> dict[str, dict[str, float]]:
    """Return the place of each network's structural features in the plane, by t-SNE."""
    features = structural_features(predictor, networks.codes)
    perplexity = min(PERPLEXITY, (len(networks) - 1) / 3)
    places = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(features)
    columns = zip(("tsne_x", "tsne_y"), places.T.astype(float), strict=True)
    return {name: dict(zip(networks.table.network_ids, values, strict=True)) for name, values in columns}
