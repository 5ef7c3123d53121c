"""Baselines that read networks as graphs of layers, and forests: how they are made, and that they learn an order."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from model.encoding.layer_code import EXTENDED, encode, pad
from model.network.shapes import Shape
from training.baselines import dclp
from training.baselines.dclp import DCLP, pretrain
from training.baselines.forests import RandomForest
from training.baselines.fr_nas import FRNAS
from training.baselines.gin import GraphIsomorphismNetwork
from training.baselines.layer_graphs import LayerGraphs
from training.baselines.shares import accuracies, shares
from training.metrics import tau
from training.observations.read import read
from training.study.networks import Networks, describe

IMAGE = Shape(3, 16, 16)
RESIDUAL = [
    {"type": "conv", "kernel_size": 3, "out_channels": 8, "name": "c"},
    {"type": "relu"},
    {"type": "conv", "kernel_size": 3, "out_channels": 8, "name": "d"},
    {"type": "add", "inputs": ["d", "c"]},
]
CHAIN = [{"type": "conv", "kernel_size": 5, "out_channels": 4}, {"type": "sigmoid"}]


@pytest.fixture(scope="module")
def measured() -> tuple[Networks, Networks]:
    """100 networks of cifar10-mini's training split and 100 of its test split."""
    rows = list({row.network_id: row for row in read(Path("data/cifar10-mini.parquet"))}.values())
    known = [row for row in rows if row.split == "train"][:100]
    others = [row for row in rows if row.split == "test"][:100]
    return describe(known), describe(others)


@pytest.fixture(scope="module")
def graphs() -> LayerGraphs:
    return LayerGraphs.of(pad([encode(one, EXTENDED, IMAGE).codes for one in (RESIDUAL, CHAIN, RESIDUAL)])[0], IMAGE)


def test_a_batch_has_the_edges_of_its_networks(graphs):
    """Rows are numbered through; the sum of a skip connection reads both of what it adds."""
    assert graphs.lengths.tolist() == [4, 2, 4]
    batch = graphs.batch(np.array([1, 2]))
    edges = set(zip(batch.source.tolist(), batch.target.tolist(), strict=True))
    assert edges == {(0, 1), (2, 3), (3, 4), (4, 5), (2, 5)}
    assert batch.network.tolist() == [0, 0, 1, 1, 1, 1]
    turned = batch.reverse()
    assert set(zip(turned.target.tolist(), turned.source.tolist(), strict=True)) == edges


def test_an_embedding_depends_on_the_network_alone_and_on_the_direction(graphs):
    torch.manual_seed(0)
    encoder = GraphIsomorphismNetwork(graphs.features).eval()
    with torch.no_grad():
        together = encoder(graphs.batch(np.array([0, 1, 2])))
        alone = encoder(graphs.batch(np.array([0])))
        turned = encoder(graphs.batch(np.array([0])).reverse())
    torch.testing.assert_close(together[[0]], alone)
    torch.testing.assert_close(together[0], together[2])
    assert (together[0] - together[1]).abs().max() > 0.01
    assert (alone - turned).abs().max() > 0.01


def test_shares_are_ranks_and_lead_back_to_accuracies():
    final = np.array([0.1, 0.5, 0.1, 0.9])
    np.testing.assert_allclose(shares(final), [1 / 6, 2 / 3, 1 / 6, 1])
    np.testing.assert_allclose(accuracies(np.array([0, 1, 2, 0.5]), final), [0.1, 0.9, 0.9, 0.3])


def test_a_curriculum_goes_from_small_changes_to_large_ones(measured):
    """Both views of a pair are of one network; what differs between them grows from the first batch to the last."""
    graphs = LayerGraphs.of(measured[0].table.codes, measured[0].image)
    changes = []
    for one, other in dclp._curriculum(graphs, np.random.default_rng(0)):
        assert torch.equal(one.source, other.source)
        assert torch.equal(one.lengths, other.lengths)
        different = (one.nodes != other.nodes).any(dim=1)
        assert 0 < different.float().mean() <= 2 / dclp.LEAST_KEPT
        changes.append(float((one.nodes - other.nodes).square().sum(dim=1).mean()))
    assert len(changes) == 100 * dclp.PAIRS // dclp.PRETRAINING_BATCH
    assert changes == sorted(changes)
    assert changes[0] < 0.4 * changes[-1]


def test_pretraining_tells_networks_apart(measured, monkeypatch):
    """Among views of 100 networks that it did not learn from, the one of the same network is found more often."""
    monkeypatch.setattr(dclp, "PAIRS", 100)
    known, others = measured
    graphs, everyone = LayerGraphs.of(others.table.codes, others.image), np.arange(100)
    batch, rng = graphs.batch(everyone), np.random.default_rng(1)
    views = [dclp._Edits.draw(graphs, everyone, rng).apply(graphs, batch, everyone) for _ in range(2)]
    torch.manual_seed(0)
    losses = []
    for encoder in (GraphIsomorphismNetwork(graphs.features), pretrain(known.table.codes, known.image)):
        with torch.no_grad():
            one, other = (F.normalize(encoder.train()(view), dim=1) for view in views)
        losses.append(float(F.cross_entropy(one @ other.T / dclp.TEMPERATURE, torch.arange(100))))
    assert losses[1] < 0.9 * losses[0]


@pytest.mark.parametrize("name", ["FR-NAS", "DCLP"])
def test_graph_encoders_rank_other_networks(name, measured):
    """Fitted to 100 networks that were really trained, in a fifth of the passes, on 100 others."""
    known, others = measured
    if name == "FR-NAS":
        method = FRNAS(known.image, passes=40)
    else:
        method = DCLP(known.image, pretrain(others.table.codes[:50], known.image), passes=40)
    method.fit(known.curves, known.table.codes)
    predicted = method.predict(np.empty((len(others), 0)), others.table.codes)
    assert tau(others.final, predicted) > 0.45
    assert known.final.min() <= predicted.min() < predicted.max() <= known.final.max()


def test_a_forest_ranks_other_networks(measured):
    known, others = measured
    method = RandomForest()
    method.fit(known.curves, known.features)
    assert tau(others.final, method.predict(np.empty((len(others), 0)), others.features)) > 0.55
