"""Generated bodies, valid, nearly valid and hostile: the quick way and the thorough way say the same of each."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.artifact import read_artifact
from model.runtime import Predictor
from service import calls
from service.models import Model
from service.problems import Problem
from service.settings import Settings

LAYERS = [
    '{"type":"relu"}',
    '{"type": "relu"}',
    '{"type":"conv","kernel_size":3,"out_channels":16}',
    '{"type":"conv","kernel_size":[3,5],"out_channels":16}',
    '{"type":"max_pool","kernel_size":2,"stride":2}',
    '{"type":"conv","kernel_size":1,"channel_ratio":1.0}',
]
ODD_LAYERS = [
    '{"type":"conv","kernel_size":1,"channel_ratio":100}',
    '{"type":"conv","kernel_size":1,"channel_ratio":NaN}',
    '{"type":"conv","kernel_size":3.0,"out_channels":16}',
    '{"type":"conv","kernel_size":true,"out_channels":16}',
    '{"type":"conv","kernel_size":3,"out_channels":1e1}',
    '{"type":"conv","kernel_size":3,"out_channels":' + "9" * 40 + "}",
    '{"type":"r\\u0065lu"}',
    '{"type":\n"relu"}',
    '{"type":"relu" }',
    '{"type":"relu","x":"},{"}',
    '{"type":"relu},{","type":"relu"}',
    '{"type":"conv","type":"relu"}',
    '"{}"',
    "{}",
    "[]",
    "null",
]
ROWS = ["[1,3,3,8,1,0,16,32,32]", "[4,1,1,8,1,0,16,32,32]", "[4, 1, 1, 8, 1, 0, 16, 32, 32]"]
ODD_ROWS = [
    "[true,1,1,8,1,0,16,32,32]",
    "[4.0,1,1,8,1,0,16,32,32]",
    "[4e0,1,1,8,1,0,16,32,32]",
    f"[{2**64},1,1,8,1,0,16,32,32]",
    "[-4,1,1,8,1,0,16,32,32]",
    "[4,1,1,8,1,0,16,32]",
    "[[4],1,1,8,1,0,16,32,32]",
    '"[4,1]"',
    "[]",
]
SPACES = [",", ",", ", ", ", ", " ,", ",\n", ",,", "},{"]
IDS = ['"a"', '"a"', '"b"', '"\\u0061"', '"\u00e9\u4e2d"', '"\\ud800"', '""', '"' + "x" * 201 + '"', "1", "null"]
CHANNELS = ["3", "3", "3", "null", "7", "3.0", "true", "0", "-0", "9" * 30]
OBSERVED = [
    "[0.1,0.2]",
    "[1]",
    "[0]",
    "[true]",
    "[]",
    "[1.5]",
    "[NaN]",
    "[[0.1]]",
    "null",
    "[" + ",".join(["0.1"] * 99) + "]",
]
FIELDS = [
    *(f'"epochs":{x}' for x in ["[1]", "[2,1]", "[1,1]", "[]", "[0]", "[1.0]", "[1e0]", "[true]", f"[{2**63}]"]),
    *(f'"epochs":{x}' for x in [f"[{2**70}]", "[[1]]", "null", '"1"', "1", "[999]"]),
    *(f'"task":{x}' for x in ['"tiny"', '"t\\u0069ny"', '"other"', "null", "1", '"\\ud800"']),
    *(f'"out_of_range":{x}' for x in ['"clamp"', '"clamp"', '"error"', '"no"', "null"]),
    '"unknown":1',
    '"architectures":[]',
    '"architectures":null',
]


def mostly(usual: list[str], odd: list[str]) -> st.SearchStrategy[str]:
    """Draw from `usual`, and one time in eight from `odd`."""
    return st.integers(0, 7).flatmap(lambda n: st.sampled_from(odd if n == 7 else usual))


@st.composite
def network(draw: st.DrawFn) -> str:
    """Draw the text of an architecture; its keys may repeat."""
    items = draw(st.sampled_from([("layers", LAYERS, ODD_LAYERS), ("codes", ROWS, ODD_ROWS)]))
    separator = draw(st.sampled_from(SPACES))
    rows = draw(st.lists(mostly(*items[1:]), min_size=draw(st.sampled_from([0, 1, 1, 1])), max_size=5))
    parts = [f'"{items[0]}":[' + separator.join(rows) + "]"]
    for name, values in (("id", IDS), ("in_channels", CHANNELS), ("observed", OBSERVED)):
        if draw(st.integers(0, 3)) == 0:
            parts.append(f'"{name}":' + draw(st.sampled_from(values)))
    if draw(st.integers(0, 9)) == 0:
        parts.append(
            draw(
                st.sampled_from(
                    [
                        parts[0],
                        '"layers":[]',
                        '"codes":5',
                        '"in_channels":0',
                        '"layers":null',
                        '"codes":null',
                        '"x":1',
                        '"id":"c"',
                    ]
                )
            )
        )
    return "{" + draw(st.sampled_from([",", ", "])).join(draw(st.permutations(parts))) + "}"


@st.composite
def body(draw: st.DrawFn) -> bytes:
    """Draw a request."""
    networks = draw(st.lists(network(), min_size=1, max_size=draw(st.sampled_from([1, 2, 9]))))
    parts = ['"architectures":[' + ",".join(networks) + "]"]
    parts += draw(st.lists(st.sampled_from(FIELDS), max_size=draw(st.sampled_from([0, 1, 3]))))
    text = ("{" + ",".join(draw(st.permutations(parts))) + "}").encode()
    return text + draw(st.sampled_from([b""] * 12 + [b" \n", b"x", b"\xff"]))


def outcome(read: Any) -> Any:
    """Return all that a reading says, or all that its problem says."""
    try:
        call = read()
    except Problem as problem:
        return {name: value for name, value in vars(problem).items() if not name.startswith("__")}
    networks = call.population
    return call.epochs, networks.ids, [c.tolist() for c in networks.codes], networks.notes, networks.observed


@pytest.fixture(scope="module")
def services(tiny: Path) -> tuple[Any, Any]:
    """Two services that share nothing, so that what one learnt cannot mislead the other."""
    limits = Settings(max_architectures=8, max_layers=4)
    made = [
        SimpleNamespace(models={"tiny": Model(Predictor(read_artifact(tiny)), tiny)}, settings=limits) for _ in "ab"
    ]
    return made[0], made[1]


def test_the_two_ways_agree(services: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Status, faults, codes, notes and epochs are those of the thorough way, whatever the text."""
    warm, thorough = services
    quick = calls.look_up_call
    monkeypatch.setattr(calls, "look_up_call", lambda *_: None)
    seen: Counter[str] = Counter()

    @settings(max_examples=3000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(body())
    def agree(text: bytes) -> None:
        expected = outcome(lambda: calls.read_call(text, thorough))
        outcome(lambda: calls.read_call(text, warm))  # learns the layers, so that the quick way has its chance
        found = outcome(lambda: quick(text, warm) or calls.read_call(text, warm))
        assert found == expected, text
        try:
            seen["quick" if quick(text, warm) else "left"] += 1
        except Problem:
            seen["refused"] += 1

    agree()
    assert min(seen["quick"], seen["left"], seen["refused"]) > 50, seen
