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
from starlette.testclient import TestClient

from store import Key, Store
from tests.service.in_process import serving
from tests.service.live import Live, running
from tests.service.requests import body, network, problem
from tests.store import postgres

PATH = "/tasks/leaves/observations"
TASK = {"input": [3, 32, 32]}
WRITERS = 4
ACCEPTED = 20  # by the process that is then killed
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


def names(client: TestClient) -> list[str]:
    """Return the ids of all stored observations, page by page."""
    found: list[str] = []
    query = "?limit=20"
    while query:
        response = client.get(PATH + query)
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
                response = client.post(PATH, json=measured(sent[-1]))
            except httpx2.TransportError:
                return sent
            assert response.status_code == 200, response.text
            accepted.append(sent[-1])
    return sent


def test_kill_9_loses_nothing_that_was_accepted_and_processes_share_a_database(tiny: Path, env: dict[str, str]) -> None:
    """This process and another write for one task; the other is killed. Every accepted row is there, once."""
    settings = {name.removeprefix("PEEPHOLE_").lower(): value for name, value in env.items()}
    with (
        running(tiny, **env) as killed,
        serving(models=(tiny,), **settings) as client,
        ThreadPoolExecutor(2 * WRITERS) as threads,
    ):
        assert httpx2.put(f"{killed.url}/tasks/leaves", json=TASK, timeout=30).status_code == 201
        assert client.put("/tasks/leaves", json=TASK).status_code == 200
        accepted: list[str] = []
        enough = Event()

        def write_here(number: int) -> None:
            for step in count():
                name = f"here-{number}-{step}"
                response = client.post(PATH, json=measured(name))
                assert response.status_code == 200, response.text
                accepted.append(name)
                there = sum(not one.startswith("here") for one in accepted)
                if there >= ACCEPTED and not enough.is_set():
                    enough.set()
                    killed.signal(signal.SIGKILL)
                if enough.is_set():
                    return

        writers = [threads.submit(write_until_killed, killed, number, accepted) for number in range(WRITERS)]
        here = [threads.submit(write_here, number) for number in range(WRITERS)]
        for one in here:
            one.result(90)
        sent = {name for one in writers for name in one.result(90)}
        stored = names(client)
        assert len(stored) == len(set(stored))
        assert set(accepted) <= set(stored) <= sent | set(accepted)
        assert client.get("/tasks/leaves").json()["observations"] == len(stored)
    address, folder = env.get("PEEPHOLE_DATABASE_URL", ""), Path(env.get("PEEPHOLE_STATE", ""))
    opened = Store(address, folder, max_tasks=1, max_observations=1)
    found = opened.page(Key("default", "leaves"), limit=9999).observations
    assert {one.id for one in found} >= set(stored), "a new process finds them all"
    opened.close()


def test_a_lost_server_is_a_503_until_it_is_back(tiny: Path, server: postgres.Postgres) -> None:
    """The service goes on predicting, and needs no restart."""
    with serving(models=(tiny,), database_url=server.new_database()) as client:
        assert client.put("/tasks/leaves", json=TASK).status_code == 201
        assert client.post(PATH, json=measured("a")).status_code == 200
        server.stop()
        try:
            for response in (client.post(PATH, json=measured("b")), client.get(PATH), client.get("/tasks/leaves")):
                document = problem(response, 503)
                assert "127.0.0.1" not in str(document)
            assert [one["task"] for one in client.get("/tasks").json()] == ["tiny"]
            assert client.post("/predict", json=body(network(2))).status_code == 200
            assert client.get("/readyz").status_code == 200
        finally:
            server.start()
        assert [one["id"] for one in client.get(PATH).json()["observations"]] == ["a"]


def test_a_folder_that_cannot_be_written_to_is_a_503(tiny: Path, tmp_path: Path) -> None:
    """Loaded tasks are predicted all the same."""
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    with running(tiny, before=WITHOUT_ROOTS_POWERS, PEEPHOLE_STATE=str(folder)) as live:
        response = httpx2.put(f"{live.url}/tasks/leaves", json=TASK)
        assert response.status_code == 503, response.text
        assert "Stored tasks" in response.json()["detail"]
        assert httpx2.post(f"{live.url}/predict", json=body(network(2))).status_code == 200
        live.wait_printed("store_unavailable")
    assert not list(folder.iterdir())
