"""The Open Inference Protocol, as Triton's own Python client speaks it, and by hand."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import numpy as np
import pytest
from starlette.testclient import TestClient
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from service.api.tensors import LENGTH_HEADER
from tests.service.live import Live
from tests.service.requests import RELU, metric, problem

CONV = {"type": "conv", "kernel_size": 3, "out_channels": 16}
NETWORKS: list[dict[str, Any]] = [{"id": "a", "layers": [CONV, RELU]}, {"id": "b", "layers": [RELU]}]
TEXT, OTHER = map(json.dumps, NETWORKS)
INFER = "/v2/models/tiny/infer"


@pytest.fixture
def triton_client(live: Live) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"127.0.0.1:{live.port}") as made:
        yield made


def tensors(*, binary: bool, epochs: list[int]) -> list[triton.InferInput]:
    """Return the inputs as Triton's client makes them."""
    texts = np.array([json.dumps(network).encode() for network in NETWORKS], dtype=np.object_)
    first = triton.InferInput("architectures", list(texts.shape), "BYTES")
    first.set_data_from_numpy(texts, binary_data=binary)
    second = triton.InferInput("epochs", [len(epochs)], "INT64")
    second.set_data_from_numpy(np.array(epochs, dtype=np.int64), binary_data=binary)
    return [first, second]


def architectures(*texts: str, **fields: Any) -> dict[str, Any]:
    """Return a tensor of architectures in JSON."""
    return {"name": "architectures", "datatype": "BYTES", "shape": [len(texts)], "data": list(texts)} | fields


def epochs(*values: Any, **fields: Any) -> dict[str, Any]:
    """Return a tensor of epochs in JSON."""
    return {"name": "epochs", "datatype": "INT64", "shape": [len(values)], "data": list(values)} | fields


def infer(client: TestClient, *inputs: Any, **fields: Any) -> Any:
    return client.post(INFER, json={"inputs": list(inputs)} | fields)


def outputs(response: Any) -> dict[str, Any]:
    """Return the JSON data of a response's outputs by name."""
    assert response.status_code == 200, response.text
    return {one["name"]: one["data"] for one in response.json()["outputs"]}


def only_fault(response: Any) -> tuple[str, str]:
    """Return pointer and detail of a 422 with one fault; the protocol's `error` says it too."""
    document = problem(response, 422)
    (fault,) = document["errors"]
    assert document["error"] == document["detail"]
    return fault["pointer"], fault["detail"]


def test_health_and_metadata(triton_client: triton.InferenceServerClient) -> None:
    """Triton's client finds the server live and ready, and reads what the model takes and gives."""
    assert triton_client.is_server_live()
    assert triton_client.is_server_ready()
    assert triton_client.is_model_ready("tiny")
    assert triton_client.is_model_ready("tiny", "1")
    assert not triton_client.is_model_ready("tiny", "2")
    assert not triton_client.is_model_ready("other")
    assert triton_client.get_server_metadata()["name"] == "peephole"
    metadata = triton_client.get_model_metadata("tiny")
    assert metadata["versions"] == ["1"]
    assert {tensor["name"]: tensor["datatype"] for tensor in metadata["inputs"]} == {
        "architectures": "BYTES",
        "epochs": "INT64",
    }
    assert [tensor["name"] for tensor in metadata["outputs"]] == ["accuracy", "lower", "upper", "distance", "epochs"]


@pytest.mark.parametrize("path", ["/v2/health/ready", "/v2/models/tiny", "/v2/models/tiny/ready", "/tasks/tiny"])
def test_while_predictors_load_the_response_is_503(client: TestClient, path: str) -> None:
    client.app.state.service.registry.models = {}  # type: ignore[attr-defined]
    response = client.get(path)
    assert problem(response, 503)["detail"] == "the predictors are loading"
    assert response.headers["retry-after"] == "2"


@pytest.mark.parametrize("binary", [True, False])
def test_infer_gives_the_curves_of_predict(
    triton_client: triton.InferenceServerClient, live: Live, binary: bool
) -> None:
    """In binary and in JSON, the tensors hold what /predict says."""
    body = {"architectures": NETWORKS, "epochs": [2, 5]}
    expected = httpx2.post(live.url + "/predict", json=body).json()["predictions"]
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("accuracy", "epochs")]
    found = triton_client.infer("tiny", tensors(binary=binary, epochs=[2, 5]), outputs=wanted, request_id="r-1")
    assert found.get_response()["id"] == "r-1"
    np.testing.assert_allclose(found.as_numpy("accuracy"), [one["accuracy"] for one in expected], atol=1e-5)
    np.testing.assert_array_equal(found.as_numpy("epochs"), [2, 5])
    everything = triton_client.infer("tiny", tensors(binary=binary, epochs=[2, 5]))
    assert everything.as_numpy("upper").shape == (2, 2)
    np.testing.assert_allclose(everything.as_numpy("distance"), [one["distance"] for one in expected], atol=1e-5)


def test_errors_reach_tritons_client(triton_client: triton.InferenceServerClient) -> None:
    """The protocol's `error` member stands beside the problem document's own."""
    with pytest.raises(InferenceServerException, match="The tasks are: tiny"):
        triton_client.infer("other", tensors(binary=True, epochs=[1]))
    with pytest.raises(InferenceServerException, match="The version of task tiny is 1"):
        triton_client.infer("tiny", tensors(binary=True, epochs=[1]), model_version="2")
    with pytest.raises(InferenceServerException, match="/epochs/0"):
        triton_client.infer("tiny", tensors(binary=True, epochs=[6]))


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (architectures(TEXT, OTHER), epochs(1, 2)),
        (architectures(TEXT, OTHER, shape=[2, 1]), epochs(1, 2, shape=[2, 1])),
        (architectures(shape=[2, 1], data=[[TEXT], [OTHER]]), epochs(shape=[2, 1], data=[[1], [2]])),
    ],
    ids=["[N]", "[N, 1]", "[N, 1] nested"],
)
def test_tensors_have_one_or_two_dimensions(client: TestClient, texts: Any, numbers: Any) -> None:
    """KServe's clients send [N], others [N, 1], flat or nested."""
    found = outputs(infer(client, texts, numbers))
    assert found == outputs(infer(client, architectures(TEXT, OTHER), epochs(1, 2)))
    assert len(found["accuracy"]) == 4


def test_an_observed_curve_is_continued(mini: TestClient) -> None:
    """An element of `architectures` is one of /predict's, with everything that it may have."""
    network = {"layers": [CONV, RELU], "observed": [0.2, 0.3]}
    response = mini.post("/v2/models/cifar10-mini/infer", json={"inputs": [architectures(json.dumps(network))]})
    found = outputs(response)
    (expected,) = mini.post("/predict", json={"architectures": [network]}).json()["predictions"]
    np.testing.assert_allclose(found["accuracy"], expected["accuracy"], atol=1e-5)


def test_an_unknown_input_is_an_error_that_lists_the_inputs(client: TestClient) -> None:
    """A misspelt `epoch` would otherwise be every epoch, and `observed` would be forgotten."""
    for name in ("epoch", "observed", "Architectures", ""):
        tensor = epochs(3, name=name)
        assert only_fault(infer(client, architectures(TEXT), tensor)) == (
            "/inputs/1/name",
            "the inputs are architectures, epochs",
        )


@pytest.mark.parametrize("name", [7, True, {}])
def test_an_id_that_is_no_string_is_pointed_at(client: TestClient, name: Any) -> None:
    assert only_fault(infer(client, architectures(TEXT), id=name)) == ("/id", "must be a string")


def test_outputs_that_do_not_exist_are_named_before_anything_is_predicted(client: TestClient) -> None:
    """Each with a pointer, and no call of the predictor is spent on the request."""
    calls = 'predictor_batches_total{task="tiny"}'
    assert infer(client, architectures(TEXT)).status_code == 200
    before = metric(client, calls)
    tensor = architectures(json.dumps({"layers": [{"type": "tanh"}]}))
    wanted = [{"name": "accuracy"}, {"name": "accuracy"}, {"name": "loss"}, {"name": "flops"}]
    faults = problem(infer(client, tensor, outputs=wanted), 422)["errors"]
    assert [fault["pointer"] for fault in faults] == ["/outputs/2/name", "/outputs/3/name"]
    assert faults[0]["detail"] == "the outputs are accuracy, lower, upper, distance, epochs"
    assert metric(client, calls) == before
    assert list(outputs(infer(client, tensor, outputs=wanted[:2]))) == ["accuracy"]
    assert len(outputs(infer(client, tensor, outputs=[]))) == 5
    assert metric(client, calls) > before


@pytest.mark.parametrize("element", ['[{"type": "relu"}]', "5", '{"layers": 5}', '{"layers": [{"type": "Conv2d"}]}'])
def test_a_fault_inside_an_element_is_pointed_at(client: TestClient, element: str) -> None:
    """The pointer is that of /predict's request."""
    document = problem(infer(client, architectures(TEXT, element)), 422)
    pointer = document["errors"][0]["pointer"]
    assert pointer.startswith("/architectures/1")
    if "Conv2d" in element:
        assert document["error"].startswith("/architectures/1/layers/0/type: did you mean `conv`?")


@pytest.mark.parametrize(("element", "why"), [("relu", "expected value"), ("", "it is empty"), ("{", "it ends before")])
def test_an_element_that_is_no_json_is_pointed_at(client: TestClient, element: str, why: str) -> None:
    pointer, detail = only_fault(infer(client, architectures(TEXT, element)))
    assert pointer == "/architectures/1"
    assert detail.startswith(f"not JSON: {why}")


def test_parameters_of_other_extensions_are_ignored(client: TestClient) -> None:
    """The protocol leaves them open, in the request and in each tensor."""
    tensor = architectures(TEXT, parameters={"int": {}, "priority": [1], "x": None}, extension=1)
    response = infer(client, tensor, parameters={"float": {}, "sequence_id": "7"}, other={"a": 1})
    assert response.status_code == 200, response.text


def test_a_tensor_is_given_once(client: TestClient) -> None:
    """Or one's data would be read with the other's shape."""
    tensor = architectures(TEXT)
    assert only_fault(infer(client, tensor, epochs(1), tensor)) == (
        "/inputs/2/name",
        "an earlier input has this name",
    )


def test_a_byte_order_mark_is_accepted(client: TestClient) -> None:
    content = b"\xef\xbb\xbf" + json.dumps({"inputs": [architectures(TEXT)]}).encode()
    assert client.post(INFER, content=content).status_code == 200


@pytest.mark.parametrize(("before", "within"), [('"inputs":5,', ""), ('"id":5,"id":"a",', ""), ("", '"shape":"x",')])
def test_of_a_name_given_twice_the_last_counts(client: TestClient, before: str, within: str) -> None:
    tensor = json.dumps(architectures(TEXT))[1:]
    assert client.post(INFER, content=f'{{{before}"inputs":[{{{within}{tensor}]}}').status_code == 200


FAULTS: list[tuple[list[Any], str, str]] = [
    ([], "/inputs", "`inputs` needs a tensor `architectures` with at least one element"),
    ([architectures()], "/inputs", "`inputs` needs a tensor `architectures` with at least one element"),
    ([epochs(1)], "/inputs", "`inputs` needs a tensor `architectures` with at least one element"),
    ([architectures(TEXT, datatype="FP32")], "/inputs/0/datatype", "architectures is BYTES"),
    ([architectures(TEXT), epochs(1, datatype="INT32")], "/inputs/1/datatype", "epochs is INT64"),
    (
        [architectures(TEXT, shape=[2])],
        "/inputs/0/shape",
        "architectures has 1 elements; its shape must be [N] or [N, 1]",
    ),
    (
        [architectures(TEXT, shape=[1, 2])],
        "/inputs/0/shape",
        "architectures has 1 elements; its shape must be [N] or [N, 1]",
    ),
    (
        [architectures(TEXT, shape=[])],
        "/inputs/0/shape",
        "architectures has 1 elements; its shape must be [N] or [N, 1]",
    ),
    ([architectures(TEXT, shape=[1.5])], "/inputs/0/shape/0", "must be an integer"),
    ([architectures(TEXT, shape=5)], "/inputs/0/shape", "must be a list"),
    ([architectures(TEXT, data=[7])], "/inputs/0/data", "must be a list of strings, or binary data"),
    ([architectures(TEXT, data=TEXT)], "/inputs/0/data", "must be a list"),
    ([architectures(TEXT, data=[[TEXT, TEXT]])], "/inputs/0/data", "must be a list of strings, or binary data"),
    (
        [{"name": "architectures", "datatype": "BYTES", "shape": [1]}],
        "/inputs/0/data",
        "must be a list of strings, or binary data",
    ),
    ([{"name": "architectures", "shape": [1], "data": [TEXT]}], "/inputs/0/datatype", "`datatype` is missing"),
    ([architectures(TEXT), epochs(1.0)], "/inputs/1/data", "must be a list of integers, or binary data"),
    ([architectures(TEXT), epochs(True)], "/inputs/1/data", "must be a list of integers, or binary data"),
    ([architectures(TEXT), epochs("1")], "/inputs/1/data", "must be a list of integers, or binary data"),
    ([architectures(TEXT), epochs(1, 0)], "/epochs/1", "must be 1 to 5 for task tiny"),
    ([architectures(TEXT), epochs(-(2**63))], "/epochs/0", "must be 1 to 5 for task tiny"),
    ([architectures(TEXT), epochs(10**30)], "/epochs/0", "must be 1 to 5 for task tiny"),
    ([architectures(TEXT), epochs(2, 2)], "/epochs/1", "each epoch may be listed once"),
    ([architectures(TEXT), epochs()], "/epochs", "must hold at least one element"),
    ([7], "/inputs/0", "must be an object"),
]


@pytest.mark.parametrize(("inputs", "pointer", "detail"), FAULTS, ids=[str(one[0])[:80] for one in FAULTS])
def test_a_fault_of_the_tensors_is_explained(client: TestClient, inputs: list[Any], pointer: str, detail: str) -> None:
    assert only_fault(infer(client, *inputs)) == (pointer, detail)


TENSOR = architectures(parameters={"binary_data_size": 6}, shape=[1])
del TENSOR["data"]
BINARY = json.dumps({"inputs": [TENSOR]})
EPOCHS = json.dumps({"inputs": [architectures(TEXT), {**epochs(), "parameters": {"binary_data_size": 7}}]})
BROKEN: list[tuple[str, str, str]] = [
    ("{}", "99", f"{LENGTH_HEADER} is not a length within the body"),
    ("{}", "-1", f"{LENGTH_HEADER} is not a length within the body"),
    ("{}", "two", f"{LENGTH_HEADER} is not a length within the body"),
    ("{}", "9" * 5000, f"{LENGTH_HEADER} is not a length within the body"),
    (BINARY + "\xff\xff\x00\x00{}", str(len(BINARY)), "the binary data ends inside an element"),
    (BINARY + "\x02\x00\x00", str(len(BINARY)), "binary_data_size is not within the body"),
    (BINARY + "\x02\x00\x00\x00{} and more", str(len(BINARY)), "the body goes on after the last tensor"),
    (EPOCHS + "1234567", str(len(EPOCHS)), "the binary data is not whole INT64 elements"),
]


@pytest.mark.parametrize(("body", "length", "says"), BROKEN, ids=[one[2][:40] + one[1][:5] for one in BROKEN])
def test_binary_tensors_that_do_not_add_up_are_rejected(client: TestClient, body: str, length: str, says: str) -> None:
    response = client.post(INFER, content=body.encode("latin-1"), headers={LENGTH_HEADER: length})
    assert only_fault(response)[1] == says


def test_a_length_that_ends_inside_the_binary_data_is_rejected(client: TestClient) -> None:
    content = BINARY.encode() + b"\x02\x00\x00\x00{}"
    response = client.post(INFER, content=content, headers={LENGTH_HEADER: str(len(BINARY) + 2)})
    assert problem(response, 400)["error"].startswith("not JSON: trailing characters")


@pytest.mark.parametrize("size", [-1, 7, 10**30, True, "6", 1.5, None])
def test_a_size_of_binary_data_that_is_none_is_rejected(client: TestClient, size: Any) -> None:
    head = json.dumps({"inputs": [TENSOR | {"parameters": {"binary_data_size": size}}]})
    response = client.post(
        INFER, content=head.encode() + b"\x02\x00\x00\x00{}", headers={LENGTH_HEADER: str(len(head))}
    )
    _, detail = only_fault(response)
    expected = (
        "must be a list of strings, or binary data" if size is None else "binary_data_size is not within the body"
    )
    assert detail == expected


def test_binary_and_json_tensors_may_be_mixed(client: TestClient) -> None:
    """Each input and each output says for itself."""
    text = TEXT.encode()
    data = len(text).to_bytes(4, "little") + text
    tensor = architectures(parameters={"binary_data_size": len(data)}, shape=[1])
    del tensor["data"]
    wanted = [{"name": "accuracy", "parameters": {"binary_data": True}}, {"name": "epochs"}]
    head = json.dumps({"inputs": [epochs(3, 1), tensor], "outputs": wanted}).encode()
    response = client.post(INFER, content=head + data, headers={LENGTH_HEADER: str(len(head))})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/octet-stream"
    length = int(response.headers[LENGTH_HEADER])
    accuracy, listed = json.loads(response.content[:length])["outputs"]
    assert listed["data"] == [3, 1]
    assert accuracy["parameters"] == {"binary_data_size": 8}
    expected = outputs(infer(client, architectures(TEXT), epochs(3, 1)))["accuracy"]
    np.testing.assert_array_equal(
        np.frombuffer(response.content[length:], dtype="<f4"), np.array(expected, dtype=np.float32)
    )


def test_the_limits_of_predict_hold(client: TestClient) -> None:
    """Architectures, layers, names, channels: with /predict's pointers."""
    limits = client.get("/info").json()["limits"]
    most = limits["max_architectures"]
    many = ['{"layers":[{"type":"relu"}]}'] * (most + 1)
    assert only_fault(infer(client, architectures(*many)))[1] == f"{most + 1} are more than the limit of {most}"
    deep = json.dumps({"layers": [RELU] * (limits["max_layers"] + 1)})
    assert only_fault(infer(client, architectures(deep)))[0] == "/architectures/0/layers"
    assert only_fault(infer(client, architectures(TEXT, TEXT)))[0] == "/architectures/1/id"
    grey = json.dumps({"layers": [RELU], "in_channels": 1})
    assert only_fault(infer(client, architectures(grey)))[0] == "/architectures/0/in_channels"
