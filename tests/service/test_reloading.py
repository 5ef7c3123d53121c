"""Artifacts that change while the service runs: taken up when they can be trusted, left alone when not."""

import asyncio
import errno
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from model.artifact import MODEL_FILE
from service.metrics import Metrics
from service.reloading import FILES, Reloader, signature
from service.settings import Settings
from tests.service import graphs
from tests.service.conftest import Serve
from tests.service.live import running
from tests.service.test_artifacts import points_nowhere

BODY = {"architectures": [{"layers": [{"type": "relu"}]}]}


def until(condition: Callable[[], bool]) -> bool:
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        if condition():
            return True
        time.sleep(0.05)
    return False


def replace(folder: Path, **fields: object) -> None:
    """Put another version into an artifact folder, as `cp` would: the model, then the card."""
    new = graphs.artifact(folder.parent / "new", **fields)
    for name in (MODEL_FILE, "card.json"):
        shutil.copy(new / name, folder / name)


def test_a_changed_folder_is_taken_up_and_a_bad_one_is_not(tmp_path: Path) -> None:
    """Reload without a lost request; a failed reload keeps the old predictor and says so everywhere."""
    folder = graphs.artifact(tmp_path / "tiny")
    with running(folder, PEEPHOLE_RELOAD_SECONDS="0.2") as live:

        def version() -> str:
            response = httpx2.post(live.url + "/predict", json=BODY)
            assert response.status_code == 200, "an artifact changes hands without a refused request"
            return response.json()["model"]["version"]

        assert version() == "1"
        replace(folder, version="2", model=graphs.graph(bias=0.5))
        assert until(lambda: version() == "2")
        assert httpx2.get(live.url + "/info").json()["reload"]["state"] == "ok"
        (folder / MODEL_FILE).write_bytes(b"not a model")
        assert until(lambda: httpx2.get(live.url + "/info").json()["reload"]["state"] == "failed")
        assert version() == "2"
        assert str(folder) in httpx2.get(live.url + "/info").json()["reload"]["error"]
        metrics = httpx2.get(live.url + "/metrics").text
        assert "predictor_last_reload_ok 0.0" in metrics
        assert 'predictor_reloads_total{result="failed"} 1.0' in metrics
        assert 'version="1"' not in metrics
        live.wait_printed("reload_failed")


def test_a_folder_that_cannot_be_read_for_a_while_is_a_failed_reload(tmp_path: Path) -> None:
    """It is recorded, the old predictor goes on, and the watch and SIGHUP still work once the folder is back."""
    folder = graphs.artifact(tmp_path / "tiny")
    with running(folder, PEEPHOLE_RELOAD_SECONDS="0.2") as live:

        def reload() -> dict:
            return httpx2.get(live.url + "/info").json()["reload"]

        def version() -> str:
            return httpx2.post(live.url + "/predict", json=BODY).json()["model"]["version"]

        folder.rename(tmp_path / "away")
        points_nowhere(folder)
        assert until(lambda: reload()["state"] == "failed")
        assert str(folder) in reload()["error"]
        assert "predictor_last_reload_ok 0.0" in httpx2.get(live.url + "/metrics").text
        assert version() == "1"
        folder.unlink()
        (tmp_path / "away").rename(folder)
        assert until(lambda: reload()["state"] == "ok")
        replace(folder, version="2", model=graphs.graph(bias=0.5))
        assert until(lambda: version() == "2")
        live.wait_printed("reload_failed")


def fails_unforeseen(*_: object) -> None:
    raise IndexError("list index out of range")


def test_who_has_no_descriptor_to_look_with_has_seen_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(models=[tmp_path], shipped=False)

    async def look() -> object:
        return await Reloader(settings, Metrics(), pytest.fail, pytest.fail).look()

    seen = asyncio.run(look())
    assert seen == signature(settings)

    def iterdir(_: Path) -> object:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert asyncio.run(look()) is None


def test_an_unforeseen_error_is_a_failed_reload_too(
    serve: Serve, tiny: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever it was, it is recorded and the watch goes on."""
    folder = graphs.artifact(tmp_path / "own")
    client = serve(models=(folder,), reload_seconds=0.05)

    def reload() -> dict:
        return client.get("/info").json()["reload"]

    with monkeypatch.context() as broken:
        broken.setattr("service.service.load", fails_unforeseen)
        replace(folder, version="2")
        assert until(lambda: reload()["state"] == "failed")
    assert "IndexError" in reload()["error"]
    replace(folder, version="3")
    assert until(lambda: reload()["state"] == "ok")


def test_an_unforeseen_error_at_the_start_is_a_failure(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a service that says for ever that it loads."""
    monkeypatch.setattr("service.service.load", fails_unforeseen)
    client = serve(wait=False)
    assert until(lambda: client.get("/livez").status_code == 503)
    assert "IndexError" in client.get("/readyz").text


@pytest.mark.parametrize("name", FILES)
def test_each_file_of_an_artifact_is_watched(tmp_path: Path, name: str) -> None:
    """In the folder named and in folders inside it, by size or by time."""
    folder = graphs.artifact(tmp_path / "zoo" / "one")
    for root in (folder, folder.parent):
        before = signature(Settings(models=(root,)))
        with (folder / name).open("ab") as file:
            file.write(b" ")
        assert signature(Settings(models=(root,))) != before


def test_sighup_reloads(tmp_path: Path) -> None:
    """With polling off, SIGHUP takes up a changed artifact."""
    folder = graphs.artifact(tmp_path / "tiny")
    with running(folder, PEEPHOLE_RELOAD_SECONDS="0") as live:
        replace(folder, version="2")
        live.signal(signal.SIGHUP)
        assert until(lambda: httpx2.post(live.url + "/predict", json=BODY).json()["model"]["version"] == "2")
