"""What a predictor must say of odd networks, and of a network that is changed in a way whose effect is known."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from model.artifact import ZOO, read_artifact
from model.loaded import Model, load_model
from model.network.schema import Layer
from model.requests.errors import parse
from model.requests.networks import encode_networks
from model.requests.schema import PREDICT_REQUEST, PredictRequest
from model.runtime import Curves

OWN = ("cifar10-mini", "mnist-mini")
TABLES = Path(__file__).parents[2] / "data"
TASKS = sorted(path.parent.name for path in ZOO.glob("*/card.json"))
RELU: Layer = {"type": "relu"}


def vgg(*widths: int, activation: Layer | None = RELU) -> list[Layer]:
    """Return two convolutions of each width, with a pool behind them."""
    layers: list[Layer] = []
    for width in widths:
        for _ in range(2):
            layers += [{"type": "conv", "kernel_size": 3, "out_channels": width}, {"type": "batch_norm"}]
            layers += [activation] if activation else []
        layers.append({"type": "max_pool", "kernel_size": 2})
    return layers


def each_conv(layers: list[Any], become: Callable[[Any], list[Any]]) -> list[Any]:
    return [new for layer in layers for new in (become(layer) if layer["type"] == "conv" else [layer])]


def with_channels(layers: list[Any], channels: int) -> list[Any]:
    return each_conv(layers, lambda conv: [{"type": "conv", "kernel_size": 3, "out_channels": channels}])


def with_dropout(layers: list[Any], p: float) -> list[Any]:
    return each_conv(layers, lambda conv: [conv, {"type": "dropout", "p": p}])


ODD: dict[str, Callable[[list[Any]], list[Any]]] = {
    "one channel": lambda layers: with_channels(layers, 1),
    "a million channels": lambda layers: with_channels(layers, 1_000_000),
    "nearly everything dropped": lambda layers: with_dropout(layers, 0.99),
    "a single layer": lambda layers: layers[:1],
    "no non-linearity": lambda layers: vgg(16, 32, 64, activation=None),
    "nothing but a mean": lambda layers: [{"type": "global_avg_pool"}],
}


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    return {task: load_model(read_artifact(ZOO / task)) for task in TASKS}


@pytest.fixture(scope="module")
def held_out() -> dict[str, list[list[Any]]]:
    """Networks of the test splits of the project's own tables."""
    columns = ["split", "layers"]
    rows = {task: pq.read_table(TABLES / f"{task}.parquet", columns=columns).to_pylist() for task in OWN}
    return {task: [json.loads(row["layers"]) for row in rows[task] if row["split"] == "test"][::10] for task in OWN}


def predict(model: Model, networks: list[list[Any]]) -> Curves:
    """Return the last epoch of networks, one at a time."""
    body = json.dumps({"architectures": [{"layers": layers} for layers in networks]}).encode()
    read = parse(PREDICT_REQUEST, body, PredictRequest)["architectures"]
    encoded = encode_networks(read, model, max_architectures=1000, max_layers=2048)
    found = [
        model.predictor.run(codes[None], np.array([len(codes)], dtype=np.int32), [model.card.epochs])
        for codes in encoded.codes
    ]
    return Curves(*(np.concatenate([getattr(one, name) for one in found]) for name in Curves.__dataclass_fields__))


@pytest.mark.parametrize("change", ODD)
@pytest.mark.parametrize("task", OWN)
def test_odd_networks_are_unlike_the_training_set_and_have_intervals_twice_as_wide_as_usual(
    models: dict[str, Model], held_out: dict[str, list[list[Any]]], task: str, change: str
) -> None:
    model, usual = models[task], predict(models[task], held_out[task])
    odd = predict(model, [ODD[change](layers) for layers in held_out[task]])
    assert (odd.distance > model.card.distance_threshold).all()
    assert (odd.upper - odd.lower).min() >= 2 * np.median(usual.upper - usual.lower)


@pytest.mark.parametrize("change", ODD)
@pytest.mark.parametrize("task", TASKS)
def test_odd_networks_are_unlike_every_training_set(models: dict[str, Model], task: str, change: str) -> None:
    odd = predict(models[task], [ODD[change](vgg(16, 32, 64))])
    assert (odd.distance > models[task].card.distance_threshold).all()


@pytest.mark.parametrize("task", TASKS)
def test_widening_a_narrow_network_does_not_lower_the_prediction(models: dict[str, Model], task: str) -> None:
    lowered = 0.005  # MetaQNN's tables hold no narrow networks
    widths = [vgg(width, 2 * width, 4 * width) for width in (2, 4, 8)]
    assert (np.diff(predict(models[task], widths).accuracy[:, 0]) >= -lowered).all()


@pytest.mark.parametrize("task", OWN)
def test_identities_change_nothing(models: dict[str, Model], held_out: dict[str, list[list[Any]]], task: str) -> None:
    plain = predict(models[task], held_out[task])
    repeated = predict(models[task], [[*layers, *[{"type": "identity"}] * 3] for layers in held_out[task]])
    inside = [each_conv(layers, lambda conv: [conv, {"type": "identity"}]) for layers in held_out[task]]
    for name in Curves.__dataclass_fields__:
        np.testing.assert_allclose(getattr(repeated, name), getattr(plain, name), atol=1e-6)
        np.testing.assert_allclose(getattr(predict(models[task], inside), name), getattr(plain, name), atol=1e-6)


def test_an_identity_beside_a_shortcut_changes_nothing(models: dict[str, Model]) -> None:
    shortcut: Any = [
        {"type": "conv", "kernel_size": 3, "out_channels": 16, "name": "a"},
        {"type": "conv", "kernel_size": 3, "out_channels": 16, "name": "b"},
        {"type": "add", "inputs": ["a", "b"]},
        {"type": "relu"},
    ]
    longer = [shortcut[0], {"type": "identity"}, {"type": "identity"}, *shortcut[1:]]
    one, other = predict(models["cifar10-mini"], [shortcut]), predict(models["cifar10-mini"], [longer])
    assert one.accuracy == pytest.approx(other.accuracy, abs=1e-6)
    assert one.distance == pytest.approx(other.distance, abs=1e-6)
