"""The quick way of reading: it reads what was met before, reads it as the thorough way does, and leaves the rest."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from model.artifact import read_artifact
from model.runtime import Predictor
from service.calls import Call, look_up_call, read_call
from service.models import Model
from service.population import Population
from service.problems import Problem
from service.settings import Settings

CONV = {"type": "conv", "kernel_size": [3, 5], "out_channels": 16}
NETWORKS: list[dict[str, Any]] = [
    {"id": "a", "layers": [CONV, {"type": "relu"}, {"type": "max_pool", "kernel_size": 2, "stride": 2}]},
    {"layers": [{"type": "relu"}]},
    {"codes": [[1, 3, 3, 8, 1, 0, 16, 32, 32], [4, 1, 1, 8, 1, 0, 16, 32, 32]]},
    {"id": "d", "in_channels": 3, "codes": [[4, 1, 1, 8, 1, 0, 16, 32, 32]]},
]
SEPARATORS = [(",", ":"), (", ", ": ")]


@pytest.fixture
def service(tiny: Path) -> Any:
    model = Model(Predictor(read_artifact(tiny)), tiny)
    return SimpleNamespace(models={"tiny": model}, settings=Settings(max_architectures=8, max_layers=4))


def text(separators: tuple[str, str], *networks: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({**fields, "architectures": networks}, separators=separators).encode()


def assert_same(one: Population, other: Population) -> None:
    assert (one.ids, one.notes, one.observed) == (other.ids, other.notes, other.observed)
    assert len(one.codes) == len(other.codes)
    for a, b in zip(one.codes, other.codes, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("separators", SEPARATORS, ids=["compact", "spaced"])
@pytest.mark.parametrize("fields", [{}, {"task": "tiny"}, {"epochs": [2, 1]}, {"out_of_range": "clamp"}])
def test_what_was_met_before_is_read_alike(service: Any, separators: tuple[str, str], fields: dict[str, Any]) -> None:
    """The first time takes the thorough way; after that the quick one gives the same, in any order."""
    body = text(separators, *NETWORKS, **fields)
    assert look_up_call(body, service) is None
    thorough = read_call(body, service)
    quick = look_up_call(body, service)
    assert isinstance(quick, Call)
    assert quick.epochs == thorough.epochs
    assert_same(quick.population, thorough.population)
    again = look_up_call(text(separators, *NETWORKS[::-1], **fields), service)
    assert again is not None
    np.testing.assert_array_equal(again.population.codes[-1], thorough.population.codes[0])


@pytest.mark.parametrize(
    "change",
    [
        b'{"architectures":[{"layers":["{}"]}]}',
        b'{"architectures":[{"layers":[{"type":"relu"} ,{"type":"relu"}]}]}',
        b'{"architectures":[{"layers":[{"type":"relu"},"},{"]}]}',
        b'{"architectures":[{"layers":{"type":"relu"}}]}',
        b'{"architectures":[{"layers":"type"}]}',
        b'{"architectures":[{"layers":[]}]}',
        b'{"architectures":[{"layers":null}]}',
        b'{"architectures":[{"codes":[]}]}',
        b'{"architectures":[{"codes":["4,1,1,8,1,0,16,32,32"]}]}',
        b'{"architectures":[{"codes":[4,1,1,8,1,0,16,32,32]}]}',
        b'{"architectures":[{"codes":"[4,1,1,8,1,0,16,32,32]"}]}',
        b'{"architectures":[{"codes":[[[4,1,1,8,1,0,16,32,32]]]}]}',
        b'{"architectures":[{"codes":[[4,1,1,8,1,0,16,32,32],[[4,1,1,8,1,0,16,32,32]]]}]}',
        b'{"architectures":[{"codes":[[4,1,1,8,1,0,16,32,32],[]]}]}',
        b'{"architectures":[{"codes":[[4,1,1,8,1,0,16,32,32]]},{"codes":[[]]}]}',
        b'{"architectures":[{"codes":[[4,1,1,8,1,0,16,32,32]]},{"codes":"[[4,1,1,8,1,0,16,32,32]]"}]}',
        b'{"architectures":[{"codes":[[4,1,1,8,1,0,16,32,32]]},{"codes":[]}]}',
        b'{"architectures":[{"codes":[[-1,-1,-1,-1,-1,-1,-1,-1,-1]]}]}',
        b'{"architectures":[{"codes":[[4,1,1,8,1,0,16,32,32]],"layers":[{"type":"relu"}]}]}',
        b'{"architectures":[{"layers":[{"type":"relu"}],"in_channels":7}]}',
        b'{"architectures":[{"layers":[{"type":"relu"}]}],"epochs":[1.0]}',
        b'{"architectures":[{"layers":[{"type":"relu"}]}],"unknown":1}',
        b'{"architectures":[{"layers":[{"type":"relu"}],"id":"x"},{"layers":[{"type":"relu"}],"id":"x"}]}',
        b'{"architectures":[{"layers":[' + b",".join([b'{"type":"relu"}'] * 5) + b"]}]}",
        b'{"architectures":[' + b",".join([b'{"layers":[{"type":"relu"}]}'] * 9) + b"]}",
        b'{"architectures":[{"layers":[{"type":"relu"}]}',
    ],
)
def test_everything_else_is_left_to_the_thorough_way(service: Any, change: bytes) -> None:
    """Nothing invalid gets through by looking like something known; what is merely unusual is still read right."""
    for separators in SEPARATORS:
        read_call(text(separators, *NETWORKS), service)
    assert look_up_call(change, service) is None
    if b" ," in change:
        assert len(read_call(change, service).population.codes[0]) == 2
    else:
        with pytest.raises(Problem):
            read_call(change, service)


def test_a_clamped_layer_is_explained_by_the_thorough_way(service: Any) -> None:
    """Clamping needs notes, or is refused: never a silent look-up."""
    network = {"layers": [CONV, {"type": "conv", "kernel_size": 1, "channel_ratio": 100}]}
    for separators in SEPARATORS:
        body = text(separators, network, out_of_range="clamp")
        assert read_call(body, service).population.notes[0]
        assert look_up_call(body, service) is None
        with pytest.raises(Problem):
            read_call(text(separators, network), service)
