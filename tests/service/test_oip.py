"""The Open Inference Protocol, spoken by Triton's own Python client and by hand."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from starlette.testclient import TestClient
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from service.tensors import LENGTH_HEADER
from tests.service.live import Live, running
from tests.service.test_errors import problem

NETWORKS: list[dict[str, Any]] = [
    {"id": "a", "layers": [{"type": "conv", "kernel_size": 3, "out_channels": 16}, {"type": "relu"}]},
    {"id": "b", "layers": [{"type": "relu"}]},
]


@pytest.fixture(scope="module")
def live(tiny: Path) -> Iterator[Live]:
    with running(tiny) as process:
        yield process


@pytest.fixture
def client(live: Live) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"127.0.0.1:{live.port}") as made:
        yield made


def tensors(*, binary: bool, epochs: list[int]) -> list[triton.InferInput]:
    texts = np.array([json.dumps(network).encode() for network in NETWORKS], dtype=np.object_)
    first = triton.InferInput("architectures", list(texts.shape), "BYTES")
    first.set_data_from_numpy(texts, binary_data=binary)
    second = triton.InferInput("epochs", [len(epochs)], "INT64")
    second.set_data_from_numpy(np.array(epochs, dtype=np.int64), binary_data=binary)
    return [first, second]


def test_health_and_metadata(client: triton.InferenceServerClient) -> None:
    """Triton's client finds the server live and ready, and reads what the model takes and gives."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "1")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["name"] == "peephole"
    metadata = client.get_model_metadata("tiny")
    assert metadata["versions"] == ["1"]
    assert {tensor["name"]: tensor["datatype"] for tensor in metadata["inputs"]}["architectures"] == "BYTES"


@pytest.mark.parametrize("path", ["/v2/health/ready", "/v2/models/tiny", "/v2/models/tiny/ready", "/readyz"])
def test_while_predictors_load_the_answer_is_503(serve: Any, path: str) -> None:
    client = serve()
    client.app.state.service.models = {}
    answer = client.get(path)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["detail"] == "the predictors are loading"


def test_probes_are_not_logged(client: triton.InferenceServerClient, live: Live) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny", "1")
    assert client.get_server_metadata()["name"] == "peephole"
    live.wait_printed('"route":"/v2"')
    good = [line for line in live.output().splitlines() if '"status":200' in line]
    assert not [line for line in good if "/ready" in line or "/health" in line]


@pytest.mark.parametrize("binary", [True, False])
def test_infer_gives_the_curves_of_predict(client: triton.InferenceServerClient, live: Live, binary: bool) -> None:
    """In binary and in JSON, the tensors hold what /predict says."""
    body = {"architectures": NETWORKS, "epochs": [2, 5]}
    expected = httpx2.post(live.url + "/predict", json=body).json()["predictions"]
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("accuracy", "epochs")]
    answer = client.infer("tiny", tensors(binary=binary, epochs=[2, 5]), outputs=wanted, request_id="r-1")
    assert answer.get_response()["id"] == "r-1"
    np.testing.assert_allclose(answer.as_numpy("accuracy"), [p["accuracy"] for p in expected], atol=1e-5)
    np.testing.assert_array_equal(answer.as_numpy("epochs"), [2, 5])
    everything = client.infer("tiny", tensors(binary=binary, epochs=[2, 5]))
    assert everything.as_numpy("upper").shape == (2, 2)
    assert everything.as_numpy("distance").shape == (2,)


def test_errors_reach_the_client(client: triton.InferenceServerClient) -> None:
    """The protocol's `error` member stands beside the problem document's own."""
    with pytest.raises(InferenceServerException, match="The models are: tiny"):
        client.infer("other", tensors(binary=True, epochs=[1]))
    with pytest.raises(InferenceServerException, match="/epochs/0"):
        client.infer("tiny", tensors(binary=True, epochs=[6]))


def test_outputs_that_do_not_exist_are_named_before_anything_is_predicted(live: Live) -> None:
    """Each with a pointer, and no call of the predictor is spent on the request."""

    def calls() -> float:
        lines = httpx2.get(live.url + "/metrics").text.splitlines()
        return sum(float(line.split()[1]) for line in lines if line.startswith("predictor_batches_total{"))

    before = calls()
    text = json.dumps({"layers": [{"type": "tanh"}]})
    tensor = {"name": "architectures", "datatype": "BYTES", "shape": [1], "data": [text]}
    body = {"inputs": [tensor], "outputs": [{"name": "accuracy"}, {"name": "loss"}, {"name": "flops"}]}
    answer = httpx2.post(live.url + "/v2/models/tiny/infer", json=body)
    faults = problem(answer, 422)["errors"]
    assert [fault["pointer"] for fault in faults] == ["/outputs/1/name", "/outputs/2/name"]
    assert "accuracy, lower, upper, distance, epochs" in faults[0]["detail"]
    assert calls() == before
    assert httpx2.post(live.url + "/v2/models/tiny/infer", json=body | {"outputs": []}).status_code == 200
    assert calls() == before + 1


TENSOR = {"name": "architectures", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 6}}
BINARY = json.dumps({"inputs": [TENSOR]})
BROKEN: list[tuple[str | bytes, dict[str, str]]] = [
    ("{", {}),
    ("[]", {}),
    ("{}", {}),
    ('{"inputs": []}', {}),
    ('{"inputs": [{"name": "architectures", "datatype": "FP32", "shape": [1], "data": [1]}]}', {}),
    ('{"inputs": [{"name": "architectures", "datatype": "BYTES", "shape": [1, 1], "data": ["{}"]}]}', {}),
    ('{"inputs": [{"name": "architectures", "datatype": "BYTES", "shape": [2], "data": ["{}"]}]}', {}),
    ('{"inputs": [{"name": "architectures", "datatype": "BYTES", "shape": [1], "data": [7]}]}', {}),
    ('{"inputs": [{"name": "architectures", "datatype": "BYTES", "shape": [1]}]}', {}),
    ('{"inputs": [{"name": "architectures", "datatype": "BYTES", "shape": [1], "data": ["{"]}]}', {}),
    (json.dumps({"inputs": [{"name": "architectures", "datatype": "BYTES", "shape": [1], "data": ["[" * 99999]}]}), {}),
    ("{}", {LENGTH_HEADER: "99"}),
    ("{}", {LENGTH_HEADER: "-1"}),
    (BINARY + "\x02\x00\x00\x00{}", {LENGTH_HEADER: str(len(BINARY) + 2)}),
    (BINARY + "\xff\xff\x00\x00{}", {LENGTH_HEADER: str(len(BINARY))}),
    (BINARY + "\x02\x00\x00\x00{}", {LENGTH_HEADER: str(len(BINARY))}),
    (BINARY + "\x02\x00\x00\x00{} and more", {LENGTH_HEADER: str(len(BINARY))}),
]


@pytest.mark.parametrize(("body", "headers"), BROKEN, ids=range(len(BROKEN)))
def test_broken_requests_are_refused(serve: Any, body: str | bytes, headers: dict[str, str]) -> None:
    """Tensors that do not add up are problems with a protocol error, never a 500."""
    client: TestClient = serve()
    content = body.encode("latin-1") if isinstance(body, str) else body
    response = client.post("/v2/models/tiny/infer", content=content, headers=headers)
    assert response.status_code in {400, 422}
    assert response.json()["error"]
    problem(response, response.status_code)
