"""What refusals say: what to do about it, in the service's own words, wherever the fault was found."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.service.conftest import Serve
from tests.service.test_errors import problem

RELU = {"type": "relu"}
CONV = {"type": "conv", "kernel_size": 3, "out_channels": 16}
WIDE = {"type": "conv", "kernel_size": 3, "channel_ratio": 65.0}


def of(**fields: Any) -> dict[str, Any]:
    """A request for one network with these fields."""
    return {"architectures": [{"layers": [RELU]} | fields]}


MESSAGES: list[tuple[str, Any, str, str]] = [
    ("/predict", [1, 2], "", "must be a JSON object"),
    ("/predict", of(layers=[]), "/architectures/0/layers", "must hold at least one"),
    ("/predict", of(observed=[]), "/architectures/0/observed", "must hold at least one"),
    ("/predict", of() | {"epochs": []}, "/epochs", "must hold at least one"),
    ("/predict", {"architectures": []}, "/architectures", "must hold at least one"),
    ("/predict", of() | {"epochs": 10}, "/epochs", "must be a list"),
    ("/predict", of(layers=5), "/architectures/0/layers", "must be a list"),
    ("/predict", of() | {"epochs": [0]}, "/epochs/0", "must be at least 1"),
    ("/predict", of() | {"epochs": [1.5]}, "/epochs/0", "must be an integer"),
    ("/predict", of() | {"task": 5}, "/task", "must be a string"),
    ("/predict", of(id="x" * 201), "/architectures/0/id", "must have at most 200 characters"),
    ("/predict", of(in_channels=1_000_001), "/architectures/0/in_channels", "must be at most 1000000"),
    ("/predict", of(observed=["0.3"]), "/architectures/0/observed/0", "must be a number"),
    ("/predict", of(observed=[-1]), "/architectures/0/observed/0", "must be at least 0"),
    ("/predict", of(observed=[35]), "/architectures/0/observed/0", "must be at most 1; divide percent by 100"),
    ("/predict", of(layers=[5]), "/architectures/0/layers/0", "a layer is an object with a `type`"),
    ("/predict", of(layers=[{"type": "dropout", "p": 1}]), "/architectures/0/layers/0/p", "must be less than 1"),
    ("/predict", {"architectures": [[RELU]]}, "/architectures/0", "must be an object with `layers` or `codes`"),
    ("/stop", {"best": 85, "observed": [0.3]}, "/best", "must be at most 1; divide percent by 100"),
    ("/stop", {"best": 0.5, "observed": 0.3}, "/observed", "must be a list"),
    ("/stop", {"best": 0.5}, "/observed", "required for one run; many runs go into `architectures`"),
    (
        "/stop",
        {"best": 0.5, "observed": [0.3], "architectures": [{"observed": [0.3]}]},
        "/observed",
        "describes one run: move it into each of `architectures`, or leave `architectures` out",
    ),
    (
        "/stop",
        {"best": 0.5, "observed": [0.3], "out_of_range": "x"},
        "/out_of_range",
        "must be one of 'error' or 'clamp'",
    ),
]


@pytest.mark.parametrize(("path", "body", "pointer", "detail"), MESSAGES, ids=[str(m[1])[:60] for m in MESSAGES])
def test_a_fault_is_explained(client: TestClient, path: str, body: Any, pointer: str, detail: str) -> None:
    document = problem(client.post(path, json=body), 422)
    assert document["errors"] == [{"pointer": pointer, "code": document["errors"][0]["code"], "detail": detail}]
    assert document["detail"] == f"{pointer or 'the body'}: {detail}"


@pytest.mark.parametrize("path", ["/predict", "/stop", "/v2/models/tiny/infer"])
@pytest.mark.parametrize(("body", "said"), [("", "empty"), (" \n", "empty"), ("{", "ends before it is complete")])
def test_a_body_that_ends_too_early_is_told_from_none(client: TestClient, path: str, body: str, said: str) -> None:
    response = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert said in problem(response, 400)["detail"]


HUGE = "9" * 5001
DIGITS = [
    ("/stop", f'{{"best":{HUGE},"observed":[0.5]}}', "/best"),
    ("/stop", f'{{"best":0.5,"observed":[0.5,{HUGE}]}}', "/observed/1"),
    ("/stop", f'{{"best":0.5,"architectures":[{{"observed":[0.5,{HUGE}]}}]}}', "/architectures/0/observed/1"),
    ("/stop", f'{{"best":0.5,"observed":[{HUGE}],"layers":[{{"type":"relu"}}]}}', "/observed/0"),
    (
        "/predict",
        f'{{"architectures":[{{"layers":[{{"type":"relu"}}],"observed":[{HUGE}]}}]}}',
        "/architectures/0/observed/0",
    ),
    (
        "/predict",
        f'{{"architectures":[{{"layers":[{{"type":"relu"}}],"in_channels":{HUGE}}}]}}',
        "/architectures/0/in_channels",
    ),
    ("/predict", f'{{"architectures":[{{"layers":[]}}],"epochs":[1,{HUGE}]}}', "/epochs/1"),
    ("/predict", f'{{"architectures":[{{"layers":[],"id":{{"a b":{HUGE}}}}}]}}', "/architectures/0/id"),
]


@pytest.mark.parametrize(("path", "body", "pointer"), DIGITS, ids=[f"{path} {at}" for path, _, at in DIGITS])
def test_a_number_of_too_many_digits_is_pointed_at(client: TestClient, path: str, body: str, pointer: str) -> None:
    """JSON sets no limit to them, so it is not the JSON that is at fault."""
    document = problem(client.post(path, content=body, headers={"Content-Type": "application/json"}), 422)
    (fault,) = document["errors"]
    assert (fault["pointer"], fault["detail"]) == (pointer, "a number has too many digits")


TEXTS = [
    (rb'{"id":"\ud800"}', "half a surrogate pair"),
    (rb'{"id":"\ud800\n"}', "half a surrogate pair"),
    (rb'{"id":"\udc00","best":0.5,"observed":[0.5]}', "half a surrogate pair"),
    (rb'{"id":"\ud800","best":0.5,"observed":[0.5]}', "half a surrogate pair"),
    (rb'{"id":"\\ud800"', "ends before it is complete"),
    (rb'{"id":"\ud800\udc', "ends before it is complete"),
    (b'{"best":0.5,"observed":[0.5],"id":"\xff"}', "a string is not UTF-8"),
    (b'{"best":0.5,"observed":' + b"[" * 250 + b"]" * 250 + b"}", "nested too deeply"),
]


@pytest.mark.parametrize(("body", "reason"), TEXTS, ids=[reason + str(len(body)) for body, reason in TEXTS])
def test_the_reason_why_a_body_is_no_json_is_true(client: TestClient, body: bytes, reason: str) -> None:
    response = client.post("/stop", content=body, headers={"Content-Type": "application/json"})
    assert reason in problem(response, 400)["detail"]


def test_clamping_is_offered_where_it_helps(client: TestClient) -> None:
    """Not for a kernel outside the code, nor to a caller who clamps already."""
    layers = [CONV, WIDE, {"type": "conv", "kernel_size": 12, "out_channels": 1040}]
    first, second = problem(client.post("/predict", json=of(layers=layers)), 422)["errors"]
    assert first["detail"].endswith('; "out_of_range": "clamp" takes the nearest bin')
    assert "clamp" not in second["detail"]
    (only,) = problem(client.post("/predict", json=of(layers=layers) | {"out_of_range": "clamp"}), 422)["errors"]
    assert only == second


def test_a_missing_key_is_asked_for_by_its_headers(serve: Serve) -> None:
    detail = problem(serve(api_keys="secret").post("/predict", json=of()), 401)["detail"]
    assert "Authorization: Bearer KEY" in detail
    assert "X-API-Key: KEY" in detail


REPEATED = [
    '"id":5,"id":"x"',
    '"in_channels":"3","in_channels":3',
    '"observed":[2],"observed":null',
    '"observed":[],"observed":null',
    '"layers":5,"layers":[{"type":"tanh"}]',
]


@pytest.mark.parametrize("fields", REPEATED)
def test_of_a_name_given_twice_the_last_counts(client: TestClient, fields: str) -> None:
    """Whatever the first held, and whether the layers were met before or not."""
    body = f'{{"architectures":[{{"layers":[{{"type":"tanh"}}],{fields}}}]}}'
    for _ in range(2):
        response = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
        assert response.status_code == 200, response.text
    assert response.json()["predictions"][0]["id"] == ("x" if '"x"' in fields else None)


def test_of_a_name_given_twice_the_last_is_the_fault(client: TestClient) -> None:
    body = '{"architectures":[{"layers":[{"type":"relu"}],"id":"x","id":5}]}'
    document = problem(client.post("/predict", content=body, headers={"Content-Type": "application/json"}), 422)
    assert document["detail"] == "/architectures/0/id: must be a string"


def infer(client: TestClient, *architectures: str, **fields: Any) -> Any:
    tensor = {"name": "architectures", "datatype": "BYTES", "shape": [len(architectures)], "data": architectures}
    return client.post("/v2/models/tiny/infer", json={"inputs": [tensor]} | fields)


@pytest.mark.parametrize("element", ['[{"type": "relu"}]', "relu", "", "5"])
def test_an_element_that_is_no_architecture_is_told_what_it_should_be(client: TestClient, element: str) -> None:
    document = problem(infer(client, json.dumps({"layers": [RELU]}), element), 422)
    assert document["error"] == "/architectures/1: must be one of /predict's architectures, as JSON text"


@pytest.mark.parametrize("choice", ["zzz", 1, True])
def test_infer_checks_out_of_range_as_predict_does(client: TestClient, choice: object) -> None:
    text = json.dumps({"layers": [CONV, WIDE]})
    document = problem(infer(client, text, parameters={"out_of_range": choice}), 422)
    assert document["error"] == "/parameters/out_of_range: must be one of 'error' or 'clamp'"
    assert problem(infer(client, text, parameters={"out_of_range": "error"}), 422)
    assert infer(client, text, parameters={"out_of_range": "clamp"}).status_code == 200


def test_an_unknown_output_is_pointed_at_behind_a_repeated_one(client: TestClient) -> None:
    outputs = [{"name": "accuracy"}, {"name": "accuracy"}, {"name": "zzz"}]
    document = problem(infer(client, json.dumps({"layers": [RELU]}), outputs=outputs), 422)
    assert document["errors"][0]["pointer"] == "/outputs/2/name"
    answer = infer(client, json.dumps({"layers": [RELU]}), outputs=outputs[:2]).json()
    assert [one["name"] for one in answer["outputs"]] == ["accuracy"]


def test_an_input_is_given_once(client: TestClient) -> None:
    """Or one's data would be read with the other's shape."""
    tensor = {"name": "architectures", "datatype": "BYTES", "shape": [1], "data": [json.dumps({"layers": [RELU]})]}
    document = problem(infer(client, inputs=[tensor, {**tensor, "name": "epochs"}, tensor]), 422)
    assert document["errors"] == [
        {"pointer": "/inputs/2/name", "code": "duplicate", "detail": "an earlier input has this name"}
    ]


@pytest.mark.parametrize(("before", "within"), [('"inputs":5,', ""), ('"id":5,"id":"a",', ""), ("", '"shape":"x",')])
def test_of_a_name_given_twice_to_infer_the_last_counts(client: TestClient, before: str, within: str) -> None:
    tensor = '"name":"architectures","datatype":"BYTES","shape":[1],"data":["{\\"layers\\":[{\\"type\\":\\"relu\\"}]}"]'
    body = f'{{{before}"inputs":[{{{within}{tensor}}}]}}'
    assert client.post("/v2/models/tiny/infer", content=body).status_code == 200
