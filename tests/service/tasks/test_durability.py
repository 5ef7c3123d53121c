"""Accepted means committed: real processes, killed and restarted, on both databases; a database that is lost."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import httpx2
import pytest

from store import Key, Store
from tests.service.in_process import serving
from tests.service.live import Live, running
from tests.service.requests import body, network, problem
from tests.store import postgres

WRITERS = 4
ACCEPTED = 40  # before the kill
WITHOUT_ROOTS_POWERS = """
import ctypes
header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this thread
assert ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)()) == 0
"""


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Postgres]:
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.server() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def env(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The settings of processes that share an empty database: each test runs on both."""
    if request.param == "sqlite":
        return {"PEEPHOLE_STATE": str(tmp_path / "state")}
    return {"PEEPHOLE_DATABASE_URL": request.getfixturevalue("server").new_database()}


def measured(name: str) -> dict[str, Any]:
    """Return a request with one new network."""
    return {"observations": [{"id": name, "layers": network(2)["layers"], "accuracy": 0.5}]}


def names(url: str) -> list[str]:
    """Return the ids of all stored observations, page by page."""
    found: list[str] = []
    query = "?limit=20"
    with httpx2.Client(base_url=url, timeout=30) as client:
        while query:
            response = client.get(f"/tasks/leaves/observations{query}")
            found += [one["id"] for one in response.json()["observations"]]
            query = response.links["next"]["url"] if "next" in response.links else ""
    return found


def write_until_killed(live: Live, number: int, accepted: list[str]) -> list[str]:
    """Add observations one after another; note those answered with 200 until the process is gone, return all sent."""
    sent = []
    with httpx2.Client(base_url=live.url, timeout=30) as client:
        for step in count():
            sent.append(f"{number}-{step}")
            try:
                response = client.post("/tasks/leaves/observations", json=measured(sent[-1]))
            except httpx2.TransportError:
                return sent
            assert response.status_code == 200, response.text
            accepted.append(sent[-1])
    return sent


def test_kill_9_loses_nothing_that_was_accepted_and_processes_share_a_database(tiny: Path, env: dict[str, str]) -> None:
    """Two processes write for one task; one is killed. The other has every accepted row, once, and goes on."""
    with running(tiny, **env) as killed, running(tiny, **env) as other, ThreadPoolExecutor(2 * WRITERS) as threads:
        assert httpx2.put(f"{killed.url}/tasks/leaves", json={"input": [3, 32, 32]}).status_code == 201
        assert httpx2.put(f"{other.url}/tasks/leaves", json={"input": [3, 32, 32]}).status_code == 200
        accepted: list[str] = []
        enough = Event()

        def write_elsewhere(number: int) -> None:
            with httpx2.Client(base_url=other.url, timeout=30) as client:
                for step in count():
                    name = f"other-{number}-{step}"
                    response = client.post("/tasks/leaves/observations", json=measured(name))
                    assert response.status_code == 200, response.text
                    accepted.append(name)
                    if len(accepted) >= ACCEPTED and not enough.is_set():
                        enough.set()
                        killed.signal(signal.SIGKILL)
                    if enough.is_set():
                        return

        writers = [threads.submit(write_until_killed, killed, number, accepted) for number in range(WRITERS)]
        others = [threads.submit(write_elsewhere, number) for number in range(WRITERS)]
        for one in others:
            one.result(60)
        sent = {name for one in writers for name in one.result(60)}
        stored = names(other.url)
        assert len(stored) == len(set(stored))
        assert set(accepted) <= set(stored)
        assert set(stored) <= sent | set(accepted)
        assert any(not name.startswith("other") for name in accepted), "both wrote"
        assert httpx2.get(f"{other.url}/tasks/leaves").json()["observations"] == len(stored)
    address, folder = env.get("PEEPHOLE_DATABASE_URL", ""), Path(env.get("PEEPHOLE_STATE", ""))
    opened = Store(address, folder, max_tasks=1, max_observations=1)
    assert [one.id for one in opened.page(Key("default", "leaves"), limit=9999).observations] == stored
    opened.close()


def test_a_lost_server_is_a_503_until_it_is_back(tiny: Path, server: postgres.Postgres) -> None:
    """The service goes on predicting, and needs no restart."""
    path = "/tasks/leaves/observations"
    with serving(models=(tiny,), database_url=server.new_database()) as client:
        assert client.put("/tasks/leaves", json={"input": [3, 32, 32]}).status_code == 201
        assert client.post(path, json=measured("a")).status_code == 200
        server.stop()
        try:
            for response in (client.post(path, json=measured("b")), client.get(path), client.get("/tasks/leaves")):
                document = problem(response, 503)
                assert "127.0.0.1" not in str(document)
            assert [one["task"] for one in client.get("/tasks").json()] == ["tiny"]
            assert client.post("/predict", json=body(network(2))).status_code == 200
            assert client.get("/readyz").status_code == 200
        finally:
            server.start()
        assert [one["id"] for one in client.get(path).json()["observations"]] == ["a"]


def test_a_folder_that_cannot_be_written_to_is_a_503(tiny: Path, tmp_path: Path) -> None:
    """Loaded tasks are predicted all the same."""
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    with running(tiny, before=WITHOUT_ROOTS_POWERS, PEEPHOLE_STATE=str(folder)) as live:
        response = httpx2.put(f"{live.url}/tasks/leaves", json={"input": [3, 32, 32]})
        assert response.status_code == 503, response.text
        assert "Stored tasks" in response.json()["detail"]
        assert httpx2.post(f"{live.url}/predict", json=body(network(2))).status_code == 200
        live.wait_printed("store_unavailable")
    assert not list(folder.iterdir())
