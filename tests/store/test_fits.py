"""Background fits in the store, on SQLite and PostgreSQL: who holds one, what becomes of it, what is published."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from model.network.shapes import Shape
from store import (
    CONTEXT,
    Claim,
    ClaimLostError,
    Key,
    NewObservation,
    Store,
    UnknownFitError,
    UnknownTaskError,
    UnknownVersionError,
)
from store.fits import KEPT_FITS, KEPT_VERSIONS, LEASE_SECONDS, MOST_ATTEMPTS
from tests.store.conftest import OpenStore
from tests.store.test_store import IMAGE, LEAVES, measured

BARK = Key("ann", "bark")


class Clock:
    """A clock that a test puts forward."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(open_store: OpenStore, clock: Clock) -> Store:
    """A store with two tasks."""
    found = open_store(clock=clock)
    for key in (LEAVES, BARK):
        found.put(key, IMAGE, None, "auto")
    return found


def claimed(store: Store) -> Claim:
    claim = store.fits.claim()
    assert claim is not None
    return claim


def publish(store: Store, name: str, key: Key = LEAVES) -> None:
    """Carry out a fit that publishes a version."""
    store.fits.enqueue(key)
    store.fits.publish(claimed(store), name, name.encode(), "0" * 64, {"name": name})


def test_a_fit_goes_from_the_queue_to_its_result(store: Store, clock: Clock) -> None:
    """Its progress and its log can be read at any time; by its own task alone."""
    queued, is_new = store.fits.enqueue(LEAVES)
    assert (queued.state, queued.progress, queued.log, is_new) == ("queued", 0.0, (), True)
    claim = claimed(store)
    assert (claim.fit, claim.key, claim.task.image) == (queued.id, LEAVES, IMAGE)
    clock.pass_by(5)
    store.fits.report(claim, progress=0.5, line="fold 1")
    running = store.fits.find(LEAVES, queued.id)
    assert (running.state, running.progress, running.started_at) == ("running", 0.5, "2026-01-01T00:00:00Z")
    assert running.log == ("2026-01-01T00:00:00Z taken up", "2026-01-01T00:00:05Z fold 1")
    store.fits.finish(claim, {"tau": 0.5})
    done = store.fits.find(LEAVES, queued.id)
    assert (done.state, done.result, done.finished_at) == ("done", {"tau": 0.5}, "2026-01-01T00:00:05Z")
    for key, fit in ((LEAVES, queued.id + 1), (BARK, queued.id)):
        with pytest.raises(UnknownFitError):
            store.fits.find(key, fit)
    with pytest.raises(UnknownTaskError):
        store.fits.enqueue(Key("bob", "leaves"))


def test_a_fit_that_waits_is_not_queued_twice(store: Store) -> None:
    """It will read what is stored by then; behind one that runs another may wait. A repeated request finds its own."""
    first, _ = store.fits.enqueue(LEAVES, "a")
    assert store.fits.enqueue(LEAVES, "b") == (first, False)
    claim = claimed(store)
    assert store.fits.enqueue(LEAVES, "a")[0].id == first.id
    second, is_new = store.fits.enqueue(LEAVES, "c")
    assert (second.id != first.id, is_new) == (True, True)
    assert store.fits.enqueue(LEAVES, "a")[0].id == first.id
    assert store.fits.claim() is None, "of a task one at a time"
    store.fits.finish(claim, {})
    assert claimed(store).fit == second.id


def test_workers_take_up_each_fit_once(open_store: OpenStore) -> None:
    """Several processes at once; fits of different tasks run side by side."""
    stores = [open_store() for _ in range(3)]
    keys = [Key("ann", f"task-{number}") for number in range(9)]
    for key in keys:
        stores[0].put(key, IMAGE, None, None)
        stores[0].fits.enqueue(key)
    with ThreadPoolExecutor(3) as threads:
        claims = list(threads.map(lambda number: stores[number % 3].fits.claim(), range(12)))
    assert sorted(claim.key.name for claim in claims if claim is not None) == [key.name for key in keys]


def test_what_a_silent_worker_held_is_taken_up_again_and_its_late_work_is_rejected(store: Store, clock: Clock) -> None:
    """A worker that reports keeps its fit."""
    fit = store.fits.enqueue(LEAVES)[0].id
    lost = claimed(store)
    clock.pass_by(LEASE_SECONDS - 1)
    store.fits.report(lost)
    clock.pass_by(LEASE_SECONDS - 1)
    assert store.fits.claim() is None
    clock.pass_by(2)
    taken = claimed(store)
    assert taken.fit == fit
    late: list[Callable[[], Any]] = [
        lambda: store.fits.report(lost, progress=0.9),
        lambda: store.fits.publish(lost, "late", b"late", "0" * 64, {}),
        lambda: store.fits.finish(lost, {}),
        lambda: store.fits.fail(lost, "late"),
        lambda: store.fits.release(lost),
    ]
    for write in late:
        with pytest.raises(ClaimLostError):
            write()
    assert store.versions.list(LEAVES).versions == []
    found = store.fits.find(LEAVES, fit)
    assert (found.state, found.attempts, found.progress) == ("running", 2, 0.0)
    store.fits.publish(taken, "one", b"one", "0" * 64, {})
    assert store.versions.list(LEAVES).served == "one"


def test_a_fit_that_ends_its_workers_has_failed_in_the_end(store: Store, clock: Clock) -> None:
    """And holds up no other; one that is given back does not count."""
    fit = store.fits.enqueue(LEAVES)[0].id
    store.fits.enqueue(BARK)
    store.fits.release(claimed(store))
    for _ in range(MOST_ATTEMPTS):
        assert claimed(store).fit == fit
        clock.pass_by(LEASE_SECONDS + 1)
    assert claimed(store).key == BARK
    failed = store.fits.find(LEAVES, fit)
    assert failed.state == "failed"
    assert f"{MOST_ATTEMPTS} workers" in str(failed.error)


def test_the_fit_of_a_deleted_task_is_lost(store: Store) -> None:
    store.fits.enqueue(LEAVES)
    claim = claimed(store)
    store.delete(LEAVES)
    with pytest.raises(ClaimLostError):
        store.fits.report(claim)
    store.put(LEAVES, IMAGE, None, None)
    assert store.versions.list(LEAVES).versions == []


def test_the_last_fit_chooses_what_predicts_unless_a_version_is_pinned(store: Store) -> None:
    """A fit that is no better leaves the task to the context; a failed one changes nothing."""
    assert store.versions.served(LEAVES).version == CONTEXT
    publish(store, "one")
    publish(store, "two")
    assert store.versions.served(LEAVES).version == "two"
    store.versions.pin(LEAVES, "one")
    publish(store, "three")
    assert store.versions.served(LEAVES).version == "one"
    assert store.versions.served(LEAVES, "two").version == "two"
    assert store.versions.served(LEAVES, CONTEXT).version == CONTEXT
    listed = store.versions.pin(LEAVES, None)
    assert (listed.served, listed.pinned, [one.version for one in listed.versions]) == (
        "three",
        None,
        ["three", "two", "one"],
    )
    store.fits.enqueue(LEAVES)
    store.fits.fail(claimed(store), "no")
    assert store.versions.served(LEAVES).version == "three"
    store.fits.enqueue(LEAVES)
    store.fits.finish(claimed(store), {})
    summary = store.summary(LEAVES)
    assert (summary.version, summary.versions) == (CONTEXT, ("three", "two", "one"))
    publish(store, "two")
    assert [one.version for one in store.versions.list(LEAVES).versions] == ["two", "three", "one"], "fitted again"
    for call in (store.versions.pin, store.versions.served):
        with pytest.raises(UnknownVersionError):
            call(LEAVES, "four")


def test_an_artifact_comes_back_as_it_was_stored(store: Store) -> None:
    content = bytes(range(256)) * 4096
    store.fits.enqueue(LEAVES)
    store.fits.publish(claimed(store), "one", content, "f" * 64, {"tau": 0.5})
    task = store.versions.served(LEAVES).id
    assert store.versions.artifact(task, "one") == (content, "f" * 64)
    with pytest.raises(UnknownVersionError):
        store.versions.artifact(task, "two")


def test_old_versions_and_fits_are_forgotten_but_not_the_pinned_one(store: Store) -> None:
    publish(store, "first")
    store.versions.pin(LEAVES, "first")
    for number in range(KEPT_FITS + 1):
        publish(store, f"v{number}")
    kept = [one.version for one in store.versions.list(LEAVES).versions]
    assert kept == [f"v{number}" for number in range(KEPT_FITS, KEPT_FITS - KEPT_VERSIONS, -1)] + ["first"]
    with pytest.raises(UnknownFitError):
        store.fits.find(LEAVES, 1)
    assert store.fits.find(LEAVES, KEPT_FITS + 2).state == "done"


def test_new_networks_queue_a_fit_when_the_policy_says_so(open_store: OpenStore) -> None:
    """After every so many, 20 at least; not for repeated observations or seeds, nor while one waits."""
    store = open_store(fit_every=3)
    store.put(LEAVES, IMAGE, None, None)

    def add(*numbers: int, **fields: Any) -> bool:
        """Add networks; return whether a fit was queued."""
        new: list[NewObservation] = [measured(number, **fields) for number in numbers]
        store.add(LEAVES, new, IMAGE)
        return store.figures().jobs.get("queued", 0) > 0

    assert not add(*range(19))
    assert not add(*range(19), seed=1)
    assert add(19)
    store.fits.finish(claimed(store), {})
    assert not add(19, 20, 21)
    assert add(22, 23)
    assert add(24, 25, 26, 27)
    store.fits.finish(claimed(store), {})
    assert store.fits.claim() is None
    wide = Shape(3, 32, 64)
    store.put(BARK, wide, None, None)
    store.add(BARK, [measured(number) for number in range(30)], wide)
    assert store.fits.claim() is None, "predictors are fitted to square images"


def test_figures_say_how_the_store_stands(store: Store, clock: Clock) -> None:
    """Of all owners; the age is that of the oldest fit of a state."""
    store.add(LEAVES, [measured(1), measured(1, seed=1)], IMAGE)
    publish(store, "one")
    store.fits.enqueue(LEAVES)
    clock.pass_by(10)
    store.fits.enqueue(BARK)
    clock.pass_by(20)
    claimed(store)
    clock.pass_by(5)
    figures = store.figures()
    assert figures.observations == {LEAVES: 2, BARK: 0}
    assert figures.jobs == {"done": 1, "running": 1, "queued": 1}
    assert figures.oldest == {"running": 5.0, "queued": 25.0}
    assert figures.fitted_at == {LEAVES: datetime(2026, 1, 1, tzinfo=UTC).timestamp()}


def test_a_database_of_the_version_before_is_brought_up_to_date(tmp_path: Any) -> None:
    """What it holds stays."""
    from alembic import command
    from alembic.config import Config

    old = Store("", tmp_path, max_tasks=9, max_observations=9)
    old.put(LEAVES, IMAGE, None, None)
    old.add(LEAVES, [measured(1)], IMAGE)
    config = Config()
    config.set_main_option("script_location", "store:migrations")
    with old._database.begin(write=True) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
    old.close()
    new = Store("", tmp_path, max_tasks=9, max_observations=9)
    assert new.summary(LEAVES).observations == 1
    assert new.fits.enqueue(LEAVES)[1]
    new.close()
