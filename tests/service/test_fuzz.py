"""Fuzzing: schemathesis against a real process, and requests changed at random against the application."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from service.api.examples import predict_examples
from tests.service.fuzz import schemathesis
from tests.service.in_process import serving
from tests.service.live import running
from tests.service.requests import problem

SEEDS = [json.dumps(example["value"]).encode() for example in predict_examples("tiny").values()]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner), max_leaves=8
)


@pytest.fixture(scope="module")
def client(tiny: Path) -> Iterator[TestClient]:
    with serving(models=(tiny,), raise_server_exceptions=False) as client:
        yield client


def test_schemathesis_finds_nothing(tiny: Path) -> None:
    """All its checks on every route, short; `make fuzz` runs the long form."""
    with running(tiny, PEEPHOLE_LOG_LEVEL="error") as live:
        done = schemathesis(live, 3, "examples,fuzzing")
    assert done.returncode == 0, done.stdout[-6000:]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return every place in a JSON document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inside for place in places(child, (*path, key)))]


def check(client: TestClient, body: bytes) -> None:
    """The response is a prediction or a 4xx problem."""
    response = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    if response.status_code != 200:
        assert response.status_code in {400, 413, 422}, response.text
        problem(response, response.status_code)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.sampled_from(SEEDS), data=st.data())
def test_any_value_anywhere_in_a_sound_request(client: TestClient, seed: bytes, data: st.DataObject) -> None:
    document = json.loads(seed)
    *path, last = data.draw(st.sampled_from(places(document)[1:]))
    at = document
    for key in path:
        at = at[key]
    at[last] = data.draw(VALUES)
    check(client, json.dumps(document).encode())


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SEEDS), st.integers(0, 400), st.integers(0, 5), st.binary(max_size=6))
def test_any_bytes_in_the_middle_of_a_sound_request(
    client: TestClient, seed: bytes, start: int, cut: int, new: bytes
) -> None:
    check(client, seed[:start] + new + seed[start + cut :])
