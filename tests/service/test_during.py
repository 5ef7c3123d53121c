"""`"observed"` in `POST /predict`, and `POST /stop`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from service.examples import LAYERS, stop_examples
from starlette.testclient import TestClient

from tests.service.in_process import serving
from tests.slices import continued_artifact

CURVE = [0.35, 0.48]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return continued_artifact(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with serving(models=(folder,)) as client:
        yield client


def predict(client: TestClient, *architectures: dict[str, Any], **fields: Any) -> Any:
    return client.post("/predict", json={"architectures": list(architectures), **fields})


def test_the_curve_goes_on_from_what_was_seen(client: TestClient) -> None:
    """Only the architecture with `observed` changes; its seen epochs come back and the rest is narrower."""
    plain = predict(client, {"layers": LAYERS}, {"layers": LAYERS}).json()["predictions"]
    answer = predict(client, {"layers": LAYERS}, {"layers": LAYERS, "observed": CURVE})
    assert answer.status_code == 200
    before, after = answer.json()["predictions"]
    assert {**before, "rank": 0} == {**plain[0], "rank": 0}
    assert after["accuracy"][:2] == pytest.approx(CURVE, abs=1e-6)
    assert after["lower"][:2] == after["upper"][:2] == after["accuracy"][:2]
    assert after["lower"][-1] < after["final_accuracy"] < after["upper"][-1]
    assert after["final_accuracy"] != before["final_accuracy"]


def test_epochs_choose_from_the_continued_curve(client: TestClient) -> None:
    whole = predict(client, {"layers": LAYERS, "observed": CURVE}).json()["predictions"][0]
    some = predict(client, {"layers": LAYERS, "observed": CURVE}, epochs=[5, 2]).json()["predictions"][0]
    assert some["accuracy"] == [whole["accuracy"][4], whole["accuracy"][1]]
    assert some["final_accuracy"] == whole["final_accuracy"]


@pytest.mark.parametrize(
    ("observed", "pointer"),
    [
        ([], "/architectures/0/observed"),
        ([0.1] * 6, "/architectures/0/observed"),
        ([0.1, 1.5], "/architectures/0/observed/1"),
        ([-0.1], "/architectures/0/observed/0"),
        (["0.5"], "/architectures/0/observed/0"),
        (0.5, "/architectures/0/observed"),
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/stop"])
def test_impossible_observations_are_pointed_at(client: TestClient, path: str, observed: Any, pointer: str) -> None:
    extra = {"best": 0.5} if path == "/stop" else {}
    answer = client.post(path, json={"architectures": [{"layers": LAYERS, "observed": observed}], **extra})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_a_task_without_a_continuation_says_so(client: TestClient, folder: Any) -> None:
    """It goes on to predict before training."""
    model = client.app.state.service.models["tiny"]  # type: ignore[attr-defined]
    kept, model.continuation = model.continuation, None
    try:
        assert predict(client, {"layers": LAYERS}).status_code == 200
        answer = predict(client, {"layers": LAYERS, "observed": CURVE})
    finally:
        model.continuation = kept
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/architectures/0/observed"
    assert "fit-during" in answer.json()["detail"]


def test_stop_weighs_the_curve_against_the_best(client: TestClient) -> None:
    """A hopeless run is stopped, the same run against a low bar is not, and the probability grows with the bar."""

    def verdict(best: float) -> Any:
        return client.post("/stop", json={"best": best, "observed": CURVE}).json()["verdicts"][0]

    assert verdict(0.95)["stop"]
    assert not verdict(0.2)["stop"]
    probabilities = [verdict(best)["probability_below"] for best in (0.2, 0.5, 0.6, 0.7, 0.95)]
    assert probabilities == sorted(probabilities)
    assert probabilities[0] < 0.1 < 0.9 < probabilities[-1]


def test_a_best_of_1_cannot_be_beaten(client: TestClient) -> None:
    for run in ({"observed": [0.9]}, {"observed": [0.9], "layers": LAYERS}, {"observed": [1] * 5}):
        (verdict,) = client.post("/stop", json={"best": 1, "confidence": 0.999999, **run}).json()["verdicts"]
        assert (verdict["probability_below"], verdict["stop"]) == (1, True)


def test_confidence_decides(client: TestClient) -> None:
    """The verdict is the comparison of the probability with the confidence."""
    for confidence in (0.5, 0.8, 0.95, 0.99):
        answer = client.post("/stop", json={"best": 0.62, "confidence": confidence, "observed": CURVE}).json()
        assert answer["confidence"] == confidence
        (verdict,) = answer["verdicts"]
        assert verdict["stop"] == (verdict["probability_below"] >= confidence)


def test_the_batch_form_agrees_with_the_single_form(client: TestClient) -> None:
    runs = [{"id": "a", "observed": [0.2, 0.3]}, {"id": "b", "observed": [0.4]}]
    batch = client.post("/stop", json={"best": 0.6, "architectures": runs}).json()["verdicts"]
    alone = [client.post("/stop", json={"best": 0.6, **run}).json()["verdicts"][0] for run in runs]
    assert batch == alone
    assert [verdict["id"] for verdict in batch] == ["a", "b"]


def test_layers_inform_the_verdict(client: TestClient) -> None:
    bare = client.post("/stop", json={"best": 0.6, "observed": CURVE}).json()["verdicts"][0]
    with_layers = client.post("/stop", json={"best": 0.6, "observed": CURVE, "layers": LAYERS}).json()["verdicts"][0]
    predicted = predict(client, {"layers": LAYERS, "observed": CURVE}).json()["predictions"][0]
    assert with_layers["final_accuracy"] == predicted["final_accuracy"]
    assert with_layers != bare


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"best": 0.5}, "/observed"),
        ({"observed": [0.5]}, "/best"),
        ({"best": 1.5, "observed": [0.5]}, "/best"),
        ({"best": 0.5, "observed": [2]}, "/observed/0"),
        ({"best": 0.5, "confidence": 1, "observed": [0.5]}, "/confidence"),
        ({"best": 0.5, "observed": [0.5], "colour": 1}, "/colour"),
        ({"best": 0.5, "architectures": []}, "/architectures"),
        ({"best": 0.5, "architectures": [{"layers": LAYERS}]}, "/architectures/0/observed"),
        (
            {"best": 0.5, "architectures": [{"layers": LAYERS, "observed": [0.5]}, {"observed": [0.5]}]},
            "/architectures/1",
        ),
        ({"best": 0.5, "architectures": [{"observed": [0.5], "colour": 1}]}, "/architectures/0/colour"),
        ({"best": 0.5, "architectures": [7]}, "/architectures/0"),
    ],
)
def test_malformed_questions_are_pointed_at(client: TestClient, body: dict[str, Any], pointer: str) -> None:
    answer = client.post("/stop", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("nothing", [{"layers": None}, {"codes": None}, {"layers": None, "codes": None, "id": None}])
def test_null_is_as_good_as_absent(client: TestClient, nothing: dict[str, None]) -> None:
    bare = {"best": 0.6, "observed": CURVE}
    for run in (bare, bare | {"in_channels": 3}, bare | {"in_channels": None}):
        answer = client.post("/stop", json=run | nothing)
        assert answer.status_code == 200, answer.text
        assert answer.json()["verdicts"] == client.post("/stop", json=bare).json()["verdicts"]
    with_layers = client.post("/stop", json=bare | nothing | {"layers": LAYERS})
    assert with_layers.json()["verdicts"] == client.post("/stop", json=bare | {"layers": LAYERS}).json()["verdicts"]


@pytest.mark.parametrize("network", [{}, {"layers": LAYERS}], ids=["curve alone", "layers"])
def test_runs_are_checked_alike_with_layers_and_without(client: TestClient, network: dict[str, Any]) -> None:
    """Whose name another run has, and who has more channels than the task's images."""
    run = {"id": "a", "observed": CURVE, **network}
    for second, field in ((run, "id"), (run | {"id": "b", "in_channels": 4}, "in_channels")):
        answer = client.post("/stop", json={"best": 0.6, "architectures": [run, second]})
        assert answer.status_code == 422, answer.text
        assert [fault["pointer"] for fault in answer.json()["errors"]] == [f"/architectures/1/{field}"]


@pytest.mark.parametrize(
    "run",
    [
        b'"observed":[0.5],"id":"\xff"',
        b'"observed":[0.5],"id":' + b"9" * 5000,
        b'"observed":[0.5],"id":' + b"[" * 300 + b"]" * 300,
        *(b'"observed":[0.5],"layers":' + b"[" * depth + b"]" * depth for depth in range(955, 975)),
    ],
)
@pytest.mark.parametrize("form", [b'{"best":0.5,%s}', b'{"best":0.5,"architectures":[{%s}]}'], ids=["one", "many"])
def test_what_cannot_be_read_is_refused_and_not_a_failure(client: TestClient, form: bytes, run: bytes) -> None:
    answer = client.post("/stop", content=form % run, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


def test_many_runs_are_judged_like_one(client: TestClient) -> None:
    """A population is continued and written on a thread; its verdicts are the same."""
    one = client.post("/stop", json={"best": 0.6, "observed": CURVE}).json()["verdicts"][0]
    many = client.post("/stop", json={"best": 0.6, "architectures": [{"observed": CURVE}] * 900}).json()["verdicts"]
    assert many == [one] * 900


def test_networks_judged_are_counted(client: TestClient) -> None:
    before = client.get("/metrics").text
    client.post("/stop", json={"best": 0.6, "observed": CURVE, "layers": LAYERS})
    name = "predictor_input_layers_count "
    counts = [float(text.split(name)[1].split()[0]) for text in (before, client.get("/metrics").text)]
    assert counts[1] == counts[0] + 1


def test_the_log_has_the_sizes_of_questions(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a body that is refused as well, once it has arrived."""
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr("service.edge.log.info", lambda _, **line: lines.append(line))
    tensor = {"name": "architectures", "datatype": "BYTES", "shape": [1], "data": [json.dumps({"layers": LAYERS})]}
    bodies = [
        ("/stop", json.dumps({"best": 0.5, "observed": [0.1]})),
        ("/stop", json.dumps({"best": 2, "observed": [0.1]})),
        ("/v2/models/tiny/infer", json.dumps({"inputs": [tensor]})),
    ]
    for path, body in bodies:
        client.post(path, content=body, headers={"Content-Type": "application/json"})
    client.app.state.service.ledger.write_up()  # type: ignore[attr-defined]
    sizes = [(line["status"], line["bytes_in"], line.get("networks")) for line in lines if "bytes_in" in line]
    assert sizes == [
        (status, len(body), networks)
        for status, networks, (_, body) in zip((200, 422, 200), (1, None, 1), bodies, strict=True)
    ]


def test_the_documented_examples_are_answered(client: TestClient) -> None:
    for example in stop_examples("tiny").values():
        assert client.post("/stop", json=example["value"]).status_code == 200


def test_the_document_describes_stop(client: TestClient) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/stop"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/StopRequest")
