"""The network form accepts what its documentation shows and nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from model.network.layer_types import LAYER_TYPES
from model.network.schema import ARCHITECTURE, COMMON, FIELDS, LAYERS, MAX_LAYERS, pair, stride_of
from tests.strategies import extended_layers, graphs

CONV: dict[str, Any] = {"type": "conv", "kernel_size": 3, "out_channels": 8}
POOL: dict[str, Any] = {"type": "max_pool", "kernel_size": 2}


def read(*layers: Any) -> Any:
    """Validate layers as a request does: as JSON."""
    return LAYERS.validate_json(json.dumps(layers))


def test_the_documented_example_is_read() -> None:
    text = """{"id": "cand-17", "in_channels": 3, "layers": [
      {"type": "conv", "kernel_size": [3, 3], "out_channels": 16}, {"type": "batch_norm"}, {"type": "relu"},
      {"type": "conv", "kernel_size": 5, "channel_ratio": 1.5}, {"type": "max_pool", "kernel_size": 2, "stride": 2}]}"""
    architecture = ARCHITECTURE.validate_json(text)
    assert (architecture.get("id"), architecture.get("in_channels")) == ("cand-17", 3)
    first, _, _, fourth, last = architecture["layers"]
    assert first == {"type": "conv", "kernel_size": (3, 3), "out_channels": 16}
    assert fourth == {"type": "conv", "kernel_size": 5, "channel_ratio": 1.5}
    assert last == {"type": "max_pool", "kernel_size": 2, "stride": 2}


@pytest.mark.parametrize(
    "layer",
    [
        CONV | {"kernel_size": [1024, 1], "channel_ratio": 1024, "out_channels": None},
        CONV | {"groups": "depthwise", "dilation": [1, 3], "padding": [0, 2], "bias": False, "stride": 1024},
        CONV | {"padding": "same", "groups": 4},
        {"type": "conv", "kernel_size": 3, "channel_ratio": 1, "out_channels": None},
        POOL | {"padding": 0, "ceil_mode": True, "stride": [1, 2]},
        {"type": "avg_pool", "kernel_size": 2, "padding": 1, "ceil_mode": False, "count_include_pad": True},
        {"type": "adaptive_avg_pool", "output_size": [7, 1]},
        {"type": "linear", "out_features": 10, "bias": False},
        {"type": "group_norm", "num_groups": 32},
        {"type": "prelu", "per_channel": True},
        {"type": "slice", "start": 0, "end": 8},
        {"type": "pad", "padding": [0, 1, 0, 1]},
        {"type": "add", "name": "a", "inputs": ["b", "input"]},
        {"type": "relu", "name": "x" * 64},
    ],
    ids=json.dumps,
)
def test_a_layer_of_the_form_is_read(layer: dict[str, Any]) -> None:
    """Nothing is added; sizes become tuples."""
    (found,) = read(layer)
    assert json.loads(json.dumps(found)) == layer


@pytest.mark.parametrize(
    "layer",
    [
        {"type": "conv", "kernel_size": 3},
        CONV | {"channel_ratio": 1},
        CONV | {"channel_ratio": 1, "out_channels": 8},
        CONV | {"kernel_size": True},
        CONV | {"kernel_size": 3.0},
        CONV | {"kernel_size": "3"},
        CONV | {"kernel_size": [3]},
        CONV | {"kernel_size": [3, 3, 3]},
        CONV | {"kernel_size": [3, 0]},
        CONV | {"kernel_size": 0},
        CONV | {"kernel_size": 1025},
        CONV | {"stride": 0},
        CONV | {"stride": 1025},
        CONV | {"stride": [1, 1025]},
        CONV | {"out_channels": "8"},
        CONV | {"out_channels": 0},
        CONV | {"out_channels": 1_000_001},
        CONV | {"groups": 0},
        CONV | {"groups": "all"},
        CONV | {"dilation": 0},
        CONV | {"padding": -1},
        CONV | {"padding": "valid"},
        CONV | {"padding": "SAME"},
        CONV | {"bias": 1},
        CONV | {"bias": None},
        {"type": "conv", "kernel_size": 3, "channel_ratio": 0},
        {"type": "conv", "kernel_size": 3, "channel_ratio": 1025},
        {"type": "conv", "kernel_size": 3, "channel_ratio": float("nan")},
        {"type": "conv", "kernel_size": 3, "channel_ratio": float("inf")},
        POOL | {"dilation": 2},
        POOL | {"count_include_pad": True},
        {"type": "relu", "inplace": True},
        {"type": "relu", "name": ""},
        {"type": "relu", "name": "x" * 65},
        {"type": "relu", "name": None},
        {"type": "relu", "inputs": []},
        {"type": "relu", "inputs": "input"},
        {"type": "relu", "inputs": [0]},
        {"type": "mish"},
        {"type": "RELU"},
        {"type": None},
        {"type": "dropout", "p": 1.0},
        {"type": "dropout", "p": -0.1},
        {"type": "linear"},
        {"type": "group_norm"},
        {"type": "slice", "start": -1, "end": 2},
        {"type": "pad", "padding": 1},
        {"type": "pad", "padding": [1, 1]},
        {"type": "upsample", "scale_factor": 1.5},
        {"kernel_size": 3},
        {},
        None,
        "relu",
    ],
    ids=json.dumps,
)
def test_a_malformed_layer_is_rejected(layer: Any) -> None:
    with pytest.raises(ValidationError):
        read(layer)


def test_a_network_has_one_layer_to_two_thousand() -> None:
    relu = {"type": "relu"}
    assert len(read(*[relu] * MAX_LAYERS)) == 2048
    for layers in ([], [relu] * (MAX_LAYERS + 1)):
        with pytest.raises(ValidationError):
            read(*layers)


@pytest.mark.parametrize("layer", [CONV | {"stride": None}, CONV | {"channel_ratio": None}, POOL | {"stride": None}])
def test_null_means_absent(layer: dict[str, Any]) -> None:
    given_fields = {name: value for name, value in layer.items() if value is not None}
    (read_layer,) = read(layer)
    assert stride_of(read_layer) == stride_of(*read(given_fields))


def test_a_stride_left_out_is_one_or_the_kernel() -> None:
    conv, square, oblong = read(
        CONV, {"type": "avg_pool", "kernel_size": 3}, {"type": "max_pool", "kernel_size": [2, 3]}
    )
    assert (stride_of(conv), stride_of(square), stride_of(oblong)) == ((1, 1), (3, 3), (2, 3))
    assert (pair(4), pair((4, 5))) == ((4, 4), (4, 5))


def test_the_form_has_the_types_of_the_table_and_names_their_fields() -> None:
    """Messages list types and fields, so they must be what the union accepts."""
    accepted = LAYERS.json_schema()["items"]["discriminator"]["mapping"]
    assert set(accepted) == set(FIELDS) == set(LAYER_TYPES)
    definitions = LAYERS.json_schema()["$defs"]
    for layer_type, reference in accepted.items():
        properties = definitions[reference.rpartition("/")[2]]["properties"]
        assert {"type", *FIELDS[layer_type], *COMMON} == set(properties)


@given(extended_layers | graphs())
def test_what_is_read_can_be_written_and_read_again(layers: list[dict[str, Any]]) -> None:
    """Validation adds nothing and drops nothing."""
    once = read(*layers)
    assert once == layers
    assert read(*json.loads(LAYERS.dump_json(once))) == once
