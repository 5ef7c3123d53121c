"""Stored tasks over HTTP: create, add, read, delete; owners, quotas, faults with their places."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.tasks.threads import THREADS
from tests.service.conftest import Serve
from tests.service.in_process import serving
from tests.service.requests import body, network, problem, together

ANN, BOB = {"X-API-Key": "ann-key"}, {"Authorization": "Bearer bob-key"}
TASK = {"input": [3, 32, 32]}
PATH = "/tasks/leaves/observations"


@pytest.fixture(scope="module")
def guarded(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service with keys of two owners, and one of nobody in particular."""
    state, keys = tmp_path_factory.mktemp("state"), "ann:ann-key, ann:ann-new, bob:bob-key, plain"
    with serving(models=(tiny,), state=state, api_keys=keys, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def leaves(guarded: TestClient) -> Iterator[TestClient]:
    """The service with an empty task of Ann's; sends Ann's key unless told otherwise."""
    assert guarded.put("/tasks/leaves", json=TASK, headers=ANN).status_code == 201
    guarded.headers.update(ANN)
    yield guarded
    guarded.headers.pop("X-API-Key")
    guarded.delete("/tasks/leaves", headers=ANN)


def measured(accuracy: Any = 0.5, **fields: Any) -> dict[str, Any]:
    """Return a measured network like none before it."""
    return {"layers": network(1)["layers"], "accuracy": accuracy} | fields


def add(client: TestClient, *observations: dict[str, Any], **headers: str) -> Any:
    return client.post(PATH, json={"observations": list(observations)}, headers=headers)


def test_a_task_is_created_changed_and_deleted(leaves: TestClient) -> None:
    again = leaves.put("/tasks/leaves", json=TASK | {"description": "photos", "prior": None})
    assert (again.status_code, again.json()["description"], again.json()["prior"]) == (200, "photos", None)
    assert leaves.get("/tasks/leaves").json() == again.json()
    assert "conflict" in problem(leaves.put("/tasks/leaves", json={"input": [1, 32, 32]}), 409)["type"]
    deleted = leaves.delete("/tasks/leaves")
    assert (deleted.status_code, deleted.content) == (204, b"")
    problem(leaves.delete("/tasks/leaves"), 404)
    problem(add(leaves, measured()), 404)


def test_the_best_so_far_is_that_of_the_last_epoch(leaves: TestClient) -> None:
    best = measured([0.2, 0.7], id="b", proxies={"naswot": 61.5}, seed=3)
    assert add(leaves, measured(0.6), best, measured([0.9, 0.1])).json() == {"added": 3, "repeated": 0, "networks": 3}
    task = leaves.get("/tasks/leaves").json()
    assert (task["networks"], task["observations"]) == (3, 3)
    assert best.items() <= task["best"].items()


def test_the_same_network_in_other_words_is_repeated(leaves: TestClient) -> None:
    """Names, and defaults that are written out, make no other network; another seed makes another observation."""
    conv = {"type": "conv", "kernel_size": 3, "out_channels": 8}
    named = [conv | {"stride": 1, "name": "c"}, {"type": "relu", "inputs": ["c"]}]
    first = {"layers": [conv, {"type": "relu"}], "accuracy": 0.5}
    assert add(leaves, first).json()["added"] == 1
    assert add(leaves, first | {"layers": named, "accuracy": 0.6}).json() == {"added": 0, "repeated": 1, "networks": 1}
    assert add(leaves, first | {"seed": 1}).json() == {"added": 1, "repeated": 0, "networks": 1}


def test_a_name_of_a_loaded_task_is_taken(guarded: TestClient) -> None:
    """Its own page is open to all, as before; it takes no observations."""
    problem(guarded.put("/tasks/tiny", json=TASK, headers=ANN), 409)
    assert guarded.get("/tasks/tiny").status_code == 200
    problem(guarded.post("/tasks/tiny/observations", json={"observations": [measured()]}, headers=ANN), 404)


@pytest.mark.parametrize("name", ["auto", "-x", "a b", "ä", "x" * 65, "%00"])
def test_a_name_has_plain_characters(guarded: TestClient, name: str) -> None:
    problem(guarded.put(f"/tasks/{name}", json=TASK, headers=ANN), 400)


def test_anothers_task_is_not_there(leaves: TestClient) -> None:
    """Whatever is done to it; a new key of the same owner opens it."""
    leaves.headers.pop("X-API-Key")
    try:
        for headers in (BOB, {"X-API-Key": "plain"}):
            problem(leaves.get("/tasks/leaves", headers=headers), 404)
            problem(leaves.get(PATH, headers=headers), 404)
            problem(leaves.delete("/tasks/leaves", headers=headers), 404)
            problem(add(leaves, measured(), **headers), 404)
        for call in (leaves.get, leaves.delete, leaves.put):
            problem(call("/tasks/leaves"), 401)
        problem(leaves.get(PATH), 401)
        assert leaves.get("/tasks/leaves", headers={"X-API-Key": "ann-new"}).status_code == 200
        listed = {who: [one["task"] for one in leaves.get("/tasks", headers=key).json()]
                  for who, key in (("ann", ANN), ("bob", BOB), ("nobody", {}))}  # fmt: skip
        assert listed == {"ann": ["tiny", "leaves"], "bob": ["tiny"], "nobody": ["tiny"]}
    finally:
        leaves.headers.update(ANN)


FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"accuracy": 71}, "/accuracy", "must be at most 1; divide percent by 100"),
    ({"accuracy": [0.1, 71]}, "/accuracy/1", "must be at most 1; divide percent by 100"),
    ({"accuracy": [0.1, "x"]}, "/accuracy/1", "must be a number"),
    ({"accuracy": "x"}, "/accuracy", "must be a number from 0 to 1, or a list of such numbers, one for each epoch"),
    ({"accuracy": []}, "/accuracy", "must be a number from 0 to 1, or a list of such numbers, one for each epoch"),
    ({"seed": -1}, "/seed", "must be at least 0"),
    ({"id": "a\0"}, "/id", "must not hold the character U+0000"),
    ({"proxies": {"a": None}}, "/proxies/a", "must be a number"),
    ({"layers": [{"type": "relu", "inputs": ["x"]}]}, "/layers/0/inputs", "no layer has this name"),
    ({"layers": [{"type": "Conv2d"}]}, "/layers/0/type", "did you mean `conv`?"),
    ({"layers": [{"type": "slice", "start": 0, "end": 9}]}, "/layers/0/end", ""),
    ({"layer": 1}, "/layer", "unknown field; the fields are: layers, accuracy, seed, proxies, id"),
]


@pytest.mark.parametrize(("fields", "where", "detail"), FAULTS, ids=[str(fault[0])[:50] for fault in FAULTS])
def test_a_fault_is_pointed_at_and_nothing_is_added(
    leaves: TestClient, fields: dict[str, Any], where: str, detail: str
) -> None:
    (fault,) = problem(add(leaves, measured(), measured() | fields), 422)["errors"]
    assert fault["pointer"] == f"/observations/1{where}"
    assert fault["detail"].startswith(detail)
    assert leaves.get("/tasks/leaves").json()["observations"] == 0


def test_faults_of_a_task_are_pointed_at(guarded: TestClient) -> None:
    for fields, where in (
        ({"input": [3, 0, 32]}, "/input/1"),
        ({"prior": "no-such"}, "/prior"),
        ({"description": "x" * 2001}, "/description"),
        ({"size": 1}, "/size"),
    ):
        (fault,) = problem(guarded.put("/tasks/roots", json=TASK | fields, headers=ANN), 422)["errors"]
        assert fault["pointer"] == where
    problem(guarded.put("/tasks/roots", content=b"{", headers=ANN | {"Content-Type": "application/json"}), 400)
    problem(guarded.get("/tasks/roots", headers=ANN), 404)


def test_limits_are_those_of_predictions(serve: Serve, tmp_path: Path) -> None:
    client = serve(state=tmp_path, max_architectures=2, max_layers=3)
    client.put("/tasks/leaves", json=TASK)
    assert problem(add(client, *[measured()] * 3), 422)["errors"][0]["pointer"] == "/observations"
    deep = {"layers": [{"type": "relu"}] * 4, "accuracy": 0.5}
    assert problem(add(client, measured(), deep), 422)["errors"][0]["pointer"] == "/observations/1/layers"


def test_a_repeated_request_gets_the_same_answer(leaves: TestClient) -> None:
    """With its Idempotency-Key; another body under the same key is rejected, and other keys are of no matter."""
    one, header = measured(), {"Idempotency-Key": "search-1/step-7"}
    first = add(leaves, one, **header)
    add(leaves, measured())
    assert add(leaves, one, **header).content == first.content == b'{"added":1,"repeated":0,"networks":1}'
    assert "Idempotency-Key" in problem(add(leaves, measured(), **header), 422)["detail"]
    assert add(leaves, one, **{"Idempotency-Key": "another"}).json()["repeated"] == 1
    for key in ("", "x" * 256):
        problem(add(leaves, one, **{"Idempotency-Key": key}), 400)


def test_requests_of_one_key_at_the_same_time_are_carried_out_once(leaves: TestClient) -> None:
    observations = [measured() for _ in range(5)]
    calls = [lambda: add(leaves, *observations, **{"Idempotency-Key": "at once"})] * 8
    assert {response.content for response in together(calls)} == {b'{"added":5,"repeated":0,"networks":5}'}


def test_pages_follow_one_another(leaves: TestClient) -> None:
    """By the Link header or by `cursor`; each observation is on one page, though others are added meanwhile."""
    add(leaves, *[measured(id=str(number)) for number in range(5)])
    seen, address = [], f"{PATH}?limit=2"
    while True:
        response = leaves.get(address)
        seen += [one["id"] for one in response.json()["observations"]]
        if response.json()["cursor"] is None:
            break
        assert response.links["next"]["url"] == f"?cursor={response.json()['cursor']}&limit=2"
        address = PATH + response.links["next"]["url"]
        if len(seen) == 4:
            add(leaves, measured(id="late"))
    assert seen == ["0", "1", "2", "3", "4", "late"]
    assert "next" not in response.links
    for query in ("limit=0", "limit=1001", "limit=x", "cursor=-1", "cursor=\u0663", f"cursor={2**63}", "cursor="):
        problem(leaves.get(f"{PATH}?{query}"), 400)


def test_observations_are_read_as_json_json_lines_and_csv(leaves: TestClient) -> None:
    """The same rows; a text that a table would break on comes back whole."""
    add(leaves, measured([0.1, 0.2], id='a,"b"\n', proxies={"x": 1.5}), measured(0.25))
    rows = leaves.get(PATH).json()["observations"]
    lines = leaves.get(PATH, headers={"Accept": "application/x-ndjson"})
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in lines.text.splitlines()] == rows
    table = leaves.get(PATH, headers={"Accept": "text/html, text/csv;q=0.9, application/json;q=0.1"})
    assert table.headers["content-type"].startswith("text/csv")
    first, second = csv.DictReader(io.StringIO(table.text, newline=""))
    assert (first["id"], json.loads(first["accuracy"]), json.loads(first["proxies"])) == (
        'a,"b"\n',
        [0.1, 0.2],
        {"x": 1.5},
    )
    assert json.loads(second["layers"]) == rows[1]["layers"]
    assert (second["id"], second["accuracy"], second["seed"]) == ("", "0.25", "0")
    assert leaves.get(PATH, headers={"Accept": "text/html"}).json()["observations"] == rows


def test_a_used_up_quota_is_a_403(serve: Serve, tmp_path: Path) -> None:
    """It names the quota; /info publishes both."""
    client = serve(state=tmp_path, max_tasks=1, max_observations=2)
    client.put("/tasks/leaves", json=TASK)
    assert "1 tasks" in problem(client.put("/tasks/roots", json=TASK), 403)["detail"]
    assert "over 2" in problem(add(client, *[measured() for _ in range(3)]), 403)["detail"]
    assert client.get("/tasks/leaves").json()["observations"] == 0
    limits = client.get("/info").json()["limits"]
    assert (limits["max_tasks"], limits["max_observations"]) == (1, 2)


def test_a_path_lists_all_its_methods(guarded: TestClient) -> None:
    response = guarded.post("/tasks/leaves", headers=ANN)
    problem(response, 405)
    assert response.headers["allow"] == "DELETE, GET, HEAD, PUT"
    assert guarded.put(PATH, headers=ANN).headers["allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("where", ["state", "database_url"])
def test_without_its_database_the_service_goes_on_predicting(serve: Serve, tmp_path: Path, where: str) -> None:
    """A folder that is none, or a server that is not there: 503 for stored tasks, without a path."""
    (tmp_path / "file").write_text("")
    lost = {"state": tmp_path / "file" / "x", "database_url": f"sqlite:///{tmp_path}/file/x/peephole.db"}
    client = serve(**{where: lost[where]})
    response = client.put("/tasks/leaves", json=TASK)
    assert str(tmp_path) not in json.dumps(problem(response, 503))
    assert response.headers["retry-after"]
    assert client.post("/predict", json=body(network(1))).status_code == 200
    assert [one["task"] for one in client.get("/tasks").json()] == ["tiny"]
    assert client.get("/readyz").status_code == 200


def test_a_database_that_hangs_holds_up_nothing_else(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadline passes as ever; predictions go on while every thread of the database waits."""
    client = serve(state=tmp_path)
    store, release = client.app.state.service.store, Event()  # type: ignore[attr-defined]
    monkeypatch.setattr(store, "page", lambda *_, **__: release.wait(30))
    for _ in range(THREADS + 1):
        problem(client.get(PATH, headers={"X-Request-Timeout-Ms": "50"}), 504)
    assert client.post("/predict", json=body(network(1))).status_code == 200
    assert client.get("/livez").status_code == 200
    release.set()
