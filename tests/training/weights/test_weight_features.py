"""What is read of a network's weights: the same from a file as from the module, in the order of the layers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save as torch_save
from safetensors.torch import save_file

from model.tensor_names import natural_order
from model.torch_modules import build
from model.weight_features import (
    FEATURES,
    LAYER_STATISTICS,
    Weights,
    fan_ins,
    features,
    layer_statistics,
    tensor_statistics,
)
from model.weights_file import read_weights
from training.measuring.train import weight_statistics
from training.protocols import PROTOCOLS


def test_a_file_has_the_statistics_that_the_collector_records() -> None:
    """numpy on a file and torch on the module agree, so that what was learnt from one holds for the other."""
    torch.manual_seed(0)
    module = torch.nn.Sequential()
    module.add_module("layer0", torch.nn.Conv2d(1, 8, 3))
    module.add_module("head", torch.nn.Linear(8, 10))
    recorded = weight_statistics(module)
    from_file = tensor_statistics({name: p.detach().numpy() for name, p in module.named_parameters()})
    assert recorded.keys() == from_file.keys()
    for name, values in recorded.items():
        np.testing.assert_allclose(from_file[name], values, rtol=1e-4, atol=1e-6)


def test_a_saved_state_reads_as_the_network_does(tmp_path: Path) -> None:
    """Running statistics and counters of a state dict change nothing, nor does a wrapper's prefix on every name."""
    protocol = PROTOCOLS["digits-mini"]
    layers = [
        {"type": "conv", "kernel_size": 3, "out_channels": 8},
        {"type": "batch_norm"},
        {"type": "relu"},
    ]
    module = build(layers, protocol.image, protocol.classes)
    expected = features(Weights(weight_statistics(module), fan_ins({n: p.shape for n, p in module.named_parameters()})))
    for prefix in ("", "module."):
        state = {prefix + name: tensor for name, tensor in module.state_dict().items()}
        save_file(state, tmp_path / "state.safetensors")
        read = features(read_weights((tmp_path / "state.safetensors").read_bytes()))
        np.testing.assert_allclose(read, expected, rtol=1e-3, atol=1e-5)


def test_features_are_named_and_follow_the_order_of_layers() -> None:
    """Layer 10 comes after layer 2, and the head comes last, however the file orders them."""
    statistics = {f"layer{i}.weight": [float(i)] * 7 for i in (10, 2, 0)} | {"head.weight": [99.0] * 7}
    row = dict(zip(FEATURES, features(Weights(statistics, dict.fromkeys(statistics, 2))), strict=True))
    assert [row[f"weight.{place}.mean"] for place in ("first_1", "first_2", "first_3", "last_1")] == [0, 2, 10, 99]


def test_numbers_in_names_count_however_they_are_written() -> None:
    """Zeros in front do not; digits of another kind are text, and there is no end to how many there may be."""
    names = [f"layer{'9' * 5000}.weight", "layer10.weight", "layer009.weight"]
    assert sorted(names, key=natural_order) == names[::-1]
    assert natural_order("layer\u00b2.weight") < natural_order("layer\u00b3.weight")


def test_layers_stand_in_their_order_with_what_belongs_to_them() -> None:
    statistics = {f"layer{i}.{part}": [float(i)] * 7 for i in (10, 2) for part in ("weight", "bias")}
    statistics |= {"layer3.weight": [1.5] * 7, "head.weight": [99.0] * 7}
    weights = Weights(statistics, {"layer2.weight": 2, "layer10.weight": 2, "head.weight": 2, "layer3.weight": 0})
    rows = [dict(zip(LAYER_STATISTICS, row, strict=True)) for row in layer_statistics(weights)]
    assert [row["weight.mean"] for row in rows] == [2, 0.5, 10, 99]  # a scale is measured from the 1 it starts from
    assert [row["bias.mean"] for row in rows] == [2, 0, 10, 0]
    assert [row["normalisation"] for row in rows] == [0, 1, 0, 0]


def test_weights_are_measured_in_what_they_start_from() -> None:
    """He's initialisation reads the same at any width, and tensors of normalisation are told from a layer's own."""
    torch.manual_seed(0)
    for width in (16, 64):
        convolution = torch.nn.Conv2d(width, 256, 3)
        torch.nn.init.kaiming_normal_(convolution.weight)
        module = torch.nn.Sequential(convolution, torch.nn.BatchNorm2d(256))
        tensors = {name: p.detach().numpy() for name, p in module.named_parameters()}
        weights = Weights(tensor_statistics(tensors), fan_ins({n: t.shape for n, t in tensors.items()}))
        row = dict(zip(FEATURES, features(weights), strict=True))
        assert row["weight.first_1.log_deviation"] == pytest.approx(0, abs=0.02)
        assert row["weight.first_1.log_fan_in"] == pytest.approx(np.log(9 * width))
        assert [row[f"{kind}.tensors"] for kind in ("weight", "bias", "scale", "shift")] == [1, 1, 1, 1]
        assert row["scale.first_1.mean"] == 0


def test_rounding_to_a_coarse_format_is_not_read_as_something_learnt() -> None:
    """The biases of a classifier keep a mean of 0 in training; in bfloat16 it is some of their last digits."""
    biases = torch.linspace(-0.3, 0.29, 10) ** 3 + 0.05 * torch.randn(10, generator=torch.Generator().manual_seed(0))
    tensors = {"layer0.weight": torch.ones(10, 4), "layer0.bias": torch.ones(10), "fc.weight": torch.ones(10, 10)}
    rows = []
    for kind in (torch.float32, torch.bfloat16, torch.float16):
        state = {name: tensor.to(kind) for name, tensor in (tensors | {"fc.bias": biases - biases.mean()}).items()}
        rows.append(dict(zip(FEATURES, features(read_weights(torch_save(state))), strict=True)))
        assert abs(rows[-1]["bias.last_1.mean"]) < 1e-6
    assert rows[0]["bias.last_1.spread"] == pytest.approx(rows[1]["bias.last_1.spread"], rel=0.01)
    shifted = features(read_weights(torch_save(tensors | {"fc.bias": biases - biases.mean() + 0.01})))
    assert dict(zip(FEATURES, shifted, strict=True))["bias.last_1.mean"] == pytest.approx(0.01, rel=1e-3)
