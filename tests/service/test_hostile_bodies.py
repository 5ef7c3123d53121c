"""Bodies of millions of faults: refused with a few of them, in memory that the body's size bounds."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.service.live import Live, running

MIB = 1024 * 1024
SIZE = 4 * MIB
PEAK_FACTOR = 40  # of a body, while it is read: what a list of its smallest elements takes
VALID = b'{"architectures":[{"layers":[{"type":"relu"}]}]}'


def repeated(element: bytes, size: int = SIZE) -> bytes:
    return b",".join([element] * (size // (len(element) + 1)))


def names(size: int = SIZE) -> bytes:
    return b",".join(b'"%06x":1' % index for index in range(size // 11))


ONE = b'{"architectures":[{"layers":[{"type":"relu"}],%s}]}'
BODIES = {
    "epochs too small": ("/predict", b'{"epochs":[%s],"architectures":[1]}' % repeated(b"0")),
    "epochs too large": ("/predict", b'{"epochs":[%s],"architectures":[1]}' % repeated(b"99")),
    "observed": ("/predict", ONE % (b'"observed":[%s]' % repeated(b"2"))),
    "layers that are none": ("/predict", b'{"architectures":[{"id":1,"layers":[%s]}]}' % repeated(b"1")),
    "codes that are none": ("/predict", b'{"architectures":[{"codes":[[%s]]}]}' % repeated(b'"a"')),
    "many rows that are none": ("/predict", b'{"architectures":[{"codes":[%s]}]}' % repeated(b'["a"]')),
    "a layer of unknown fields": ("/predict", b'{"architectures":[{"layers":[{"type":"relu",%s}]}]}' % names()),
    "an architecture of unknown fields": ("/predict", ONE % names()),
    "a request of unknown fields": ("/predict", b'{"architectures":[1],%s}' % names()),
    "architectures that are none": ("/predict", b'{"architectures":[%s]}' % repeated(b"1")),
    "empty architectures": ("/predict", b'{"architectures":[%s]}' % repeated(b"{}")),
    "a kernel of millions": (
        "/predict",
        b'{"architectures":[{"layers":[{"type":"conv","kernel_size":[%s]}]}]}' % repeated(b"3"),
    ),
    "observed by /stop": ("/stop", b'{"best":0.5,"observed":[%s]}' % repeated(b"2")),
    "runs that are none": ("/stop", b'{"best":0.5,"architectures":[%s]}' % repeated(b"1")),
    "unknown fields of /stop": ("/stop", b'{"best":0.5,"observed":[0.1],%s}' % names()),
}


@pytest.fixture(scope="module")
def live(tiny: Path) -> Iterator[Live]:
    with running(tiny) as process:
        yield process


@pytest.mark.parametrize("name", BODIES)
def test_millions_of_faults_cost_little(live: Live, name: str) -> None:
    path, body = BODIES[name]
    live.forget_peak()
    before = live.rss_kib()
    answer = httpx2.post(live.url + path, content=body, headers={"Content-Type": "application/json"}, timeout=60)
    assert answer.status_code == 422
    assert 1 <= len(answer.json()["errors"]) <= 20
    assert len(answer.content) < 8192
    assert (live.peak_kib() - before) * 1024 < PEAK_FACTOR * len(body)
    assert (
        httpx2.post(live.url + "/predict", content=VALID, headers={"Content-Type": "application/json"}).status_code
        == 200
    )


def test_valid_layers_padded_with_blanks_are_not_remembered(live: Live) -> None:
    """Each is a different text of the same layer; none of them stays in memory."""
    layers = [json.dumps({"type": "relu"})[:-1] + " " * (3000 + index) + "}" for index in range(700)]
    for _ in range(3):  # the first time around the allocator grows
        before = live.rss_kib()
        for start in range(0, 700, 100):
            text = ",".join(layers[start : start + 100])
            answer = httpx2.post(
                live.url + "/predict",
                content=f'{{"architectures":[{{"layers":[{text}]}}]}}',
                headers={"Content-Type": "application/json"},
            )
            assert answer.status_code == 200
    assert live.rss_kib() - before < 1024


def test_a_layer_of_kilobytes_is_pointed_at(live: Live) -> None:
    text = json.dumps({"type": "relu"})[:-1] + " " * 5000 + "}"
    answer = httpx2.post(
        live.url + "/predict",
        content=f'{{"architectures":[{{"layers":[{{"type":"relu"}},{text}]}}]}}',
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert (fault["pointer"], fault["code"]) == ("/architectures/0/layers/1", "too-long")
