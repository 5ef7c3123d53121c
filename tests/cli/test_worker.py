"""`peephole worker`: real fits of stored tasks; what is published, what fails, what a killed worker leaves behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import update

from model.artifact import digest, unpack_artifact
from model.network.schema import LAYERS
from model.network.shapes import Shape
from model.requests.in_context import InContext
from model.runtime import Predictor
from service.inference.warmup import check_predictor
from store import CONTEXT, Key, NewObservation, Store
from store.tables import fits
from tests.service.in_process import serving
from tests.service.live import until
from tests.store import postgres
from training.fitting import compare
from training.observations.read import read

ROOT = Path(__file__).parents[2]
LEAVES, BARK = Key("default", "leaves"), Key("default", "bark")
IMAGE = Shape(3, 16, 16)
SCORES = {row.canonical: row.proxies for row in read(ROOT / "data/cifar10-mini.parquet")}
# The neural process that ships has learned from the networks of these tests: no context builds on it here.
WITHOUT_PROCESS = """
from functools import partial
from training.fitting import compare
compare.InContext = partial(compare.InContext, lambda: None)
from cli import run; run()
"""
WORKER = [sys.executable, "-c", WITHOUT_PROCESS, "worker", "--poll-seconds", "0.1"]


@pytest.fixture(autouse=True)
def _without_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "InContext", partial(InContext, lambda: None))


@pytest.fixture(scope="module")
def trained() -> list[NewObservation]:
    """Networks of cifar10-mini that were really trained."""
    rows = {row.network_id: row for row in read(ROOT / "data/cifar10-mini.parquet") if row.space != "families"}
    chosen = sorted(rows.values(), key=lambda row: row.network_id)
    return [NewObservation(row.canonical, row.layers, row.accuracy) for row in chosen]


@pytest.fixture(scope="module")
def networks(trained: list[NewObservation]) -> list[NewObservation]:
    """A hundred of them."""
    return trained[:100]


@pytest.fixture(scope="module")
def others(trained: list[NewObservation]) -> list[NewObservation]:
    """Sixty more."""
    return trained[100:160]


@pytest.fixture
def env() -> Iterator[dict[str, str]]:
    """The settings of processes that share an empty PostgreSQL."""
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.server() as server:
        yield {"PEEPHOLE_DATABASE_URL": server.new_database()}


@contextmanager
def opened(env: dict[str, str]) -> Iterator[Store]:
    address, folder = env.get("PEEPHOLE_DATABASE_URL", ""), Path(env.get("PEEPHOLE_STATE", ""))
    store = Store(address, folder, max_tasks=9, max_observations=9999)
    try:
        yield store
    finally:
        store.close()


def queue(store: Store, key: Key, new: list[NewObservation], prior: str | None, image: Shape = IMAGE) -> int:
    """Store a task with networks; queue a fit of it and return its id."""
    store.put(key, image, "Photos.", prior)
    store.add(key, new, image)
    return store.fits.enqueue(key)[0].id


@contextmanager
def working(env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker until the block ends, if it does not end before."""
    priors = {"PEEPHOLE_SHIPPED": "false", "PEEPHOLE_MODELS": str(ROOT / "model/zoo/mnist-mini")}
    paths = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'client'}", "OMP_NUM_THREADS": "1"}
    with log.open("ab") as output:
        process = subprocess.Popen(WORKER, cwd=ROOT, env=os.environ | priors | paths | env, stderr=output)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_fit_is_published_only_when_it_predicts_better_than_the_context(peephole, monkeypatch, tmp_path, networks):
    """Without a prior it does; the related prior of another task makes the context the better one. Both figures are
    in the result, and what is published can be loaded and predicts."""
    env = {"PEEPHOLE_STATE": str(tmp_path)}
    monkeypatch.setenv("PEEPHOLE_STATE", str(tmp_path))
    with opened(env) as store:
        alone, related = queue(store, LEAVES, networks, None), queue(store, BARK, networks, "mnist-mini")
        ended = peephole("worker", "--once")
        assert ended.status == 0, ended.err
        found, kept = store.fits.find(LEAVES, alone), store.fits.find(BARK, related)
        assert (found.state, found.progress, kept.state) == ("done", 1.0, "done")
        assert found.result["artifact"]["tau"] > found.result["context"]["tau"] > 0.4
        assert kept.result["context"]["tau"] > kept.result["artifact"]["tau"] == found.result["artifact"]["tau"]
        assert (found.result["published"], found.result["networks"], kept.result["published"]) == (True, 100, False)
        assert [line.split(" ", 1)[1] for line in found.log][:2] == ["taken up", "fold 1 of 5"]
        assert store.versions.served(BARK).version == CONTEXT
        served = store.versions.served(LEAVES)
        assert served.version == found.result["version"]
        packed, sha256 = store.versions.artifact(served.id, served.version)
        assert digest(packed) == sha256
        artifact = unpack_artifact(packed, Path("leaves"))
        assert artifact.card.description == "Photos."
        assert check_predictor(Predictor(artifact)).accuracy.shape == (1, 10)
        assert "not published: no better" in ended.err


def test_a_fit_reads_the_scores_of_its_observations(peephole, monkeypatch, tmp_path, networks, others):
    """The fit reads the zero-cost scores of the networks, and so does the context that it is compared with. What is
    published predicts sixty other networks better with their scores than without."""
    monkeypatch.setenv("PEEPHOLE_STATE", str(tmp_path))
    scored = [replace(one, proxies=SCORES[one.network]) for one in networks]
    with opened({"PEEPHOLE_STATE": str(tmp_path)}) as store:
        plain, most = queue(store, BARK, networks, None), queue(store, LEAVES, scored, None)
        ended = peephole("worker", "--once")
        assert ended.status == 0, ended.err
        without, found = store.fits.find(BARK, plain).result, store.fits.find(LEAVES, most)
    assert any(line.endswith("zero-cost scores of 100 networks") for line in found.log)
    assert found.result["artifact"] != without["artifact"]
    assert found.result["context"]["mae"] < without["context"]["mae"]
    with serving(state=tmp_path, models=(ROOT / "model/zoo/mnist-mini",)) as client:
        plain = [{"layers": LAYERS.dump_python(one.layers, mode="json", exclude_none=True)} for one in others]
        errors = []
        for asked in (plain, [one | {"proxies": SCORES[row.network]} for one, row in zip(plain, others, strict=True)]):
            body = {"task": "leaves", "version": found.result["version"], "architectures": asked}
            predictions = client.post("/predict", json=body).json()["predictions"]
            finals = zip(others, predictions, strict=True)
            errors.append(sum(abs(row.accuracy[-1] - one["final_accuracy"]) for row, one in finals))
    assert errors[1] < errors[0]


def test_a_fit_that_cannot_be_carried_out_says_why_and_the_next_one_goes_on(peephole, monkeypatch, tmp_path, networks):
    env = {"PEEPHOLE_STATE": str(tmp_path)}
    monkeypatch.setenv("PEEPHOLE_STATE", str(tmp_path))
    with opened(env) as store:
        few = queue(store, LEAVES, networks[:19], None)
        wide = queue(store, Key("default", "wide"), networks[:30], None, Shape(3, 16, 32))
        unknown = queue(store, BARK, networks[:20], "no-such-task")
        assert peephole("worker", "--once").status == 0
        errors = [
            store.fits.find(key, fit).error
            for key, fit in ((LEAVES, few), (Key("default", "wide"), wide), (BARK, unknown))
        ]
        assert errors[0] == "19 distinct networks are too few to fit to; 20 is the least"
        assert "square images" in errors[1]
        assert "/prior" in errors[2]


def test_what_a_killed_worker_held_is_carried_out_by_another_and_nothing_half_written_is_served(
    env, tmp_path, networks
):
    """kill -9 in the middle of a fit; a minute passes; a second process takes it up and publishes."""
    with opened(env) as store:
        fit = queue(store, LEAVES, networks, None)
        with working(env, tmp_path / "log") as first:
            until(lambda: len(store.fits.find(LEAVES, fit).log) >= 3, "the fit", 60)
            first.send_signal(signal.SIGKILL)
            first.wait()
        held = store.fits.find(LEAVES, fit)
        assert (held.state, held.attempts) == ("running", 1)
        assert store.summary(LEAVES).versions == ()
        assert store.versions.served(LEAVES).version == CONTEXT
        assert store.fits.claim() is None, "its lease has not ended"
        with store._database.begin(write=True) as connection:
            connection.execute(update(fits).values(lease_until="2026-01-01T00:00:00Z"))
        with working(env, tmp_path / "log"):
            until(lambda: store.fits.find(LEAVES, fit).state == "done", "the fit", 60)
        done = store.fits.find(LEAVES, fit)
        assert done.attempts == 2
        assert any(line.endswith("taken up again: its worker was silent") for line in done.log)
        served = store.versions.served(LEAVES)
        assert served.version == done.result["version"] != CONTEXT
        check_predictor(Predictor(unpack_artifact(store.versions.artifact(served.id, served.version)[0], tmp_path)))


def test_a_worker_that_is_stopped_gives_its_fit_back(tmp_path, networks):
    """At once: no lease has to end, and it is no attempt that failed."""
    env = {"PEEPHOLE_STATE": str(tmp_path / "state")}
    with opened(env) as store:
        fit = queue(store, LEAVES, networks, None)
        with working(env, tmp_path / "log") as process:
            until(lambda: len(store.fits.find(LEAVES, fit).log) >= 3, "the fit", 60)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        found = store.fits.find(LEAVES, fit)
        assert (found.state, found.attempts, found.progress) == ("queued", 0, 0.0)
        assert store.fits.claim() is not None
