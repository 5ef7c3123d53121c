"""The layer list accepts what its documentation shows and nothing else."""

import pytest
from pydantic import ValidationError

from model.network.schema import ARCHITECTURE


def test_the_documented_example_is_read():
    text = """{"id": "cand-17", "in_channels": 3, "layers": [
      {"type": "conv", "kernel_size": [3, 3], "out_channels": 16}, {"type": "batch_norm"}, {"type": "relu"},
      {"type": "conv", "kernel_size": 5, "channel_ratio": 1.5}, {"type": "max_pool", "kernel_size": 2, "stride": 2}]}"""
    layers = ARCHITECTURE.validate_json(text)["layers"]
    assert layers[3] == {"type": "conv", "kernel_size": 5, "channel_ratio": 1.5}
    assert layers[4] == {"type": "max_pool", "kernel_size": 2, "stride": 2}


@pytest.mark.parametrize(
    "layer",
    [
        '{"type": "conv", "kernel_size": 3}',
        '{"type": "conv", "kernel_size": 3, "out_channels": 8, "channel_ratio": 1}',
        '{"type": "conv", "kernel_size": true, "out_channels": 8}',
        '{"type": "conv", "kernel_size": 3.0, "out_channels": 8}',
        '{"type": "conv", "kernel_size": [3], "out_channels": 8}',
        '{"type": "conv", "kernel_size": 0, "out_channels": 8}',
        '{"type": "conv", "kernel_size": 3, "out_channels": "8"}',
        '{"type": "conv", "kernel_size": 3, "channel_ratio": NaN}',
        '{"type": "relu", "inplace": true}',
        '{"type": "gelu"}',
        '{"type": "dropout", "p": 1.0}',
        '{"kernel_size": 3}',
    ],
)
def test_a_malformed_layer_is_refused(layer):
    with pytest.raises(ValidationError):
        ARCHITECTURE.validate_json(f'{{"layers": [{layer}]}}')


def test_a_network_without_layers_is_refused():
    with pytest.raises(ValidationError):
        ARCHITECTURE.validate_json('{"layers": []}')
