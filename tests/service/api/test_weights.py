"""`POST /predict-weights`: the accuracy of a trained network from a file of its weights."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from starlette.testclient import TestClient

from model.artifact import ZOO
from model.ranking import UNLIKE
from model.weights import read_weights_predictor
from model.weights_file import MOST_TENSORS, read_weights
from tests.service.api.conftest import TASK
from tests.service.conftest import Serve
from tests.service.requests import metric, problem

BINARY = {"Content-Type": "application/octet-stream"}


def network() -> dict[str, NDArray[np.float32]]:
    """Return the weights of a small network as it is initialised."""
    random = np.random.default_rng(0)
    shapes = {"layer0.weight": (8, 3, 3, 3), "layer0.bias": (8,), "layer3.weight": (16, 8, 3, 3), "fc.weight": (10, 16)}
    return {name: (0.1 * random.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()}


def post(client: TestClient, content: bytes, **query: str) -> Any:
    return client.post("/predict-weights", content=content, headers=BINARY, params=query)


def file_of(header: dict[str, object], data: bytes = b"") -> bytes:
    """Return a safetensors file with this header, whatever it says."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_the_route_predicts_what_the_library_predicts(mini: TestClient) -> None:
    content = save(network())
    response = post(mini, content)
    assert response.status_code == 200, response.text
    predictor = read_weights_predictor(ZOO / TASK)
    assert predictor is not None
    expected = predictor.predict(read_weights(content))
    found = response.json()
    assert found["task"] == TASK
    assert found["request_id"] == response.headers["x-request-id"]
    assert [found[name] for name in ("accuracy", "lower", "upper")] == pytest.approx(
        [expected.accuracy, expected.lower, expected.upper], abs=1e-6
    )
    assert 0 <= found["lower"] <= found["accuracy"] <= found["upper"] <= 1
    assert found["distance"] == pytest.approx(expected.distance, abs=1e-6)
    assert (found["in_distribution"], found["notes"]) == (found["distance"] <= 1, list(expected.notes))


@pytest.mark.parametrize(
    "kind", ["application/safetensors", "application/vnd.safetensors; v=1", "Application/Octet-Stream"]
)
def test_the_types_of_safetensors_files_are_accepted(mini: TestClient, kind: str) -> None:
    response = mini.post("/predict-weights", content=save(network()), headers={"Content-Type": kind})
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "", "application/x-pickle"])
def test_another_type_is_a_415_that_lists_them(mini: TestClient, kind: str) -> None:
    response = mini.post("/predict-weights", content=save(network()), headers={"Content-Type": kind})
    assert problem(response, 415)["detail"] == (
        "Send a safetensors file as one of: "
        "application/octet-stream, application/safetensors, application/vnd.safetensors."
    )


MALFORMED = {
    "empty": b"",
    "noise": b"\x93" * 500,
    "a header that lies": (2**62).to_bytes(8, "little") + b"{}",
    "truncated": save(network())[:-100],
    "a pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
    "a zip file of PyTorch": b"PK\x03\x04" + bytes(200),
    "JSON": b'{"architectures": []}',
    "not finite": save({"layer0.weight": np.array([1.0, np.nan], dtype=np.float32)}),
    "absurd": save({"layer0.weight": np.array([1e160, -1e200])}),
    "no elements": save({"layer0.weight": np.zeros((0, 3), dtype=np.float32)}),
    "many dimensions": file_of({"a.weight": {"dtype": "F32", "shape": [1] * 70, "data_offsets": [0, 4]}}, bytes(4)),
    "large dimensions": file_of({"a.weight": {"dtype": "F32", "shape": [0, 2**40, 2**40], "data_offsets": [0, 0]}}),
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_file_is_a_400(mini: TestClient, content: bytes) -> None:
    assert problem(post(mini, content), 400)["type"] == "/problems/bad-request"


def test_the_tensors_at_fault_are_named(mini: TestClient) -> None:
    tensors = network() | {"layer3.weight": np.array([[np.inf]], dtype=np.float32)}
    document = problem(post(mini, save(tensors)), 400)
    assert document["detail"].endswith("hold values that are not finite or over 1e+38: layer3.weight")
    tensors = {f"{number}.weight": np.full((2, 2), np.nan, dtype=np.float32) for number in (10, 9)}
    assert problem(post(mini, save(tensors)), 400)["detail"].endswith(": 9.weight, 10.weight")


def test_weights_that_are_not_understood_are_a_422_that_names_them(mini: TestClient) -> None:
    """Quantised, beside another network, in an unknown form; none is read as something else."""
    plain = network()
    integers = {name: tensor.astype(np.int8) if tensor.ndim > 1 else tensor for name, tensor in plain.items()}
    files = {
        "quantised": (integers, "layer0.weight, layer3.weight, fc.weight"),
        "several": (plain | {f"ema.{name}": tensor for name, tensor in plain.items()}, "ema.layer0.bias"),
        "understood": (plain | {"fc.weight_" + "x" * 100: plain["fc.weight"]}, f"fc.weight_{'x' * 54};"),
    }
    for word, (tensors, names) in files.items():
        document = problem(post(mini, save(tensors)), 422)
        assert [fault["code"] for fault in document["errors"]] == ["not-weights"]
        assert word in document["detail"]
        assert names in document["detail"]


def test_weights_unlike_the_training_set_are_flagged(mini: TestClient) -> None:
    """Those of a transformer, and of a network with tensors that were not read, which a note names."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = torch.nn.TransformerEncoderLayer(32, 4, 128)
    tensors = {name: tensor.numpy() for name, tensor in layers.state_dict().items()}
    found = post(mini, save(tensors | {"cls_token": np.ones(32, dtype=np.float32)})).json()
    assert (found["in_distribution"], found["distance"] > 1) == (False, True)
    assert found["notes"] == ["not read: cls_token", UNLIKE]


def test_too_many_tensors_are_rejected(mini: TestClient) -> None:
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    content = file_of({f"layer{number}.weight": empty for number in range(MOST_TENSORS + 1)})
    assert problem(post(mini, content), 400)["detail"] == f"{MOST_TENSORS + 1} tensors; {MOST_TENSORS} is the most"


@pytest.mark.parametrize(
    "content",
    [save({"x": np.ones(3, dtype=np.float32)}), file_of({}), file_of({"__metadata__": {"format": "pt"}})],
    ids=["another tensor", "no tensors", "metadata alone"],
)
def test_a_file_without_weights_is_a_422(mini: TestClient, content: bytes) -> None:
    """It is a safetensors file, but not a network's."""
    document = problem(post(mini, content), 422)
    assert document["detail"] == ("no tensor of a layer whose name ends in 'weight': these are not a network's weights")


@pytest.mark.parametrize("values", [1e38 * np.tanh(10 * network()["layer3.weight"]), np.full((1, 5000), 3e30)])
def test_values_whose_statistics_overflow_are_rejected(mini: TestClient, values: NDArray[np.float64]) -> None:
    """Each is within the limit; in units of the initial deviation, or beside no deviation at all, they are not."""
    content = save({"layer0.weight": values.astype(np.float32)})
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert "so large" in problem(post(mini, content), 400)["detail"]


def test_the_limit_on_the_body_holds(serve: Serve) -> None:
    """The limit itself is read, one byte over it is rejected."""
    content = save(network())
    client = serve(models=(ZOO / TASK,), max_body_bytes=len(content))
    assert post(client, content).status_code == 200
    problem(post(client, content + b" "), 413)


def test_the_task_is_chosen_among_those_that_read_weights(serve: Serve, tiny: Path) -> None:
    """The only one by default; for another task the message lists those that can."""
    content = save(network())
    client = serve(models=(ZOO / TASK, tiny))
    assert post(client, content).json()["task"] == TASK
    assert post(client, content, task=TASK).json()["task"] == TASK
    document = problem(post(client, content, task="tiny"), 422)
    assert document["detail"] == f"/task: task tiny cannot read weights; these can: {TASK}"
    document = problem(post(client, content, task="other"), 422)
    assert document["detail"] == f"/task: must be one of: {TASK}, tiny"
    both = serve(models=(ZOO / TASK, ZOO / "mnist-mini"))
    document = problem(post(both, content), 422)
    assert document["detail"] == f"several predictors read weights; name one of: {TASK}, mnist-mini"
    neither = serve(models=(tiny,))
    assert problem(post(neither, content), 422)["detail"] == "/task: task tiny cannot read weights; these can: none"


def test_weights_do_not_wait_for_the_queue(mini: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read in a reader thread and cost no inference of curves."""
    monkeypatch.setattr("service.inference.engine.Engine.predict", lambda *_: pytest.fail("the queue was used"))
    before = metric(mini, "predictor_queue_wait_seconds_count")
    assert post(mini, save(network())).status_code == 200
    assert metric(mini, "predictor_queue_wait_seconds_count") == before


def test_the_log_has_the_size_of_a_file(mini: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one that is rejected as well."""
    lines: list[dict[str, object]] = []
    monkeypatch.setattr("service.middleware.log.info", lambda _, **line: lines.append(line))
    content = save(network())
    for sent in (content, content[:-1]):
        post(mini, sent)
    sizes = [(line["status"], line["bytes_in"], line.get("networks")) for line in lines]
    assert sizes == [(200, len(content), 1), (400, len(content) - 1, None)]
