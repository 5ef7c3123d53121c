"""Files of weights and the route that reads them: what is answered, what is refused, and in whose place."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import typer
from safetensors.numpy import save
from starlette.testclient import TestClient
from typer.testing import CliRunner

from cli import weights as command
from model.weights import (
    MOST_TENSORS,
    WeightsError,
    WeightsPredictor,
    read_weights,
)
from tests.service.in_process import serving
from tests.training.weights.test_weights import network

BINARY = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def client(able: Path) -> Iterator[TestClient]:
    with serving(models=(able,)) as client:
        yield client


def test_the_route_and_the_command_agree(
    client: TestClient, able: Path, tmp_path: Path, predictor: WeightsPredictor
) -> None:
    """The same file over HTTP, on the command line and in process."""
    content = save(network())
    answer = client.post("/predict-weights", content=content, headers=BINARY)
    assert answer.status_code == 200
    expected = predictor.predict(read_weights(content))
    assert answer.json()["accuracy"] == pytest.approx(expected.accuracy, abs=1e-6)
    assert answer.json()["lower"] <= answer.json()["accuracy"] <= answer.json()["upper"]
    (tmp_path / "network.safetensors").write_bytes(content)
    cli = typer.Typer()
    command.register(cli)
    result = CliRunner().invoke(cli, [str(tmp_path / "network.safetensors"), "--artifact", str(able)])
    assert result.exit_code == 0, result.output
    assert f"accuracy {expected.accuracy:.4f}" in result.output


def file_of(header: dict[str, object], data: bytes = b"") -> bytes:
    """A safetensors file with this header, whatever it says."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


MALFORMED = {
    "empty": b"",
    "noise": b"\x93" * 500,
    "a header that lies": (2**62).to_bytes(8, "little") + b"{}",
    "truncated": save(network())[:-100],
    "a pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
    "not finite": save({"layer0.weight": np.array([1.0, np.nan], dtype=np.float32)}),
    "absurd": save({"layer0.weight": np.array([1e160, -1e200])}),
    "no elements": save({"layer0.weight": np.zeros((0, 3), dtype=np.float32)}),
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_files_are_refused(client: TestClient, content: bytes) -> None:
    with pytest.raises(WeightsError):
        read_weights(content)
    answer = client.post("/predict-weights", content=content, headers=BINARY)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("offsets", [b'"data_offsets"', b'"data\\u005foffsets"'], ids=["plain", "escaped"])
def test_too_many_tensors_are_refused_before_they_are_parsed(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, offsets: bytes
) -> None:
    """However they are spelt: parsing lets no other thread of the process go on meanwhile."""
    monkeypatch.setattr("model.weights.load", lambda _: pytest.fail("it was parsed"))
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"layer{number}.weight": empty for number in range(MOST_TENSORS + 1)}).encode()
    header = header.replace(b'"data_offsets"', offsets)
    content = len(header).to_bytes(8, "little") + header
    answer = client.post("/predict-weights", content=content, headers=BINARY)
    assert answer.status_code == 400
    assert answer.json()["detail"] == f"{MOST_TENSORS + 1} tensors; {MOST_TENSORS} is the most"


def test_weights_wait_for_no_queue_and_read_in_nobodys_place(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.admission._check_room", lambda *_: pytest.fail("of the queue"))
    service = client.app.state.service  # type: ignore[attr-defined]
    for threads in (service.readers, service.large_reader):
        monkeypatch.setattr(threads, "submit", lambda *_: pytest.fail("others read there"))
    assert client.post("/predict-weights", content=save(network()), headers=BINARY).status_code == 200


@pytest.mark.parametrize(
    "content",
    [save({"x": np.ones(3, dtype=np.float32)}), file_of({}), file_of({"__metadata__": {"format": "pt"}})],
    ids=["another tensor", "no tensors", "metadata alone"],
)
def test_a_file_without_weights_is_refused(client: TestClient, content: bytes) -> None:
    answer = client.post("/predict-weights", content=content, headers=BINARY)
    assert answer.status_code == 422
    assert "weight" in answer.json()["detail"]


@pytest.mark.parametrize("shape", [[1] * 70, [0, 2**40, 2**40]], ids=["many dimensions", "large dimensions"])
def test_a_shape_that_numpy_lacks_is_not_blamed_on_the_type(client: TestClient, shape: list[int]) -> None:
    data = b"\0" * 4 * (0 not in shape)
    content = file_of({"a.weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, len(data)]}}, data)
    answer = client.post("/predict-weights", content=content, headers=BINARY)
    assert answer.status_code == 400
    assert "dimensions" in answer.json()["detail"]


@pytest.mark.parametrize("layer", ["1\u00b22", "9" * 5000], ids=["superscript", "many digits"])
def test_no_number_in_a_name_is_too_strange(client: TestClient, layer: str) -> None:
    tensors = {f"{layer}.weight": network()["layer0.weight"], "head.weight": network()["head.weight"]}
    answer = client.post("/predict-weights", content=save(tensors), headers=BINARY)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("values", [1e38 * np.tanh(network()["layer3.weight"]), np.full((1, 5000), 3e30)])
def test_values_whose_statistics_overflow_are_refused(client: TestClient, values: np.ndarray) -> None:
    """Each is within the limit; in units of the initial deviation, or beside no deviation at all, they are not."""
    content = save({"layer0.weight": values.astype(np.float32)})
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        answer = client.post("/predict-weights", content=content, headers=BINARY)
    assert answer.status_code == 400
    assert "so large" in answer.json()["detail"]


def test_the_size_is_limited(able: Path) -> None:
    """One byte over the limit is refused, the limit itself is read."""
    content = save(network())
    with serving(models=(able,), max_body_bytes=len(content)) as client:
        assert client.post("/predict-weights", content=content, headers=BINARY).status_code == 200
        assert client.post("/predict-weights", content=content + b" ", headers=BINARY).status_code == 413


def test_the_log_has_the_size_of_a_file(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one that is refused as well."""
    lines: list[dict[str, object]] = []
    monkeypatch.setattr("service.edge.log.info", lambda _, **line: lines.append(line))
    content = save(network())
    for sent in (content, content[:-1]):
        client.post("/predict-weights", content=sent, headers=BINARY)
    client.app.state.service.ledger.write_up()  # type: ignore[attr-defined]
    sizes = [(line["status"], line["bytes_in"], line.get("networks")) for line in lines if "bytes_in" in line]
    assert sizes == [(200, len(content), 1), (400, len(content) - 1, None)]


def test_other_bodies_and_tasks_are_refused(client: TestClient) -> None:
    content = save(network())
    assert client.post("/predict-weights", json={}).status_code == 415
    answer = client.post("/predict-weights?task=other", content=content, headers=BINARY)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/task"
