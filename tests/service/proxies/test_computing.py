"""`"proxies": "compute"`: what is computed, and what is rejected with its place."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

import peephole
from model.artifact import ZOO
from service.proxies import child
from tests.service.in_process import serving
from tests.service.live import Live
from tests.service.proxies.conftest import QUEUE, network


def ask(live: Live, *networks: Any, **fields: Any) -> dict[str, Any]:
    response = httpx2.post(
        f"{live.url}/predict", json={"architectures": list(networks), "proxies": "compute", **fields}, timeout=90
    )
    assert response.status_code == 200, response.text
    return response.json()


def test_the_scores_are_those_of_the_command(computing: Live, tmp_path: Path) -> None:
    """They equal what `peephole proxies` writes, are used as if they had been sent, and are computed once."""
    asked = [{"id": f"n{width}", "layers": network(width, deep=3)} for width in (6, 9)]
    (tmp_path / "nets.json").write_text(json.dumps(asked))
    command = [sys.executable, "-c", "from cli import run; run()", "proxies", "nets.json", "--images", "cifar10"]
    folders = f"{Path.cwd()}:{Path.cwd() / 'client'}"
    subprocess.run(command, cwd=tmp_path, check=True, timeout=300, env=os.environ | {"PYTHONPATH": folders})
    scored = [json.loads(line) for line in (tmp_path / "nets.proxies.jsonl").read_text().splitlines()]

    before = computing.metric("predictor_proxy_seconds_count")
    found = ask(computing, *asked, asked[0] | {"id": "again"})["predictions"]
    assert [one.pop("proxies") for one in found] == [scored[0]["proxies"], scored[1]["proxies"], scored[0]["proxies"]]
    sent = httpx2.post(f"{computing.url}/predict", json={"architectures": scored}).json()["predictions"]
    plain = httpx2.post(f"{computing.url}/predict", json={"architectures": asked}).json()["predictions"]
    for one, same, other in zip(found, sent, plain, strict=False):
        assert one["accuracy"] == same["accuracy"] != other["accuracy"]
    ask(computing, *asked)
    assert computing.metric("predictor_proxy_seconds_count") - before == 2


def test_networks_that_bring_scores_keep_them(computing: Live) -> None:
    """Only the other is measured; scores that the predictor does not read do not count."""
    mine = {"layers": network(5), "proxies": {"swap": 4.0, "naswot": 500.0}}
    first, second = ask(computing, mine, {"layers": network(7)})["predictions"]
    assert "proxies" not in first
    assert second["proxies"].keys() > {"swap", "naswot"}
    (alone,) = httpx2.post(f"{computing.url}/predict", json={"architectures": [mine]}).json()["predictions"]
    assert alone["accuracy"] == first["accuracy"]


def test_scores_and_observed_epochs_go_together(computing: Live) -> None:
    (one,) = ask(computing, {"layers": network(7), "observed": [0.2, 0.25]})["predictions"]
    assert one["accuracy"][:2] == pytest.approx([0.2, 0.25], abs=1e-4)
    assert one["proxies"]


def test_the_client_sends_a_population_in_parts(computing: Live) -> None:
    """More networks than the queue holds are several requests; each prediction has its scores."""
    with peephole.Client(computing.url, timeout=90) as client:
        found = client.predict([network(width) for width in range(2, 3 + QUEUE)], proxies="compute")
    assert all(one.proxies and "swap" in one.proxies for one in found)
    assert len({one.proxies["synflow"] for one in found if one.proxies}) == QUEUE + 1
    assert len({*found}) == QUEUE + 1


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    models = tuple(ZOO / task for task in ("cifar10-mini", "metaqnn-cifar10"))
    with serving(models=models, state=tmp_path_factory.mktemp("state"), provider="cpu") as one:
        yield one


def faults(client: TestClient, **fields: Any) -> list[dict[str, str]]:
    body = {"task": "cifar10-mini", "proxies": "compute", "architectures": [{"layers": network(4)}]} | fields
    response = client.post("/predict", json={name: value for name, value in body.items() if value is not None})
    assert response.status_code == 422, response.text
    return response.json()["errors"]


CONTEXT = [{"layers": network(width), "accuracy": width / 10} for width in (2, 4, 6)]


@pytest.mark.parametrize(
    ("fields", "place", "code"),
    [
        ({"task": "metaqnn-cifar10"}, "/proxies", "unsupported"),
        ({"task": None, "context": CONTEXT, "input": [3, 16, 16]}, "/proxies", "unsupported"),
        ({"task": "stored"}, "/proxies", "unsupported"),
        ({"input": [3, 32, 32]}, "/input", "excluded"),
        ({"proxies": "please"}, "/proxies", "unknown-value"),
    ],
)
def test_what_cannot_be_computed_is_rejected(client: TestClient, fields: dict[str, Any], place: str, code: str) -> None:
    client.put("/tasks/stored", json={"input": [3, 16, 16]})
    client.post("/tasks/stored/observations", json={"observations": CONTEXT})
    (fault,) = faults(client, **fields)
    assert (fault["pointer"], fault["code"]) == (place, code)


def test_expensive_networks_are_rejected_with_their_place(client: TestClient) -> None:
    """By their operations, their weights or their activations."""
    huge = [
        network(512, deep=4),
        [{"type": "linear", "out_features": 50_000}, {"type": "linear", "out_features": 10_000}],
        [{"type": "conv", "kernel_size": 1, "out_channels": 10_000}],
    ]
    found = faults(client, architectures=[{"layers": layers} for layers in (network(4), *huge)])
    assert [fault["pointer"] for fault in found] == [f"/architectures/{index}/layers" for index in (1, 2, 3)]
    assert {fault["code"] for fault in found} == {"too-expensive"}


def test_a_missing_extra_is_named(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    present = child.find_spec
    monkeypatch.setattr(child, "find_spec", lambda name: None if name == "torch" else present(name))
    (fault,) = faults(client)
    assert "extra `proxies` (torch missing)" in fault["detail"]


def test_missing_images_are_said_without_the_path(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log says where they are looked for."""
    monkeypatch.setenv("PEEPHOLE_DATA", str(tmp_path / "nowhere"))
    (fault,) = faults(client)
    assert fault["pointer"] == "/proxies"
    assert "PEEPHOLE_DATA" in fault["detail"]
    assert "nowhere" not in fault["detail"]
    assert str(tmp_path / "nowhere") in capsys.readouterr().out


def test_a_predictor_in_process_computes_nothing() -> None:
    with pytest.raises(peephole.RequestError, match=r"/proxies: .*measure them with `peephole proxies`"):
        peephole.load("cifar10-mini").predict([network(4)], proxies="compute")
