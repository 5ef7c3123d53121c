"""Hostile requests in bulk: schemathesis against a real process, and JSON mutated at random against the application."""

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from service.examples import predict_examples
from tests.service.fuzz import schemathesis
from tests.service.live import running
from tests.service.test_errors import problem

SEEDS = [json.dumps(example["value"]).encode() for example in predict_examples("tiny").values()]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner), max_leaves=8
)


def test_schemathesis_finds_nothing(tiny: Path) -> None:
    """All checks of schemathesis, short; `make fuzz` runs the long form."""
    with running(tiny, PEEPHOLE_LOG_LEVEL="error") as live:
        done = schemathesis(live, 5, "examples,fuzzing", "--include-path-regex", "^/(predict|v2/models/{name}/infer)$")
    assert done.returncode == 0, done.stdout[-6000:]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inside for place in places(child, (*path, key)))]


def answered(client: TestClient, body: bytes) -> None:
    response = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    if response.status_code != 200:
        assert response.status_code in {400, 413, 422}, response.text
        problem(response, response.status_code)


def test_requests_changed_in_one_place_are_answered_or_refused(serve: Any) -> None:
    """Any value anywhere in a sound request: 200 or a 4xx problem."""
    client = serve()

    @settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.sampled_from(SEEDS), st.data())
    def check(seed: bytes, data: st.DataObject) -> None:
        document = json.loads(seed)
        *path, last = data.draw(st.sampled_from(places(document)[1:]))
        at = document
        for key in path:
            at = at[key]
        at[last] = data.draw(VALUES)
        answered(client, json.dumps(document).encode())

    check()


def test_bytes_changed_at_random_are_answered_or_refused(serve: Any) -> None:
    """Any bytes in the middle of a sound request: 200 or a 4xx problem."""
    client = serve()

    @settings(max_examples=150, deadline=None)
    @given(st.sampled_from(SEEDS), st.integers(0, 400), st.integers(0, 5), st.binary(max_size=6))
    def check(seed: bytes, start: int, cut: int, new: bytes) -> None:
        answered(client, seed[:start] + new + seed[start + cut :])

    check()
