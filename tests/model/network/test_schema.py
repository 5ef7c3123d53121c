"""The layer list accepts what its documentation shows and nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from model.network.schema import (
    ARCHITECTURE,
    FIELDS,
    LAYER_CLASSES,
    LAYERS,
    MAX_STRIDE,
    pair,
    stride_of,
)
from tests.strategies import extended_layers

CONV: dict[str, Any] = {"type": "conv", "kernel_size": 3, "out_channels": 8}


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
        CONV | {"stride": MAX_STRIDE + 1},
        CONV | {"stride": [1, MAX_STRIDE + 1]},
        CONV | {"out_channels": "8"},
        CONV | {"out_channels": 0},
        CONV | {"out_channels": 1_000_001},
        {"type": "conv", "kernel_size": 3, "channel_ratio": 0},
        {"type": "conv", "kernel_size": 3, "channel_ratio": float("nan")},
        {"type": "conv", "kernel_size": 3, "channel_ratio": float("inf")},
        {"type": "relu", "inplace": True},
        {"type": "gelu"},
        {"type": "RELU"},
        {"type": None},
        {"type": "dropout", "p": 1.0},
        {"type": "dropout", "p": -0.1},
        {"type": "linear"},
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


def test_a_network_has_at_least_one_layer() -> None:
    with pytest.raises(ValidationError):
        read()


@pytest.mark.parametrize(
    "layer",
    [CONV | {"stride": None}, CONV | {"channel_ratio": None}, {"type": "max_pool", "kernel_size": 2, "stride": None}],
    ids=json.dumps,
)
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


def test_the_list_of_layer_classes_is_complete() -> None:
    """Messages list types and fields from it, so it must name what the union accepts."""
    accepted = LAYERS.json_schema()["items"]["discriminator"]["mapping"]
    assert set(accepted) == set(FIELDS)
    assert len(LAYER_CLASSES) == len(FIELDS)
    definitions = LAYERS.json_schema()["$defs"]
    for layer_type, reference in accepted.items():
        properties = definitions[reference.rpartition("/")[2]]["properties"]
        assert ("type", *FIELDS[layer_type]) == tuple(properties)


@given(extended_layers)
def test_what_is_read_can_be_written_and_read_again(layers: list[dict[str, Any]]) -> None:
    """Validation adds nothing and drops nothing."""
    once = read(*layers)
    assert once == layers
    assert read(*json.loads(LAYERS.dump_json(once))) == once
