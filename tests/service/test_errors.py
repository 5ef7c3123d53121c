"""Bad input: every refusal is a problem document with a pointer to the fault, and none repeats what was sent."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.problems import KINDS
from tests.service.conftest import Serve

CONV = {"type": "conv", "kernel_size": 3, "out_channels": 16}
CANARY = "c4n4ry-c4n4ry"


def problem(response: Any, status: int) -> dict[str, Any]:
    """Check that a response is a problem document of `status`; return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    slug = document["type"].removeprefix("/problems/")
    assert KINDS[slug].status == status == document["status"]
    assert document["request_id"] == response.headers["x-request-id"]
    assert document["detail"]
    assert CANARY not in response.text
    assert len(response.content) < 16_384
    return document


def post(client: TestClient, body: bytes | str) -> Any:
    return client.post("/predict", content=body, headers={"Content-Type": "application/json"})


def of_layers(*layers: dict[str, Any] | str) -> str:
    """A request whose second architecture has these layers; a string stands for itself, unquoted."""
    texts = [layer if isinstance(layer, str) else json.dumps(layer) for layer in layers]
    return '{"architectures": [{"layers": [{"type": "relu"}]}, {"layers": [' + ", ".join(texts) + "]}]}"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "{'architectures': []}",
        '{"architectures": [}',
        '{"architectures": []} x',
        b'\xff\xfe{"a": 1}',
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": -Infinity}',
        '{"a":' + "[" * 50_000 + "]" * 50_000 + "}",
        '{"a":' + '{"a":' * 50_000 + "1" + "}" * 50_001,
        '{"\\ud800": 1}',
        '{"task": "\\ud800"}',
        '{"task": "a\x01b"}',
        '{"task": "tiny", "architectures": [{"layers": [{"type": "\\ud800"}]}]}',
    ],
)
def test_what_is_not_json_is_a_400(client: TestClient, body: bytes | str) -> None:
    """Malformed JSON, NaN and Infinity, lone surrogates, bottomless nesting."""
    assert problem(post(client, body), 400)["type"] == "/problems/malformed-json"


@pytest.mark.parametrize("body", ["[]", "1", '"x"', "null", "true", "1e999", "9" * 5000, "[" * 60_000])
def test_what_is_not_an_object_is_a_422(client: TestClient, body: str) -> None:
    """JSON of the wrong type points at the document's root."""
    assert problem(post(client, body), 422)["errors"][0]["pointer"] == ""


FAULTY_LAYERS = [
    ('{"type": "conv", "kernel_size": 3, "channel_ratio": 1e999}', "/channel_ratio"),
    ('{"type": "conv", "kernel_size": 3, "channel_ratio": -1}', "/channel_ratio"),
    (f'{{"type": "conv", "kernel_size": 3, "channel_ratio": "{CANARY}"}}', "/channel_ratio"),
    ('{"type": "conv", "kernel_size": 3, "out_channels": 1' + "0" * 5000 + "}", ""),
    ('{"type": "conv", "kernel_size": 3, "out_channels": 16.0}', "/out_channels"),
    ('{"type": "conv", "kernel_size": 3, "out_channels": true}', "/out_channels"),
    ('{"type": "conv", "kernel_size": 3, "out_channels": 8, "channel_ratio": 2}', ""),
    ('{"type": "conv", "kernel_size": 3}', ""),
    ('{"type": "conv", "out_channels": 8}', "/kernel_size"),
    ('{"type": "conv", "kernel_size": 12, "out_channels": 8}', "/kernel_size"),
    ('{"type": "conv", "kernel_size": [3, 12], "out_channels": 8}', "/kernel_size"),
    ('{"type": "conv", "kernel_size": [3], "out_channels": 8}', "/kernel_size"),
    ('{"type": "conv", "kernel_size": 0, "out_channels": 8}', "/kernel_size"),
    ('{"type": "conv", "kernel_size": 3, "stride": 9, "out_channels": 8}', "/stride"),
    ('{"type": "conv", "kernel_size": 3, "stride": 0, "out_channels": 8}', "/stride"),
    ('{"type": "max_pool", "kernel_size": null}', "/kernel_size"),
    (f'{{"type": "{CANARY}"}}', "/type"),
    ('{"type": "relu", "dilation": 2}', "/dilation"),
    (f'{{"type": "relu", "{CANARY}": 2}}', ""),
    ('{"type": null}', ""),
    ("{}", ""),
    (f'"{CANARY}"', ""),
    ("null", ""),
    ('{"type": "dropout", "p": 1.0}', "/p"),
    ('{"type": "linear", "out_features": 0}', "/out_features"),
]


@pytest.mark.parametrize(("layer", "field"), FAULTY_LAYERS, ids=[text[:60] for text, _ in FAULTY_LAYERS])
def test_a_faulty_layer_is_pointed_at(client: TestClient, layer: str, field: str) -> None:
    """The pointer names architecture, layer and field, also when the layer comes after sound ones."""
    document = problem(post(client, of_layers(CONV, layer)), 422)
    assert document["errors"][0]["pointer"].startswith("/architectures/1/layers/1" + field)


def test_ratio_out_of_range_is_an_error_unless_clamped(client: TestClient) -> None:
    """Outside the table's ratios: 422 by default and with "error", 200 with "clamp"."""
    layers = [CONV, {"type": "conv", "kernel_size": 3, "channel_ratio": 65.0}]
    body = {"architectures": [{"layers": layers}]}
    document = problem(client.post("/predict", json=body), 422)
    assert document["errors"][0]["pointer"] == "/architectures/0/layers/1/channel_ratio"
    problem(client.post("/predict", json=body | {"out_of_range": "error"}), 422)
    assert client.post("/predict", json=body | {"out_of_range": "clamp"}).status_code == 200


REQUESTS: list[tuple[dict[str, Any], str]] = [
    ({}, "/architectures"),
    ({"architectures": None}, "/architectures"),
    ({"architectures": {}}, "/architectures"),
    ({"architectures": []}, "/architectures"),
    ({"architectures": [CANARY]}, "/architectures/0"),
    ({"architectures": [{}]}, "/architectures/0"),
    ({"architectures": [{"layers": []}]}, "/architectures/0/layers"),
    ({"architectures": [{"layers": {}}]}, "/architectures/0/layers"),
    ({"architectures": [{"codes": []}]}, "/architectures/0/codes"),
    ({"architectures": [{"codes": [[1, 2]]}]}, "/architectures/0/codes/0"),
    ({"architectures": [{"codes": [[1, 3, 3, 8, 1, 0, 16, 32, 33]]}]}, "/architectures/0/codes/0/8"),
    ({"architectures": [{"codes": [[4, 3, 1, 8, 1, 0, 16, 32, 32]]}]}, "/architectures/0/codes/0/1"),
    ({"architectures": [{"codes": [[1, 3, 3, 8, 1, 0, 16, 32, 1.5]]}]}, "/architectures/0/codes/0/8"),
    ({"architectures": [{"layers": [CONV], "codes": [[1, 3, 3, 8, 1, 0, 16, 32, 32]]}]}, "/architectures/0"),
    ({"architectures": [{"id": 7, "layers": [CONV]}]}, "/architectures/0/id"),
    ({"architectures": [{"id": "x" * 201, "layers": [CONV]}]}, "/architectures/0/id"),
    ({"architectures": [{"in_channels": 1, "layers": [CONV]}]}, "/architectures/0/in_channels"),
    ({"architectures": [{"layers": [CONV], "weights": 1}]}, "/architectures/0/weights"),
    ({"architectures": [{"id": CANARY, "layers": [CONV]}] * 2}, "/architectures/1/id"),
    ({"architectures": [{"layers": [CONV]}], "epochs": [0]}, "/epochs/0"),
    ({"architectures": [{"layers": [CONV]}], "epochs": [5, 6]}, "/epochs/1"),
    ({"architectures": [{"layers": [CONV]}], "epochs": [10**30]}, "/epochs/0"),
    ({"architectures": [{"layers": [CONV]}], "epochs": [2, 2]}, "/epochs/1"),
    ({"architectures": [{"layers": [CONV]}], "epochs": []}, "/epochs"),
    ({"architectures": [{"layers": [CONV]}], "epochs": 3}, "/epochs"),
    ({"architectures": [{"layers": [CONV]}], "epochs": ["3"]}, "/epochs/0"),
    ({"architectures": [{"layers": [CONV]}], "task": CANARY}, "/task"),
    ({"architectures": [{"layers": [CONV]}], "task": 3}, "/task"),
    ({"architectures": [{"layers": [CONV]}], "out_of_range": CANARY}, "/out_of_range"),
    ({"architectures": [{"layers": [CONV]}], "unknown_field": CANARY}, "/unknown_field"),
]


@pytest.mark.parametrize(("body", "pointer"), REQUESTS, ids=[json.dumps(body)[:70] for body, _ in REQUESTS])
def test_a_faulty_request_is_pointed_at(client: TestClient, body: dict[str, Any], pointer: str) -> None:
    """Wrong envelopes, names, epochs, tasks and codes: 422 with the pointer of the first fault."""
    assert problem(client.post("/predict", json=body), 422)["errors"][0]["pointer"] == pointer


def test_hundreds_of_faults_are_counted_but_not_all_listed(client: TestClient) -> None:
    """The list of errors is capped and says that it was."""
    body = {"architectures": [{"layers": [{"type": CANARY}] * 200}] * 3}
    document = problem(client.post("/predict", json=body), 422)
    assert len(document["errors"]) == 20
    assert document["truncated"] is True


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", ""]
)
def test_another_content_type_is_a_415(client: TestClient, kind: str) -> None:
    """Only JSON in UTF-8 is read."""
    problem(client.post("/predict", content="{}", headers={"Content-Type": kind}), 415)


def test_a_compressed_body_is_a_415(client: TestClient) -> None:
    """A body is never inflated, so a small one cannot become a large one."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    problem(client.post("/predict", content=b"\x1f\x8b", headers=headers), 415)


@pytest.mark.parametrize("path", ["/", "/nope", "/predict/", "/problems/nope", "/%00", "/..%2f"])
def test_unknown_paths_are_404(client: TestClient, path: str) -> None:
    """Also the router's own refusals are problem documents."""
    problem(client.get(path, follow_redirects=False), 404)


@pytest.mark.parametrize(("method", "path"), [("GET", "/predict"), ("DELETE", "/info"), ("PUT", "/metrics")])
def test_wrong_methods_are_405_with_allow(client: TestClient, method: str, path: str) -> None:
    """A 405 lists what the resource has."""
    response = client.request(method, path)
    problem(response, 405)
    assert response.headers["allow"] in {"POST", "GET, HEAD"}


def test_an_unexpected_failure_is_a_500_problem(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception nobody foresaw is logged and answered without its text."""
    client = serve()

    def fail(*_: object) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr("service.calls.read_fields", fail)
    problem(client.post("/predict", json={}), 500)


def test_each_limit_holds_one_step_outside_and_not_inside(serve: Serve) -> None:
    """Body bytes, architectures and layers: the limit itself is accepted, one more is not; /info publishes them."""
    client = serve(max_architectures=3, max_layers=5, max_body_bytes=2000)
    limits = client.get("/info").json()["limits"]
    assert (limits["max_architectures"], limits["max_layers"], limits["max_body_bytes"]) == (3, 5, 2000)

    def of(networks: int, layers: int) -> dict[str, Any]:
        return {"architectures": [{"layers": [{"type": "relu"}] * layers}] * networks}

    assert client.post("/predict", json=of(3, 5)).status_code == 200
    assert problem(client.post("/predict", json=of(4, 1)), 422)["errors"][0]["pointer"] == "/architectures"
    assert problem(client.post("/predict", json=of(1, 6)), 422)["errors"][0]["pointer"] == "/architectures/0/layers"
    body = json.dumps(of(1, 1))
    assert post(client, body.ljust(2000)).status_code == 200
    assert problem(post(client, body.ljust(2001)), 413)["limit"] == 2000

    def slices() -> Any:
        yield from (body.encode(), b" " * 1000, b" " * 1000)

    problem(client.post("/predict", content=slices(), headers={"Content-Type": "application/json"}), 413)


def test_refusals_are_counted_by_reason(client: TestClient) -> None:
    """`predictor_rejected_total` has every reason from the start and counts them."""
    problem(post(client, "{"), 400)
    text = client.get("/metrics").text
    assert 'predictor_rejected_total{reason="invalid"} 1.0' in text
    assert 'predictor_rejected_total{reason="queue_full"} 0.0' in text
