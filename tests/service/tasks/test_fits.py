"""Background fits and versions over HTTP: queued, shown, published while the service runs, pinned, rolled back."""

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from model.artifact import digest, pack_artifact
from model.network.schema import MIN_FIT
from service.tasks import figures
from store import CONTEXT, Store
from store.tables import versions
from tests.service import graphs
from tests.service.conftest import Serve
from tests.service.requests import network, problem

TASK = {"input": [3, 32, 32]}
LAYERS = [{"type": "conv", "kernel_size": 3, "out_channels": 8}, {"type": "relu"}]
FIGURES = {"tau": 0.9, "r2": 0.8, "mse": 0.01, "mae": 0.05}
RESULT = {
    "published": True,
    "version": "v",
    "networks": 20,
    "observations": 20,
    "artifact": FIGURES,
    "context": FIGURES | {"tau": 0.8},
    "seconds": 1.5,
}


@pytest.fixture
def shop(serve: Serve, tmp_path: Path) -> TestClient:
    """A service with a stored task of as many networks as a fit needs."""
    client = serve(state=tmp_path / "state")
    fill(client, MIN_FIT)
    return client


def fill(client: TestClient, count: int, name: str = "leaves") -> None:
    """Store a task with so many new networks."""
    assert client.put(f"/tasks/{name}", json=TASK).status_code in (200, 201)
    new = [{"layers": network(1 + n % 5)["layers"], "accuracy": (n + 1) / (count + 2)} for n in range(count)]
    assert client.post(f"/tasks/{name}/observations", json={"observations": new}).json()["added"] == count


def store_of(client: TestClient) -> Store:
    found: Store = client.app.state.service.store  # type: ignore[attr-defined]
    return found


def publish(client: TestClient, folder: Path, version: str, *, bias: float = -1.0) -> None:
    """Do what a worker does: claim the fit that waits, and publish a predictor."""
    fits = store_of(client).fits
    assert client.post("/tasks/leaves/fits", json={}).status_code == 202
    packed = pack_artifact(graphs.artifact(folder / version, model=graphs.graph(bias=bias)))
    claim = fits.claim()
    assert claim is not None
    fits.publish(claim, version, packed, digest(packed), RESULT | {"version": version})


def predict(client: TestClient, **fields: Any) -> Any:
    body = {"task": "leaves", "architectures": [{"layers": LAYERS}]} | fields
    return client.post("/predict", json=body)


def test_a_fit_is_queued_and_shown_until_it_is_done(shop: TestClient) -> None:
    response = shop.post("/tasks/leaves/fits", json={})
    queued = response.json()
    assert (response.status_code, response.headers["location"]) == (202, f"fits/{queued['id']}")
    assert (queued["state"], queued["progress"], queued["result"]) == ("queued", 0.0, None)
    path = f"/tasks/leaves/fits/{queued['id']}"
    assert shop.get(path).json() == queued
    assert shop.post("/tasks/leaves/fits", json={}).json() == queued, "one waits already"
    store = store_of(shop)
    claim = store.fits.claim()
    assert claim is not None
    store.fits.report(claim, progress=0.4, line="fold 2 of 5")
    running = shop.get(path).json()
    assert (running["state"], running["progress"], running["attempts"]) == ("running", 0.4, 1)
    assert running["log"][-1].endswith("fold 2 of 5")
    store.fits.finish(claim, RESULT | {"published": False, "version": None})
    done = shop.get(path).json()
    assert (done["state"], done["result"]["artifact"], done["error"]) == ("done", FIGURES, None)


def test_the_fits_of_a_task_are_listed_the_newest_first(shop: TestClient) -> None:
    assert shop.get("/tasks/leaves/fits").json() == {"fits": []}
    first = shop.post("/tasks/leaves/fits", json={}).json()
    claim = store_of(shop).fits.claim()
    assert claim is not None
    store_of(shop).fits.fail(claim, "out of memory")
    second = shop.post("/tasks/leaves/fits", json={}).json()
    fill(shop, MIN_FIT, "other")
    shop.post("/tasks/other/fits", json={})
    listed = shop.get("/tasks/leaves/fits").json()["fits"]
    assert [(one["id"], one["state"], one["error"]) for one in listed] == [
        (second["id"], "queued", None),
        (first["id"], "failed", "out of memory"),
    ]
    problem(shop.get("/tasks/none/fits"), 404)


def test_a_repeated_request_queues_no_second_fit(shop: TestClient) -> None:
    """With its Idempotency-Key, though the first fit runs by then."""
    header = {"Idempotency-Key": "step-7"}
    first = shop.post("/tasks/leaves/fits", json={}, headers=header).json()
    store_of(shop).fits.claim()
    assert shop.post("/tasks/leaves/fits", json={}, headers=header).json()["id"] == first["id"]
    assert shop.post("/tasks/leaves/fits", json={}).json()["id"] != first["id"]


def test_what_cannot_be_fitted_is_a_conflict(shop: TestClient) -> None:
    """Too few networks, and images that are not square; unknown tasks and fits are a 404."""
    fill(shop, MIN_FIT - 1, "few")
    assert problem(shop.post("/tasks/few/fits", json={}), 409)["detail"] == (
        f"The task has {MIN_FIT - 1} networks; a fit needs {MIN_FIT}."
    )
    wide = [{"layers": [{"type": "conv", "kernel_size": 3, "out_channels": 1 + n}], "accuracy": 0.5} for n in range(20)]
    shop.put("/tasks/wide", json={"input": [3, 32, 64]})
    shop.post("/tasks/wide/observations", json={"observations": wide})
    assert "square" in problem(shop.post("/tasks/wide/fits", json={}), 409)["detail"]
    problem(shop.post("/tasks/none/fits", json={}), 404)
    (fault,) = problem(shop.post("/tasks/leaves/fits", json={"seed": 1}), 422)["errors"]
    assert fault["pointer"] == "/seed"
    for id_ in ("1", "0", "x", "9" * 30, "%20"):
        problem(shop.get(f"/tasks/leaves/fits/{id_}"), 404)


def test_another_owner_sees_nothing_of_it(serve: Serve, tmp_path: Path) -> None:
    client = serve(state=tmp_path / "state", api_keys="ann:a,bob:b")
    client.headers["X-API-Key"] = "a"
    fill(client, MIN_FIT)
    publish(client, tmp_path, "one")
    client.headers["X-API-Key"] = "b"
    for path in ("fits", "fits/1", "versions"):
        problem(client.get(f"/tasks/leaves/{path}"), 404)
    problem(client.post("/tasks/leaves/fits", json={}), 404)
    problem(client.put("/tasks/leaves/version", json={"version": "one"}), 404)
    problem(predict(client), 422)
    del client.headers["X-API-Key"]
    for path in ("fits", "fits/1", "versions"):
        problem(client.get(f"/tasks/leaves/{path}"), 401)
    problem(client.put("/tasks/leaves/version", json={"version": None}), 401)


def test_a_published_version_predicts_at_once_and_on_every_replica(
    shop: TestClient, serve: Serve, tmp_path: Path
) -> None:
    """Without a restart or a reload; then the next one does. Its own curves come out."""
    assert predict(shop).json()["model"]["networks"] == MIN_FIT
    other = serve(state=tmp_path / "state")
    finals = []
    for version, bias in (("one", -1.0), ("two", 0.0)):
        publish(shop, tmp_path, version, bias=bias)
        for client in (shop, other):
            found = predict(client).json()
            assert found["model"]["task"] == "leaves"
            assert found["epochs"] == [1, 2, 3, 4, 5]
            finals.append(found["predictions"][0]["final_accuracy"])
    assert finals[0] == finals[1] < finals[2] == finals[3]
    task = shop.get("/tasks/leaves").json()
    assert (task["version"], task["versions"]) == ("two", ["two", "one"])


def test_a_version_is_chosen_for_a_request_or_for_all(shop: TestClient, tmp_path: Path) -> None:
    """Pinned, rolled back, given free again; a request may name another one."""
    publish(shop, tmp_path, "one", bias=-1.0)
    publish(shop, tmp_path, "two", bias=0.0)

    def final(**fields: Any) -> float:
        return float(predict(shop, **fields).json()["predictions"][0]["final_accuracy"])

    by_name = {name: final(version=name) for name in ("one", "two", CONTEXT)}
    assert len(set(by_name.values())) == 3
    assert final() == by_name["two"]
    for version, served in (("one", "one"), (CONTEXT, CONTEXT), (None, "two")):
        listed = shop.put("/tasks/leaves/version", json={"version": version}).json()
        assert (listed["pinned"], listed["served"]) == (version, served)
        assert shop.get("/tasks/leaves/versions").json() == listed
        assert [one["version"] for one in listed["versions"]] == ["two", "one"]
        assert listed["versions"][0]["result"]["artifact"] == FIGURES
        assert final() == by_name[served]
        assert final(version="one") == by_name["one"]
    for response in (
        predict(shop, version="three"),
        shop.put("/tasks/leaves/version", json={"version": "three"}),
    ):
        (fault,) = problem(response, 422)["errors"]
        assert (fault["pointer"], fault["code"]) == ("/version", "unknown-version")


def test_a_loaded_task_has_the_version_of_its_card(shop: TestClient) -> None:
    version = predict(shop, task="tiny").json()["model"]["version"]
    assert predict(shop, task="tiny", version=version).status_code == 200
    (fault,) = problem(predict(shop, task="tiny", version="other"), 422)["errors"]
    assert (fault["pointer"], fault["detail"]) == ("/version", f"the version of tiny that is loaded is {version}")
    context = [{"layers": network(n)["layers"], "accuracy": 0.5} for n in (1, 2, 3)]
    body = {"context": context, "input": [3, 32, 32], "version": version}
    asked = {"architectures": [{"layers": network(1)["layers"]}]}
    (fault,) = problem(shop.post("/predict", json=body | asked), 422)["errors"]
    assert fault["pointer"] == "/version"


@pytest.mark.parametrize("damage", ["changed", "no artifact", "no curves"])
def test_a_damaged_version_is_never_served(
    shop: TestClient, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """503 with a way out, and the log says why; the context, and other tasks, are predicted as before."""
    if damage == "no curves":
        publish(shop, tmp_path, "one", bias=float("nan"))
    else:
        publish(shop, tmp_path, "one")
        values = {"artifact": b"PK"} | ({"sha256": digest(b"PK")} if damage == "no artifact" else {})
        with store_of(shop)._database.begin(write=True) as connection:
            connection.execute(update(versions).values(values))
    for _ in range(2):
        assert "PUT /tasks/{name}/version" in problem(predict(shop), 503)["detail"]
    assert predict(shop, version=CONTEXT).status_code == 200
    assert predict(shop, task="tiny").status_code == 200
    assert shop.get("/readyz").status_code == 200
    shop.put("/tasks/leaves/version", json={"version": CONTEXT})
    assert predict(shop).status_code == 200


def test_new_networks_queue_a_fit_when_the_setting_says_so(serve: Serve, tmp_path: Path) -> None:
    client = serve(state=tmp_path / "state", fit_every=MIN_FIT)
    fill(client, MIN_FIT)
    assert client.get("/tasks/leaves/fits/1").json()["state"] == "queued"
    unasked = serve(state=tmp_path / "other")
    fill(unasked, MIN_FIT)
    problem(unasked.get("/tasks/leaves/fits/1"), 404)


def test_a_stored_task_says_how_well_its_networks_rank_each_other(shop: TestClient) -> None:
    """As a prediction in context does; unknown while there are fewer than three."""
    assert shop.get("/tasks/leaves").json()["tau"] == predict(shop).json()["model"]["tau"]
    fill(shop, 2, "few")
    assert shop.get("/tasks/few").json()["tau"] is None


def test_the_metrics_say_how_stored_tasks_stand(
    shop: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By owner and task; also after a restart of the service, as they are read from the database."""
    monkeypatch.setattr(figures, "REFRESH_SECONDS", 0.0)
    predict(shop)
    publish(shop, tmp_path, "one")
    shop.post("/tasks/leaves/fits", json={})
    text = shop.get("/metrics").text
    labels = 'owner="default",task="leaves"'

    def value(name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        assert found, name
        return float(found[1])

    assert value(f"predictor_observations{{{labels}}}") == MIN_FIT
    assert -1 <= value(f"predictor_context_tau{{{labels}}}") <= 1
    assert value(f"predictor_fitted_timestamp_seconds{{{labels}}}") > 1.7e9
    states = {state: value(f'predictor_fit_jobs{{state="{state}"}}') for state in ("queued", "running", "done")}
    assert states == {"queued": 1, "running": 0, "done": 1}
    assert value('predictor_fit_age_seconds{state="queued"}') >= 0
    shop.delete("/tasks/leaves")
    assert "leaves" not in shop.get("/metrics").text.split("predictor_observations", 1)[1]
