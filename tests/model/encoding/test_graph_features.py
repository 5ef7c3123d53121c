"""Features of graphs, against values worked out by hand."""

import numpy as np
import pytest

from model.encoding.features import FEATURES
from model.encoding.graph_features import GRAPH_FEATURES, LOG_SCALE, ROOT_SCALE, graph_features, is_graph
from model.encoding.hand_features import ALL_FEATURES, WIRING, feature_sets, hand_features
from model.encoding.layer_code import EXTENDED, encode, pad
from model.network.notations import nasbench101, nasbench201
from model.network.shapes import Shape

IMAGE = Shape(3, 32, 32)
STEM = {"type": "conv", "kernel_size": 1, "out_channels": 8, "name": "stem"}
WIDE = {"type": "conv", "kernel_size": 3, "out_channels": 8}
CHAIN = [STEM, {"type": "batch_norm"}, {"type": "relu"}, WIDE, {"type": "max_pool", "kernel_size": 2}]
# The stem, then a wide convolution and a pool beside nothing, all three added.
GRAPH = [
    STEM,
    {**WIDE, "name": "wide", "inputs": ["stem"]},
    {"type": "avg_pool", "kernel_size": 3, "stride": 1, "inputs": ["wide"], "name": "pool"},
    {"type": "add", "inputs": ["stem", "pool"]},
]
DEAD = [STEM, {"type": "zero"}, WIDE]


def codes_of(*networks):
    return pad([encode(layers, EXTENDED, IMAGE).codes for layers in networks])


def features_of(*networks):
    return dict(zip(GRAPH_FEATURES, graph_features(*codes_of(*networks), IMAGE).T, strict=True))


def count(feature, network):
    """Undo the root of a feature."""
    return (features_of(network)[feature][0] / ROOT_SCALE) ** 2


def test_names_are_distinct():
    assert len(set(ALL_FEATURES)) == len(ALL_FEATURES) == len(FEATURES) + len(GRAPH_FEATURES)


@pytest.mark.parametrize("what", ["most", "least"])
@pytest.mark.parametrize(
    ("some", "expected"), [("wide conv", 1), ("1x1 conv", 1), ("pool", 1), ("wide conv or 1x1 conv or pool", 3)]
)
def test_a_chain_has_one_path(what, some, expected):
    assert count(f"{what} on a path: {some}", CHAIN) == pytest.approx(expected)
    assert features_of(CHAIN)["deviation of steps, by path"][0] == 0
    assert features_of(CHAIN)["log path"][0] == 0


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ("most on a path: wide conv", 1),
        ("least on a path: wide conv", 0),
        ("least on a path: 1x1 conv", 1),
        ("most on a path: wide conv or 1x1 conv or pool", 3),
        ("least on a path: wide conv or 1x1 conv or pool", 1),
        ("mean on a path, by path: wide conv", 0.5),
        ("mean on a path, by path: 1x1 conv", 1),
        ("deviation of steps, by path", 1),
        ("count: wide conv that reads 1x1 conv", 1),
        ("count: wide conv that reads input", 0),
        ("count: output that reads 1x1 conv", 1),
        ("count: output that reads pool", 1),
        ("count: output that reads wide conv", 0),
        ("count: pool that reads wide conv that reads 1x1 conv", 1),
        ("count: merge of two", 1),
        ("count: merge of two steps' results", 1),
        ("count: pool that a merge reads", 1),
        ("count: read by two", 1),
        ("most readers", 2),
    ],
)
def test_a_branch_and_a_shortcut(feature, expected):
    assert count(feature, GRAPH) == pytest.approx(expected, abs=1e-9)


def test_there_are_two_paths():
    assert features_of(GRAPH)["log path"][0] == pytest.approx(LOG_SCALE * np.log(2))


def test_the_mean_by_variance_counts_the_branch_less_that_a_pool_has_averaged():
    assert count("mean on a path, by variance: wide conv", GRAPH) == pytest.approx(1 / 3)


def test_normalisation_brings_the_variance_back():
    normed = [*GRAPH[:-1], {"type": "batch_norm", "name": "norm"}, {"type": "add", "inputs": ["stem", "norm"]}]
    assert count("mean on a path, by variance: wide conv", normed) == pytest.approx(1 / 2)


def test_the_mean_by_gain_counts_the_branch_more_that_a_convolution_amplifies():
    gain = np.sqrt(9 * 8)
    assert count("mean on a path, by gain: wide conv", GRAPH) == pytest.approx(gain / (1 + gain))


def test_zeros_cut_every_path():
    found = features_of(DEAD)
    assert found["no path"][0] == 1
    assert found["most on a path: wide conv"][0] == found["log path"][0] == 0
    assert features_of(CHAIN)["no path"][0] == 0


def test_what_a_network_computes_counts_and_not_how_it_is_written():
    swapped = [*GRAPH[:-1], {"type": "add", "inputs": ["pool", "stem"]}]
    one, other = graph_features(*codes_of(GRAPH, swapped), IMAGE)
    np.testing.assert_allclose(one, other, atol=1e-12)


def test_features_do_not_depend_on_the_batch():
    networks = [
        CHAIN,
        GRAPH,
        DEAD,
        nasbench101(["conv3x3", "maxpool3x3"], [[0, 1], [0, 2], [1, 2], [2, 3], [0, 3]]),
        nasbench201(["nor_conv_3x3", "skip_connect", "none", "avg_pool_3x3", "skip_connect", "nor_conv_1x1"]),
    ]
    together = graph_features(*codes_of(*networks), IMAGE)
    for network, row in zip(networks, together, strict=True):
        np.testing.assert_allclose(graph_features(*codes_of(network), IMAGE)[0], row, atol=1e-12)
    assert np.isfinite(together).all()
    assert np.abs(together).max() < 50


def test_chains_and_graphs_are_told_apart():
    assert is_graph(codes_of(CHAIN, GRAPH)[0]).tolist() == [False, True]
    assert feature_sets(codes_of(CHAIN)[0]) == [FEATURES]
    assert feature_sets(codes_of(CHAIN, GRAPH)[0]) == [ALL_FEATURES, WIRING]


def test_features_come_by_name():
    codes = codes_of(CHAIN, GRAPH)
    names = ("most readers", "log params")
    found = hand_features(names, *codes, IMAGE)
    np.testing.assert_allclose(found[:, 0], features_of(CHAIN, GRAPH)["most readers"])
    np.testing.assert_allclose(found[:, 1], hand_features(FEATURES, *codes, IMAGE)[:, 0])
    with pytest.raises(ValueError, match="there is no feature 'colour'"):
        hand_features(("colour",), *codes, IMAGE)
