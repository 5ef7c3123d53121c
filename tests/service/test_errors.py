"""Every error response is a problem document (RFC 9457) with pointers to the faults and without an echo of values."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.errors import PROBLEM_TYPES
from tests.service.conftest import Serve
from tests.service.requests import RELU, problem

CONV = {"type": "conv", "kernel_size": 3, "out_channels": 16}
CANARY = "c4n4ry-c4n4ry"
JSON = {"Content-Type": "application/json"}


def post(client: TestClient, body: bytes | str, path: str = "/predict") -> Any:
    return client.post(path, content=body, headers=JSON)


def pointers(response: Any) -> list[str]:
    """Return the pointers of a 422."""
    document = problem(response, 422)
    assert CANARY not in response.text
    return [fault["pointer"] for fault in document["errors"]]


NOT_JSON = [
    "",
    "{",
    "{'architectures': []}",
    '{"architectures": [}',
    '{"architectures": []} x',
    b'\xff\xfe{"a": 1}',
    '{"a":' + "[" * 50_000 + "]" * 50_000 + "}",
    '{"a":' + '{"a":' * 50_000 + "1" + "}" * 50_001,
    '{"task": "\\ud800"}',
    '{"task": "a\x01b"}',
    '{"best": ' + "9" * 5000 + "}",
]


@pytest.mark.parametrize("path", ["/predict", "/stop", "/v2/models/tiny/infer"])
@pytest.mark.parametrize("body", NOT_JSON, ids=[repr(body[:30]) for body in NOT_JSON])
def test_what_is_not_json_is_a_400(client: TestClient, path: str, body: bytes | str) -> None:
    """Malformed JSON, lone surrogates, bottomless nesting, numbers of thousands of digits."""
    document = problem(post(client, body, path), 400)
    assert document["type"] == "/problems/malformed-json"
    assert document["detail"].startswith("not JSON: ")


@pytest.mark.parametrize("body", ["[]", "1", '"x"', "null", "true", "1e999", "NaN"])
def test_what_is_not_an_object_is_a_422(client: TestClient, body: str) -> None:
    """JSON of another form points at the document's root."""
    assert pointers(post(client, body)) == [""]


REQUESTS: list[tuple[dict[str, Any], str]] = [
    ({}, "/architectures"),
    ({"architectures": None}, "/architectures"),
    ({"architectures": {}}, "/architectures"),
    ({"architectures": []}, "/architectures"),
    ({"architectures": [CANARY]}, "/architectures/0"),
    ({"architectures": [{}]}, "/architectures/0/layers"),
    ({"architectures": [{"layers": []}]}, "/architectures/0/layers"),
    ({"architectures": [{"layers": {}}]}, "/architectures/0/layers"),
    ({"architectures": [{"layers": [CONV], "codes": [[1]]}]}, "/architectures/0/codes"),
    ({"architectures": [{"id": 7, "layers": [CONV]}]}, "/architectures/0/id"),
    ({"architectures": [{"id": "x" * 201, "layers": [CONV]}]}, "/architectures/0/id"),
    ({"architectures": [{"in_channels": 1, "layers": [CONV]}]}, "/architectures/0/in_channels"),
    ({"architectures": [{"layers": [CONV], "weights": 1}]}, "/architectures/0/weights"),
    ({"architectures": [{"id": CANARY, "layers": [CONV]}] * 2}, "/architectures/1/id"),
    ({"architectures": [{"layers": [CONV, {"type": CANARY}]}]}, "/architectures/0/layers/1/type"),
    ({"architectures": [{"layers": [CONV, CONV | {"groups": 5}]}]}, "/architectures/0/layers/1/groups"),
    ({"architectures": [{"layers": [RELU]}, {"layers": [RELU, CANARY]}]}, "/architectures/1/layers/1"),
    ({"architectures": [{"layers": [RELU | {CANARY + "/": 1}]}]}, "/architectures/0/layers/0"),
    ({"architectures": [{"layers": [CONV]}], "epochs": [0]}, "/epochs/0"),
    ({"architectures": [{"layers": [CONV]}], "epochs": [5, 6]}, "/epochs/1"),
    ({"architectures": [{"layers": [CONV]}], "epochs": [10**30]}, "/epochs/0"),
    ({"architectures": [{"layers": [CONV]}], "epochs": [2, 2]}, "/epochs/1"),
    ({"architectures": [{"layers": [CONV]}], "epochs": []}, "/epochs"),
    ({"architectures": [{"layers": [CONV]}], "epochs": 6}, "/epochs"),
    ({"architectures": [{"layers": [CONV]}], "epochs": ["3"]}, "/epochs/0"),
    ({"architectures": [{"layers": [CONV]}], "task": CANARY}, "/task"),
    ({"architectures": [{"layers": [CONV]}], "task": 3}, "/task"),
    ({"architectures": [{"layers": [CONV]}], "out_of_range": CANARY}, "/out_of_range"),
    ({"architectures": [{"layers": [CONV]}], "unknown_field": CANARY}, "/unknown_field"),
]


@pytest.mark.parametrize(("body", "pointer"), REQUESTS, ids=[json.dumps(body)[:80] for body, _ in REQUESTS])
def test_a_faulty_request_is_pointed_at(client: TestClient, body: dict[str, Any], pointer: str) -> None:
    """One fault, and the pointer to it."""
    assert pointers(client.post("/predict", json=body)) == [pointer]


def test_faults_are_listed_up_to_twenty(client: TestClient) -> None:
    """One of each network; then the document says that there are more."""
    networks = [{"layers": [CONV | {"groups": 5}]}] * 30
    document = problem(client.post("/predict", json={"architectures": networks}), 422)
    assert [fault["pointer"] for fault in document["errors"]] == [
        f"/architectures/{index}/layers/0/groups" for index in range(20)
    ]
    assert document["truncated"] is True
    assert " more)" in document["detail"]
    document = problem(client.post("/predict", json={"architectures": networks[:20]}), 422)
    assert (len(document["errors"]), document["truncated"]) == (20, False)


def test_a_list_stops_at_its_first_bad_element(client: TestClient) -> None:
    """A request of thousands of faults is not read to its end."""
    body = {"architectures": [{"layers": [{"type": CANARY}] * 200}] * 3}
    assert pointers(client.post("/predict", json=body)) == ["/architectures/0/layers/0/type"]


@pytest.mark.parametrize("path", ["/predict", "/stop"])
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "", "json"]
)
def test_another_content_type_is_a_415(client: TestClient, path: str, kind: str) -> None:
    """Only JSON in UTF-8 is read; the detail says what to send."""
    document = problem(client.post(path, content="{}", headers={"Content-Type": kind}), 415)
    assert document["detail"] == "Send Content-Type: application/json."


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"']
)
def test_json_in_utf_8_is_accepted_however_it_is_written(client: TestClient, kind: str) -> None:
    body = json.dumps({"architectures": [{"layers": [RELU]}]})
    assert client.post("/predict", content=body, headers={"Content-Type": kind}).status_code == 200


@pytest.mark.parametrize("path", ["/predict", "/stop", "/v2/models/tiny/infer", "/predict-weights"])
def test_a_compressed_body_is_a_415(client: TestClient, path: str) -> None:
    """A body is never decompressed, so a small one cannot become a large one."""
    kind = "application/octet-stream" if "weights" in path else "application/json"
    headers = {"Content-Type": kind, "Content-Encoding": "gzip"}
    response = client.post(path, content=b"\x1f\x8b", headers=headers)
    if path == "/predict-weights":  # the tiny predictor reads no weights; that is known before the body is read
        problem(response, 422)
    else:
        assert problem(response, 415)["detail"] == "Send the body without Content-Encoding."


@pytest.mark.parametrize("path", ["/nope", "/problems/nope", "/tasks/nope", "/%00", "/..%2f", "/static-offline-docs/x"])
def test_unknown_paths_are_404(client: TestClient, path: str) -> None:
    """What the router and the static files reject are problem documents too."""
    problem(client.get(path, follow_redirects=False), 404)


def test_a_path_that_ends_in_a_slash_is_told_so(client: TestClient) -> None:
    for path in ("/predict/", "/info/"):
        document = problem(client.get(path, follow_redirects=False), 404)
        assert document["detail"] == (
            "There is no such path; leave out the slash at its end; GET /docs lists the resources."
        )


@pytest.mark.parametrize("path", ["/predict", "/stop", "/predict-weights", "/v2/models/tiny/infer"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method_on_a_post_route_says_so(client: TestClient, method: str, path: str) -> None:
    response = client.request(method, path)
    assert problem(response, 405)["detail"] == "Use POST; GET /docs shows the form."
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/info", "/metrics", "/static-offline-docs/swagger-ui.css"])
def test_another_method_on_a_get_route_says_so(client: TestClient, path: str) -> None:
    response = client.post(path, json={})
    assert problem(response, 405)["detail"].startswith("The methods are: GET, HEAD")
    assert response.headers["allow"] == "GET, HEAD"


def test_an_unexpected_failure_is_a_500_problem(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unforeseen exception is logged under the request's id and answered without its text."""
    logged: list[dict[str, Any]] = []

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr("service.api.predict.read_call", fail)
    monkeypatch.setattr("service.errors.log.error", lambda event, **fields: logged.append({"event": event, **fields}))
    response = client.post("/predict", json={"architectures": [{"layers": [RELU]}]}, headers={"X-Request-ID": "mine"})
    assert problem(response, 500)["type"] == "/problems/internal-error"
    assert response.headers["x-request-id"] == "mine"
    assert response.headers["cache-control"] == "no-store"
    assert CANARY not in response.text
    (line,) = logged
    assert (line["event"], line["request_id"], str(line["exc_info"])) == ("request_failed", "mine", CANARY)
    assert client.post("/predict", json={}).status_code == 422, "the next request is handled as ever"


def test_each_limit_holds_one_step_outside_and_not_inside(serve: Serve) -> None:
    """Body bytes, architectures and layers: the limit itself is accepted, one more is not; /info publishes them."""
    client = serve(max_architectures=3, max_layers=5, max_body_bytes=2000)
    limits = client.get("/info").json()["limits"]
    assert (limits["max_architectures"], limits["max_layers"], limits["max_body_bytes"]) == (3, 5, 2000)

    def of(networks: int, layers: int) -> dict[str, Any]:
        return {"architectures": [{"layers": [RELU] * layers}] * networks}

    assert client.post("/predict", json=of(3, 5)).status_code == 200
    document = problem(client.post("/predict", json=of(4, 1)), 422)
    assert document["detail"] == "/architectures: 4 are more than the limit of 3"
    document = problem(client.post("/predict", json=of(1, 6)), 422)
    assert document["detail"] == "/architectures/0/layers: 6 layers are more than the limit of 5"
    body = json.dumps(of(1, 1))
    assert post(client, body.ljust(2000)).status_code == 200
    assert problem(post(client, body.ljust(2001)), 413)["limit"] == 2000


@pytest.mark.parametrize("path", ["/predict", "/stop", "/v2/models/tiny/infer"])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_over_the_limit_is_a_413_problem(serve: Serve, path: str, is_chunked: bool) -> None:
    """Known from Content-Length, or counted while chunks arrive; with the headers of every response."""
    client = serve(max_body_bytes=2000)
    chunks = [b" " * 700] * 3
    content: Any = iter(chunks) if is_chunked else b"".join(chunks)
    response = client.post(path, content=content, headers=JSON | {"X-Request-ID": "mine"})
    document = problem(response, 413)
    assert (document["type"], document["limit"]) == ("/problems/too-large", 2000)
    assert document["detail"] == "The body is over the limit of 2000 bytes."
    assert response.headers["x-request-id"] == "mine"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_a_large_body_does_not_hide_another_error(serve: Serve) -> None:
    """Without a key it is a 401, for an unknown path a 404, though the body is over the limit as well."""
    client = serve(max_body_bytes=1024, api_keys="key")
    content = b" " * 2000
    problem(client.post("/predict", content=content, headers=JSON), 401)
    problem(client.post("/nope", content=content, headers=JSON), 404)
    problem(client.post("/predict", content=content, headers=JSON | {"X-API-Key": "key"}), 413)


def test_rejections_are_counted_by_reason(client: TestClient) -> None:
    """`predictor_rejected_total` has every reason from the start and counts them."""
    problem(post(client, "{"), 400)
    text = client.get("/metrics").text
    for reason in {kind.reason for kind in PROBLEM_TYPES.values()}:
        assert f'predictor_rejected_total{{reason="{reason}"}} {float(reason == "invalid")}' in text


@pytest.mark.parametrize("prefix", ["", "/peephole"])
def test_the_type_of_a_problem_can_be_read(client: TestClient, prefix: str) -> None:
    """It is the path of its explanation, behind a path prefix too."""
    behind = TestClient(client.app, root_path=prefix, raise_server_exceptions=False)
    document = behind.post(prefix + "/predict", json=[]).json()
    assert document["type"] == f"{prefix}/problems/invalid-request"
    explanation = behind.get(document["type"]).json()
    kind = PROBLEM_TYPES["invalid-request"]
    assert explanation == {"type": document["type"], "title": kind.title, "status": 422, "advice": kind.advice}
    everything = behind.get(f"{prefix}/problems").json()
    assert explanation in everything
    assert len(everything) == len(PROBLEM_TYPES)
