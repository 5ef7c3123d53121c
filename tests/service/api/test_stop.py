"""`observed` in `POST /predict`, and `POST /stop`."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.api.examples import LAYERS
from tests.service.api.conftest import EPOCHS
from tests.service.requests import metric, network, problem

CURVE = [0.35, 0.41]


def predict(client: TestClient, *architectures: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    response = client.post("/predict", json={"architectures": list(architectures), **fields})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["predictions"]
    return found


def decide(client: TestClient, **body: Any) -> list[dict[str, Any]]:
    response = client.post("/stop", json=body)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["decisions"]
    return found


def test_the_curve_goes_on_from_what_was_observed(mini: TestClient) -> None:
    """Only the architecture with `observed` changes; its observed epochs come back and the rest is narrower."""
    plain, _ = predict(mini, {"layers": LAYERS}, {"layers": LAYERS})
    before, after = predict(mini, {"layers": LAYERS}, {"layers": LAYERS, "observed": CURVE})
    assert {**before, "rank": 0} == {**plain, "rank": 0}
    assert after["accuracy"][:2] == pytest.approx(CURVE, abs=1e-6)
    assert after["lower"][:2] == after["upper"][:2] == after["accuracy"][:2]
    assert after["lower"][-1] < after["final_accuracy"] < after["upper"][-1]
    assert after["upper"][-1] - after["lower"][-1] < before["upper"][-1] - before["lower"][-1]
    assert after["distance"] == before["distance"]


def test_epochs_choose_from_the_continued_curve(mini: TestClient) -> None:
    (whole,) = predict(mini, {"layers": LAYERS, "observed": CURVE})
    (some,) = predict(mini, {"layers": LAYERS, "observed": CURVE}, epochs=[EPOCHS, 2])
    assert some["accuracy"] == [whole["accuracy"][-1], whole["accuracy"][1]]
    assert some["final_accuracy"] == whole["final_accuracy"]
    (last,) = predict(mini, {"layers": LAYERS, "observed": CURVE}, epochs=EPOCHS)
    assert last["accuracy"] == [whole["final_accuracy"]]


@pytest.mark.parametrize("observed", [[0.0], [1.0], [0.3] * EPOCHS, [0.1] * (EPOCHS - 1) + [0.9]])
def test_curves_at_the_limits_are_continued(mini: TestClient, observed: list[float]) -> None:
    """No accuracy, full accuracy, a complete curve, a jump: always 0 <= lower <= accuracy <= upper <= 1."""
    (found,) = predict(mini, {"layers": LAYERS, "observed": observed})
    for lower, accuracy, upper in zip(found["lower"], found["accuracy"], found["upper"], strict=True):
        assert 0 <= lower <= accuracy <= upper <= 1
    assert found["accuracy"][: len(observed)] == observed


@pytest.mark.parametrize(
    ("observed", "pointer"),
    [
        ([], "/architectures/0/observed"),
        ([0.1] * (EPOCHS + 1), "/architectures/0/observed"),
        ([0.1, 1.5], "/architectures/0/observed/1"),
        ([-0.1], "/architectures/0/observed/0"),
        (["0.5"], "/architectures/0/observed/0"),
        ([True], "/architectures/0/observed/0"),
        ([None], "/architectures/0/observed/0"),
        (0.5, "/architectures/0/observed"),
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/stop"])
def test_impossible_observations_are_pointed_at(mini: TestClient, path: str, observed: Any, pointer: str) -> None:
    extra = {"best": 0.5} if path == "/stop" else {}
    response = mini.post(path, json={"architectures": [{"layers": LAYERS, "observed": observed}], **extra})
    assert [fault["pointer"] for fault in problem(response, 422)["errors"]] == [pointer]


def test_stop_weighs_the_curve_against_the_best(mini: TestClient) -> None:
    """A hopeless run is stopped, the same run against a low best is not; the probability grows with the best."""
    decisions = [decide(mini, best=best, observed=CURVE)[0] for best in (0.2, 0.4, 0.5, 0.6, 0.95)]
    assert decisions[-1]["stop"]
    assert not decisions[0]["stop"]
    probabilities = [decision["probability_below"] for decision in decisions]
    assert probabilities == sorted(probabilities)
    assert probabilities[0] < probabilities[-1]
    assert len({decision["final_accuracy"] for decision in decisions}) == 1


def test_the_best_possible_accuracy_stops_every_run(mini: TestClient) -> None:
    """1.0 cannot be beaten: even a run that is at 0.9 already ends at or below it."""
    (decision,) = decide(mini, best=1.0, observed=[0.9])
    assert (decision["probability_below"], decision["stop"]) == (1, True)


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95, 0.999])
def test_the_decision_is_the_comparison_with_the_confidence(mini: TestClient, confidence: float) -> None:
    response = mini.post("/stop", json={"best": 0.45, "confidence": confidence, "observed": CURVE}).json()
    (decision,) = response["decisions"]
    assert response["confidence"] == confidence
    assert decision["stop"] == (decision["probability_below"] >= confidence)


def test_the_default_confidence_is_documented(mini: TestClient) -> None:
    response = mini.post("/stop", json={"best": 0.6, "observed": CURVE}).json()
    assert response["confidence"] == 0.95
    schema = mini.get("/openapi.json").json()["components"]["schemas"]["StopRuns"]
    assert "Default: 0.95" in schema["properties"]["confidence"]["description"]


def test_the_two_forms_agree(mini: TestClient) -> None:
    """One run at the top level, or many in `architectures`, in the request's order."""
    runs: list[dict[str, Any]] = [{"id": "a", "observed": [0.2, 0.3]}, {"id": "b", "observed": [0.4], "layers": LAYERS}]
    together = decide(mini, best=0.6, architectures=runs)
    assert together == [decide(mini, best=0.6, **run)[0] for run in runs]
    assert [decision["id"] for decision in together] == ["a", "b"]


def test_layers_inform_the_decision(mini: TestClient) -> None:
    """With them, the run's curve is continued as /predict continues it."""
    (bare,) = decide(mini, best=0.6, observed=CURVE)
    (with_layers,) = decide(mini, best=0.6, observed=CURVE, layers=LAYERS)
    (predicted,) = predict(mini, {"layers": LAYERS, "observed": CURVE})
    assert [with_layers[name] for name in ("final_accuracy", "lower", "upper")] == [
        predicted["final_accuracy"],
        predicted["lower"][-1],
        predicted["upper"][-1],
    ]
    assert with_layers != bare


def test_runs_with_and_without_layers_may_be_mixed(mini: TestClient) -> None:
    """Each gets the decision that it gets alone, to the rounding of one number, in the request's order."""
    runs: list[dict[str, Any]] = [
        {"observed": CURVE},
        {"observed": CURVE, "layers": LAYERS},
        {"observed": [0.2]},
        {"observed": [0.2], "layers": LAYERS[:3]},
    ]
    together = decide(mini, best=0.5, architectures=runs)
    assert len(together) == len(runs)
    for one, run in zip(together, runs, strict=True):
        assert one == pytest.approx(decide(mini, best=0.5, **run)[0], abs=1e-5)


def test_a_fault_in_a_mixed_request_is_pointed_at_in_the_request(mini: TestClient) -> None:
    """Counted among all runs, not among those with layers."""
    bad = [{"type": "conv", "kernel_size": 3, "out_channels": 8, "groups": 2}]
    runs = [{"observed": CURVE}, {"observed": CURVE, "layers": LAYERS}, {"observed": CURVE, "layers": bad}]
    (fault,) = problem(mini.post("/stop", json={"best": 0.5, "architectures": runs}), 422)["errors"]
    assert fault["pointer"] == "/architectures/2/layers/0/groups"
    (fault,) = problem(mini.post("/stop", json={"best": 0.5, **runs[2]}), 422)["errors"]
    assert fault["pointer"] == "/layers/0/groups"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/observed"),
        ({"best": 0.5}, "/observed"),
        ({"observed": [0.5]}, "/best"),
        ({"best": None, "observed": [0.5]}, "/best"),
        ({"best": 1.5, "observed": [0.5]}, "/best"),
        ({"best": 0.5, "observed": [2]}, "/observed/0"),
        ({"best": 0.5, "confidence": 1, "observed": [0.5]}, "/confidence"),
        ({"best": 0.5, "confidence": 0.4, "observed": [0.5]}, "/confidence"),
        ({"best": 0.5, "observed": [0.5], "colour": 1}, "/colour"),
        ({"best": 0.5, "observed": [0.5], "task": "other"}, "/task"),
        ({"best": 0.5, "observed": [0.5] * (EPOCHS + 1)}, "/observed"),
        ({"best": 0.5, "observed": [0.5], "in_channels": 4}, "/in_channels"),
        ({"best": 0.5, "architectures": []}, "/architectures"),
        ({"best": 0.5, "architectures": [{"layers": LAYERS}]}, "/architectures/0/observed"),
        ({"best": 0.5, "architectures": [{"observed": [0.5], "colour": 1}]}, "/architectures/0/colour"),
        ({"best": 0.5, "architectures": [7]}, "/architectures/0"),
    ],
)
def test_a_malformed_request_is_pointed_at(mini: TestClient, body: dict[str, Any], pointer: str) -> None:
    assert problem(mini.post("/stop", json=body), 422)["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("field", ["id", "observed", "layers", "in_channels"])
def test_a_field_of_one_run_beside_many_runs_is_pointed_at(mini: TestClient, field: str) -> None:
    value = {"id": "a", "observed": CURVE, "layers": LAYERS, "in_channels": 3}[field]
    body = {"best": 0.5, "architectures": [{"observed": CURVE}], field: value}
    (fault,) = problem(mini.post("/stop", json=body), 422)["errors"]
    assert (fault["pointer"], fault["code"]) == (f"/{field}", "excluded")


@pytest.mark.parametrize("name", ["architectures", '"architectures"', '"architectures":', 'x\\"architectures" :'])
def test_a_run_may_have_any_name(mini: TestClient, name: str) -> None:
    """Also that of the field which tells one run from many."""
    (decision,) = decide(mini, best=0.5, observed=CURVE, id=name)
    assert decision["id"] == name


@pytest.mark.parametrize("nothing", [{"layers": None}, {"id": None}, {"in_channels": None, "task": None}])
def test_null_means_absent(mini: TestClient, nothing: dict[str, None]) -> None:
    bare = {"best": 0.6, "observed": CURVE}
    assert decide(mini, **(bare | nothing)) == decide(mini, **bare)
    assert decide(mini, **(bare | nothing | {"layers": LAYERS})) == decide(mini, **bare, layers=LAYERS)


@pytest.mark.parametrize("layers", [{}, {"layers": LAYERS}], ids=["curve alone", "layers"])
def test_runs_are_checked_alike_with_layers_and_without(mini: TestClient, layers: dict[str, Any]) -> None:
    """An id that another run has, and other channels than the task's images."""
    run = {"id": "a", "observed": CURVE, **layers}
    for second, field in ((run, "id"), (run | {"id": "b", "in_channels": 4}, "in_channels")):
        response = mini.post("/stop", json={"best": 0.6, "architectures": [run, second]})
        assert [fault["pointer"] for fault in problem(response, 422)["errors"]] == [f"/architectures/1/{field}"]


def test_many_runs_are_decided_like_one(mini: TestClient) -> None:
    """They are read, continued and written in a thread; the decisions are the same."""
    (one,) = decide(mini, best=0.6, observed=CURVE)
    (known,) = decide(mini, best=0.6, observed=CURVE, layers=LAYERS)
    runs = [{"observed": CURVE}, {"observed": CURVE, "layers": LAYERS}] * 900
    assert decide(mini, best=0.6, architectures=runs) == [one, known] * 900


def test_limits_hold_for_runs(mini: TestClient) -> None:
    most = mini.get("/info").json()["limits"]["max_architectures"]
    response = mini.post("/stop", json={"best": 0.5, "architectures": [{"observed": [0.1]}] * (most + 1)})
    assert problem(response, 422)["detail"] == f"/architectures: has more elements than the limit of {most}"


def test_the_networks_of_runs_are_counted(mini: TestClient) -> None:
    """Those whose layers are given; a curve alone is no network."""
    name = 'predictor_architectures_total{task="cifar10-mini"}'
    before = metric(mini, name), metric(mini, "predictor_input_layers_count")
    runs = [{"observed": CURVE}, {"observed": CURVE, "layers": network(2)["layers"]}]
    decide(mini, best=0.6, architectures=runs)
    assert (metric(mini, name), metric(mini, "predictor_input_layers_count")) == (before[0] + 1, before[1] + 1)


def test_the_log_has_the_size_of_each_request(mini: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a body that is rejected as well, once it has arrived."""
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr("service.middleware.log.info", lambda _, **line: lines.append(line))
    bodies = [
        ("/stop", json.dumps({"best": 0.5, "observed": [0.1]})),
        ("/stop", json.dumps({"best": 2, "observed": [0.1]})),
        ("/predict", json.dumps({"architectures": [{"layers": LAYERS}] * 2})),
    ]
    for path, body in bodies:
        mini.post(path, content=body, headers={"Content-Type": "application/json"})
    sizes = [(line["status"], line["bytes_in"], line.get("networks")) for line in lines]
    assert sizes == [
        (status, len(body), networks)
        for status, networks, (_, body) in zip((200, 422, 200), (1, None, 2), bodies, strict=True)
    ]
