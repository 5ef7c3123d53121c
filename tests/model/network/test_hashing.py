"""A network has one hash, however it is written, and another network another."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.artifact import ZOO
from model.network.hashing import canonical_hash, canonical_layers
from model.network.schema import LAYERS
from model.network.shapes import Shape
from tests.strategies import IMAGE, graphs

DATA = Path(__file__).parents[3] / "data"
CONV: Any = {"type": "conv", "kernel_size": 3, "out_channels": 6}
POOL: Any = {"type": "avg_pool", "kernel_size": 3, "stride": 1}
RELU: Any = {"type": "relu"}
NORM: Any = {"type": "batch_norm"}


def hash_of(*layers: Any) -> str:
    return canonical_hash(LAYERS.validate_python(list(layers)), IMAGE)


EQUAL: list[tuple[list[Any], list[Any]]] = [
    ([CONV], [CONV | {"kernel_size": [3, 3], "stride": 1, "channel_ratio": None}]),
    ([CONV], [{"type": "conv", "kernel_size": 3, "channel_ratio": 2.0}]),
    ([CONV], [CONV | {"padding": 1}]),
    ([CONV], [CONV | {"padding": "same", "groups": 1, "dilation": 1}]),
    ([CONV | {"dilation": 2}], [CONV | {"dilation": (2, 2), "padding": 2}]),
    ([CONV | {"kernel_size": [1, 5]}], [CONV | {"kernel_size": [1, 5], "padding": [0, 2]}]),
    ([CONV | {"groups": 3}], [CONV | {"groups": "depthwise"}]),
    ([CONV], [CONV | {"bias": True}]),
    ([CONV, NORM], [CONV | {"bias": False}, NORM]),
    ([CONV], [CONV | {"name": "a", "inputs": ["input"]}]),
    ([CONV, RELU], [CONV | {"name": "a"}, RELU | {"inputs": ["a"]}]),
    ([POOL], [POOL | {"padding": 1, "ceil_mode": True}]),
    ([POOL | {"stride": 3}], [{"type": "avg_pool", "kernel_size": 3}]),
    ([POOL], [POOL | {"count_include_pad": False}]),
    ([{"type": "linear", "out_features": 3}], [{"type": "linear", "out_features": 3, "bias": True}]),
    ([{"type": "dropout"}], [{"type": "dropout", "p": 0.5}]),
    ([{"type": "prelu"}], [{"type": "prelu", "per_channel": False}]),
    ([{"type": "adaptive_avg_pool", "output_size": 2}], [{"type": "adaptive_avg_pool", "output_size": [2, 2]}]),
]
DIFFERENT: list[tuple[list[Any], list[Any]]] = [
    ([CONV], [CONV | {"padding": 0}]),
    ([CONV | {"stride": 2}], [CONV | {"stride": 2, "padding": 1}]),  # pads one side only, and both sides
    ([CONV | {"dilation": 2}], [CONV | {"dilation": 2, "padding": 1}]),
    ([CONV], [CONV | {"groups": 3}]),
    ([CONV], [CONV | {"bias": False}]),
    ([CONV, NORM], [CONV | {"bias": True}, NORM]),
    ([POOL], [POOL | {"count_include_pad": True}]),
    ([POOL | {"stride": 2, "padding": 0}], [POOL | {"stride": 2, "padding": 0, "ceil_mode": True}]),
    ([{"type": "linear", "out_features": 3}], [{"type": "linear", "out_features": 3, "bias": False}]),
    ([{"type": "prelu"}], [{"type": "prelu", "per_channel": True}]),
    ([{"type": "slice", "start": 0, "end": 2}], [{"type": "slice", "start": 1, "end": 3}]),
    ([CONV, RELU], [RELU, CONV]),
]


@pytest.mark.parametrize(("one", "other"), EQUAL, ids=str)
def test_the_same_network_written_in_another_way(one: list[Any], other: list[Any]) -> None:
    assert hash_of(*one) == hash_of(*other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT, ids=str)
def test_another_network(one: list[Any], other: list[Any]) -> None:
    assert hash_of(*one) != hash_of(*other)


def test_a_shared_layer_is_not_two_equal_layers() -> None:
    """Their outputs are equal at the beginning of training only."""
    shared = [CONV | {"name": "a"}, {"type": "add", "inputs": ["a", "a"]}]
    two = [CONV | {"name": "a"}, CONV | {"name": "b", "inputs": ["input"]}, {"type": "add", "inputs": ["a", "b"]}]
    assert hash_of(*shared) != hash_of(*two)


def test_which_of_two_equal_layers_is_read_counts() -> None:
    """Both networks have the same layers; in one, one of two equal convolutions is read twice."""
    ends = [
        {"type": "sigmoid", "name": "s"},
        {"type": "tanh", "name": "t"},
        {"type": "concat", "inputs": ["s", "t", "b"]},
    ]
    start = [CONV | {"name": "a"}, CONV | {"name": "b", "inputs": ["input"]}]
    apart = [*start, ends[0] | {"inputs": ["a"]}, ends[1] | {"inputs": ["a"]}, ends[2]]
    crossed = [*start, ends[0] | {"inputs": ["a"]}, ends[1] | {"inputs": ["b"]}, ends[2]]
    assert hash_of(*apart) != hash_of(*crossed)


def test_the_order_of_inputs_counts_for_concat_alone() -> None:
    pair = [RELU | {"name": "a"}, {"type": "tanh", "name": "b"}]
    for kind, is_ordered in (("add", False), ("mul", False), ("concat", True)):
        one, other = ([*pair, {"type": kind, "inputs": inputs}] for inputs in (["a", "b"], ["b", "a"]))
        assert (hash_of(*one) != hash_of(*other)) == is_ordered


def shuffled(layers: list[Any], seed: int) -> list[Any]:
    """Return a graph in another topological order, its layers renamed."""
    rng = random.Random(seed)
    new_name = {layer["name"]: f"m{place}" for place, layer in enumerate(rng.sample(layers, len(layers)))}
    waiting, found = list(layers[:-1]), []
    while waiting:
        known = {"input", *(layer["name"] for layer in found)}
        layer = rng.choice([layer for layer in waiting if known.issuperset(layer["inputs"])])
        waiting.remove(layer)
        found.append(layer)
    return [
        layer | {"name": new_name[layer["name"]], "inputs": tuple(new_name.get(name, name) for name in layer["inputs"])}
        for layer in [*found, layers[-1]]
    ]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graphs(), st.integers(0, 1000))
def test_names_and_the_order_of_layers_do_not_matter(layers: list[Any], seed: int) -> None:
    if "name" in layers[0]:
        assert hash_of(*shuffled(layers, seed)) == hash_of(*layers)


@pytest.mark.parametrize("task", ["cifar10-mini", "mnist-mini"])
def test_committed_networks_keep_their_hash(task: str) -> None:
    """The shipped predictors list the networks that they were fitted to; version 0.1 wrote those hashes."""
    lines = (ZOO / task / "networks.txt").read_text().splitlines()
    listed = dict(line.split() for line in lines)
    table = parquet.read_table(DATA / f"{task}.parquet", columns=["network_id", "layers", "in_channels", "resolution"])
    found = {
        row["network_id"]: canonical_hash(
            LAYERS.validate_json(row["layers"]), Shape(row["in_channels"], row["resolution"], row["resolution"])
        )
        for row in table.to_pylist()
        if row["network_id"] in listed
    }
    assert len(found) > 700
    assert found == {network_id: listed[network_id] for network_id in found}


def test_a_chain_keeps_its_hash_of_version_0_1() -> None:
    chain = [
        {"type": "conv", "kernel_size": [3, 2], "channel_ratio": 2.0},
        NORM,
        RELU,
        {"type": "max_pool", "kernel_size": 2},
        {"type": "conv", "kernel_size": 5, "out_channels": 9, "stride": 2},
        {"type": "sigmoid"},
        POOL,
        {"type": "tanh"},
        {"type": "dropout", "p": 0.25},
        {"type": "global_avg_pool"},
        {"type": "linear", "out_features": 7},
    ]
    assert hash_of(*chain) == "3e8db84471ada5c0"


def test_the_canonical_form_of_a_chain_is_what_hashes_are_made_of() -> None:
    """Of a type that stays, this text never changes: stored hashes depend on it."""
    layers = LAYERS.validate_python([CONV | {"padding": 1}, NORM, {"type": "max_pool", "kernel_size": 2}, RELU])
    assert json.loads(json.dumps(canonical_layers(layers, IMAGE))) == [
        {"type": "conv", "kernel_size": [3, 3], "stride": [1, 1], "out_channels": 6},
        {"type": "batch_norm"},
        {"type": "max_pool", "kernel_size": [2, 2], "stride": [2, 2]},
        {"type": "relu"},
    ]
