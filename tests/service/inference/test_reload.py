"""Artifacts that change while the service runs: taken over when they can be trusted, all of them or none."""

import asyncio
import errno
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from starlette.testclient import TestClient

from model.artifact import ARRAYS_FILE, CARD_FILE, MEMBERS_FILE
from service.inference.registry import Registry
from service.inference.reload import FILES, Reloader, _signature
from service.observability.metrics import Metrics
from service.settings import Settings
from tests.service import graphs
from tests.service.conftest import Serve
from tests.service.inference.test_registry import POINTS_NOWHERE
from tests.service.inference.test_warmup import changed
from tests.service.live import Live, running, until
from tests.service.requests import metric

BODY = {"architectures": [{"layers": [{"type": "relu"}]}]}


def replace(folder: Path, **fields: Any) -> None:
    """Put another version into an artifact folder, as `cp` would: the card last."""
    new = graphs.artifact(folder.parent / ".new", **fields)
    for name in (MEMBERS_FILE, ARRAYS_FILE, CARD_FILE):
        shutil.copy(new / name, folder / name)


def version(client: TestClient) -> str:
    """Return the version that predicts; every request is answered."""
    response = client.post("/predict", json=BODY)
    assert response.status_code == 200, response.text
    found: str = response.json()["model"]["version"]
    return found


def state(client: TestClient) -> str:
    found: str = client.get("/info").json()["reload"]["state"]
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return graphs.artifact(tmp_path / "own")


@pytest.fixture
def watching(serve: Serve, folder: Path) -> TestClient:
    """A client of a service that looks at its folder every 50 ms."""
    return serve(models=(folder,), reload_seconds=0.05)


def test_a_changed_folder_is_taken_over_and_a_bad_one_is_not(watching: TestClient, folder: Path) -> None:
    """Without a lost request; a failed reload keeps the old predictor and says so in /info and the metrics."""
    assert version(watching) == "1"
    replace(folder, version="2", model=graphs.graph(bias=0.5))
    until(lambda: version(watching) == "2")
    until(lambda: state(watching) == "ok")
    (folder / MEMBERS_FILE).write_bytes(b"not a model")
    until(lambda: state(watching) == "failed")
    assert version(watching) == "2"
    reload = watching.get("/info").json()["reload"]
    assert str(folder) in reload["error"]
    assert reload["at"]
    assert metric(watching, "predictor_last_reload_ok") == 0
    assert metric(watching, 'predictor_reloads_total{result="failed"}') >= 1
    assert 'version="1"' not in watching.get("/metrics").text
    replace(folder, version="3")
    until(lambda: version(watching) == "3")
    until(lambda: metric(watching, "predictor_last_reload_ok") == 1)


def test_a_predictor_that_gives_no_curve_does_not_replace_one_that_does(watching: TestClient, folder: Path) -> None:
    """Its file is all right, its curves are not: the reload fails and says why."""
    replace(folder, version="2", model=changed("curves", "Add", np.nan))
    until(lambda: state(watching) == "failed")
    assert "not a finite number" in watching.get("/info").json()["reload"]["error"]
    assert version(watching) == "1"


def test_all_or_none(serve: Serve, tmp_path: Path) -> None:
    """A good artifact beside a bad one waits until the bad one is mended."""
    zoo = tmp_path / "zoo"
    first, second = (graphs.artifact(zoo / name, f"task-{name}") for name in "ab")
    client = serve(models=(zoo,), reload_seconds=0.05)

    def versions() -> list[str]:
        return [task["version"] for task in client.get("/tasks").json()]

    model = (second / MEMBERS_FILE).read_bytes()
    (second / MEMBERS_FILE).write_bytes(b"not a model")
    shutil.copy(graphs.artifact(tmp_path / "new", "task-a", version="2") / CARD_FILE, first / CARD_FILE)
    until(lambda: state(client) == "failed")
    assert versions() == ["1", "1"]
    (second / MEMBERS_FILE).write_bytes(model)
    until(lambda: versions() == ["2", "1"])


def test_an_artifact_is_renamed_into_place(serve: Serve, tmp_path: Path) -> None:
    """The next one is copied beside the old one under a name with a dot; the old one stays, to go back to."""
    zoo = tmp_path / "zoo"
    graphs.artifact(zoo / "own")
    graphs.artifact(zoo / ".own.new", version="2")
    client = serve(models=(zoo,), reload_seconds=0.05)
    assert version(client) == "1"
    (zoo / "own").rename(zoo / ".own.old")
    (zoo / ".own.new").rename(zoo / "own")
    until(lambda: version(client) == "2")


def test_a_folder_that_cannot_be_read_for_a_while_is_a_failed_reload(watching: TestClient, folder: Path) -> None:
    """It is recorded, the old predictor goes on, and watching goes on once the folder is back."""
    away = folder.parent / ".away"
    folder.rename(away)
    folder.symlink_to(POINTS_NOWHERE)
    until(lambda: state(watching) == "failed")
    assert str(folder) in watching.get("/info").json()["reload"]["error"]
    assert version(watching) == "1"
    folder.unlink()
    away.rename(folder)
    until(lambda: state(watching) == "ok")
    replace(folder, version="2")
    until(lambda: version(watching) == "2")


def fails_unforeseen(*_: object) -> None:
    raise IndexError("list index out of range")


def test_an_unforeseen_error_is_a_failed_reload_too(
    watching: TestClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it was, it is recorded and watching goes on."""
    with monkeypatch.context() as broken:
        broken.setattr("service.inference.registry.read_sources", fails_unforeseen)
        replace(folder, version="2")
        until(lambda: state(watching) == "failed")
    assert "list index out of range" in watching.get("/info").json()["reload"]["error"]
    replace(folder, version="3")
    until(lambda: version(watching) == "3")


def test_an_unforeseen_error_at_the_start_is_a_failure(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a service that says for ever that it is loading."""
    monkeypatch.setattr("service.inference.registry.read_sources", fails_unforeseen)
    client = serve(wait=False)
    until(lambda: client.get("/livez").status_code == 503)
    assert client.get("/readyz").json()["detail"] == "the predictors cannot be loaded: list index out of range"


def test_what_changes_while_predictors_load_is_noticed(
    serve: Serve, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Registry.load
    changes: list[Callable[[], None]] = [lambda: replace(folder, version="2")]

    def load_slowly(registry: Registry) -> None:
        plain(registry)
        while changes:
            changes.pop()()

    monkeypatch.setattr(Registry, "load", load_slowly)
    client = serve(models=(folder,), reload_seconds=0.05)
    assert not changes
    until(lambda: version(client) == "2")


@pytest.mark.parametrize("name", FILES)
def test_each_file_of_an_artifact_is_watched(tmp_path: Path, name: str) -> None:
    """In the folder named and in folders inside it, by size or by time."""
    folder = graphs.artifact(tmp_path / "zoo" / "one")
    for root in (folder, folder.parent):
        settings = Settings(models=(root,), shipped=False)
        before = _signature(settings)
        with (folder / name).open("ab") as file:
            file.write(b" ")
        assert _signature(settings) != before


def test_other_permissions_are_a_change(folder: Path) -> None:
    """A reload that failed for want of them is tried again."""
    settings = Settings(models=(folder,), shipped=False)
    before = _signature(settings)
    (folder / MEMBERS_FILE).chmod(0o640)
    assert _signature(settings) != before


def test_a_folder_that_cannot_be_looked_at_has_not_changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the process is out of file descriptors: then nothing is known, and nothing is reloaded."""
    settings = Settings(models=(folder,), shipped=False)

    async def look() -> object:
        registry = Registry(settings, Metrics(), workers=1, threads=1)
        return await Reloader(registry, Metrics()).signature()

    assert asyncio.run(look()) == _signature(settings)

    def iterdir(_: Path) -> object:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert asyncio.run(look()) is None


def test_sighup_reloads(tmp_path: Path) -> None:
    """With the watch off, SIGHUP takes over a changed artifact, and reports a bad one."""
    folder = graphs.artifact(tmp_path / "tiny")
    with running(folder, PEEPHOLE_RELOAD_SECONDS="0") as live:

        def running_version(live: Live = live) -> str:
            found: str = httpx2.post(live.url + "/predict", json=BODY).json()["model"]["version"]
            return found

        replace(folder, version="2")
        live.signal(signal.SIGHUP)
        until(lambda: running_version() == "2")
        live.wait_printed('"reloaded"')
        (folder / CARD_FILE).write_text("{}")
        live.signal(signal.SIGHUP)
        live.wait_printed('"reload_failed"')
        assert running_version() == "2"
