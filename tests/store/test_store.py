"""Stored tasks on SQLite and PostgreSQL: what is kept, whose it is, how much there may be, when it is not there."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, inspect

from model.network.shapes import Shape
from store import (
    Added,
    DatabaseUrlError,
    IdempotencyKey,
    Key,
    KeyReusedError,
    NewObservation,
    QuotaError,
    Store,
    StoreUnavailableError,
    TaskConflictError,
    UnknownTaskError,
)
from store.database import BUSY_SECONDS, _set_write_ahead
from store.tables import metadata
from tests.store.conftest import OpenStore

IMAGE = Shape(3, 32, 32)
LEAVES = Key("ann", "leaves")
LAYERS: Any = [{"type": "conv", "kernel_size": (3, 5), "out_channels": 8}, {"type": "relu", "name": "ä\0"}]


def measured(number: int, accuracy: Any = 0.5, **fields: Any) -> NewObservation:
    """Return an observation of a network that `number` tells from others."""
    return NewObservation(f"{number:016x}", LAYERS, accuracy, **fields)


def test_what_was_added_comes_back_in_order_page_by_page(open_store: OpenStore) -> None:
    """With every field as it was, and layers in the form in which predictors read them."""
    store = open_store()
    store.put(LEAVES, IMAGE, "Blätter", "auto")
    first = measured(1, [0.1, 0.25], seed=2**63 - 1, id="ü", proxies={"naswot": 1.5})
    store.add(LEAVES, [first, *(measured(number) for number in range(2, 6))], IMAGE)
    pages, cursor = [], 0
    while cursor is not None:
        page = store.page(LEAVES, after=cursor, limit=2)
        pages.append(page.observations)
        cursor = page.cursor
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [int(one.network, 16) for page in pages for one in page] == [1, 2, 3, 4, 5]
    found = pages[0][0]
    assert (found.id, found.seed, found.accuracy, found.proxies) == ("ü", 2**63 - 1, [0.1, 0.25], {"naswot": 1.5})
    assert found.layers == LAYERS
    assert isinstance(found.layers[0]["kernel_size"], tuple)  # type: ignore[typeddict-item]


def test_of_the_same_network_and_seed_the_first_value_is_kept(open_store: OpenStore) -> None:
    """Within a request and between two; another seed is another observation of the same network."""
    store = open_store()
    store.put(LEAVES, IMAGE, None, "auto")
    assert store.add(LEAVES, [measured(1, 0.4), measured(1, 0.9), measured(1, 0.6, seed=1)], IMAGE) == Added(2, 1, 1)
    assert store.add(LEAVES, [measured(1, 0.9), measured(2, 0.6)], IMAGE) == Added(1, 1, 2)
    assert [one.accuracy for one in store.page(LEAVES, limit=9).observations] == [0.4, 0.6, 0.6]
    summary = store.summary(LEAVES)
    assert (summary.networks, summary.observations) == (2, 3)
    assert summary.best is not None
    assert (summary.best.accuracy, summary.best.seed) == (0.6, 1), "the first of equals"


def test_a_task_is_changed_but_for_its_input(open_store: OpenStore) -> None:
    store = open_store()
    assert store.put(LEAVES, IMAGE, "one", "auto")[1]
    changed, is_new = store.put(LEAVES, IMAGE, "two", None)
    assert (changed.task.description, changed.task.prior, is_new) == ("two", None, False)
    with pytest.raises(TaskConflictError):
        store.put(LEAVES, Shape(1, 32, 32), None, None)
    assert store.summary(LEAVES) == changed


def test_tasks_belong_to_owners(open_store: OpenStore) -> None:
    """Two may have a task of one name; what one does to it leaves the other's as it is."""
    store, other = open_store(), Key("bob", "leaves")
    store.put(LEAVES, IMAGE, None, None)
    for call in (store.summary, store.delete, store.image):
        with pytest.raises(UnknownTaskError):
            call(other)
    store.put(other, Shape(1, 8, 8), None, None)
    store.add(LEAVES, [measured(1)], IMAGE)
    assert store.summary(other).observations == 0
    store.delete(other)
    assert store.summary(LEAVES).observations == 1
    assert [task.name for task in store.tasks("ann")] == ["leaves"]
    assert store.tasks("bob") == []


def test_a_repeated_request_gets_its_first_answer(open_store: OpenStore) -> None:
    """For a day; its key is of no use for another request, nor for another owner."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    store = open_store(clock=lambda: now)
    store.put(LEAVES, IMAGE, None, None)
    once = IdempotencyKey("k", "digest")
    assert store.add(LEAVES, [measured(1)], IMAGE, once) == Added(1, 0, 1)
    store.add(LEAVES, [measured(2)], IMAGE)
    assert store.add(LEAVES, [measured(1)], IMAGE, once) == Added(1, 0, 1)
    with pytest.raises(KeyReusedError):
        store.add(LEAVES, [measured(3)], IMAGE, IdempotencyKey("k", "another"))
    assert store.summary(LEAVES).networks == 2
    now += timedelta(hours=25)
    assert store.add(LEAVES, [measured(1)], IMAGE, once) == Added(0, 1, 2)


def test_a_task_made_anew_forgets_the_keys_of_the_old_one(open_store: OpenStore) -> None:
    store, once = open_store(), IdempotencyKey("k", "digest")
    store.put(LEAVES, IMAGE, None, None)
    store.add(LEAVES, [measured(1)], IMAGE, once)
    before = store.context(LEAVES, limit=9).version
    store.delete(LEAVES)
    store.put(LEAVES, IMAGE, None, None)
    assert store.add(LEAVES, [measured(1)], IMAGE, once) == Added(1, 0, 1)
    assert store.context(LEAVES, limit=9).version != before


def test_quotas_count_all_tasks_of_an_owner(open_store: OpenStore) -> None:
    """What is over is rejected whole; repeated observations need no room; others' tasks do not count."""
    store, second = open_store(max_tasks=2, max_observations=3), Key("ann", "bark")
    for key in (LEAVES, second):
        store.put(key, IMAGE, None, None)
    with pytest.raises(QuotaError, match="2 tasks"):
        store.put(Key("ann", "roots"), IMAGE, None, None)
    store.put(LEAVES, IMAGE, "changed", None)
    store.put(Key("bob", "roots"), IMAGE, None, None)
    store.add(LEAVES, [measured(1), measured(2)], IMAGE)
    with pytest.raises(QuotaError, match="2 observations"):
        store.add(second, [measured(1), measured(2)], IMAGE)
    assert store.summary(second).observations == 0
    assert store.add(second, [measured(1)], IMAGE).added == 1
    assert store.add(LEAVES, [measured(1)], IMAGE).repeated == 1
    store.delete(second)
    assert store.add(LEAVES, [measured(3)], IMAGE).added == 1


def test_the_context_is_the_newest_oldest_first(open_store: OpenStore) -> None:
    """Its version changes with each addition, and with nothing else."""
    store = open_store()
    store.put(LEAVES, IMAGE, None, None)
    store.add(LEAVES, [measured(number) for number in range(5)], IMAGE)
    context = store.context(LEAVES, limit=3)
    assert [int(one.network, 16) for one in context.observations] == [2, 3, 4]
    assert (context.networks, context.task.image) == (5, IMAGE)
    store.add(LEAVES, [measured(1)], IMAGE)
    assert store.context(LEAVES, limit=3).version == context.version
    store.add(LEAVES, [measured(9)], IMAGE)
    assert store.context(LEAVES, limit=3).version != context.version


def test_two_processes_open_a_new_database_at_once_and_share_it(open_store: OpenStore) -> None:
    """Each migrates or waits; writers of one owner never lose or double a row, nor pass the quota."""
    stores = [open_store(max_observations=25) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        new = list(threads.map(lambda store: store.put(LEAVES, IMAGE, None, None)[1], stores))
        assert sorted(new) == [False, False, True]

        def write(number: int) -> int:
            try:
                return stores[number % 3].add(LEAVES, [measured(number // 2)], IMAGE).added
            except QuotaError:
                return 0

        added = sum(threads.map(write, range(60)))
    assert added == stores[0].summary(LEAVES).observations == stores[1].summary(LEAVES).networks == 25


def test_connections_that_open_a_new_file_at_once_wait_for_each_other(tmp_path: Path) -> None:
    """SQLite itself turns one of them away at once, in about one of a hundred files."""

    def opening(file: Path) -> None:
        _set_write_ahead(file)
        with closing(sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("CREATE TABLE IF NOT EXISTS leaves (name)")
            connection.execute("COMMIT")

    with ThreadPoolExecutor(4) as threads:
        for number in range(200):
            list(threads.map(opening, [tmp_path / f"{number}.db"] * 4))


def test_the_migrations_make_the_tables_of_the_code(open_store: OpenStore) -> None:
    """Compared by Alembic, which finds no difference; names of others' tables are left alone."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    store = open_store()
    store.put(LEAVES, IMAGE, None, None)
    with store._database.begin() as connection:
        options = {"compare_type": True, "version_table": "peephole_alembic_version"}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
        assert all(name.startswith("peephole_") for name in inspect(connection).get_table_names())


def test_reading_makes_no_file(tmp_path: Path) -> None:
    store = Store("", tmp_path / "state", max_tasks=1, max_observations=1)
    assert store.tasks("ann") == []
    with pytest.raises(UnknownTaskError):
        store.page(LEAVES, limit=1)
    assert not list(tmp_path.iterdir())
    store.put(LEAVES, IMAGE, None, None)
    assert (tmp_path / "state/peephole.db").stat().st_size > 0


def test_a_lost_file_is_not_replaced_by_an_empty_one(tmp_path: Path) -> None:
    """SQLite would go on writing into the removed file; a file that comes back is used again."""
    store = Store("", tmp_path, max_tasks=1, max_observations=9)
    store.put(LEAVES, IMAGE, None, None)
    file, kept = tmp_path / "peephole.db", tmp_path / "kept"
    with sqlite3.connect(file) as backup:
        backup.execute("VACUUM INTO ?", (str(kept),))
    file.unlink()
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            store.add(LEAVES, [measured(1)], IMAGE)
    for old in tmp_path.glob("peephole.db-*"):
        old.unlink()
    kept.rename(file)
    assert store.add(LEAVES, [measured(1)], IMAGE).added == 1


def test_on_a_full_disk_a_request_is_lost_as_a_whole(tmp_path: Path) -> None:
    """And what was stored before can be read."""
    store = Store("", tmp_path, max_tasks=1, max_observations=9999)
    store.put(LEAVES, IMAGE, None, None)
    store.add(LEAVES, [measured(0)], IMAGE)
    engine = store._database._engine
    event.listen(engine, "checkout", lambda connection, *_: connection.execute("PRAGMA max_page_count = 30"))
    with pytest.raises(StoreUnavailableError, match="full"):
        store.add(LEAVES, [measured(number) for number in range(1, 3000)], IMAGE)
    assert store.summary(LEAVES).observations == 1
    assert store.add(LEAVES, [measured(1)], IMAGE).added == 1


def test_tables_of_a_newer_version_are_left_alone(tmp_path: Path) -> None:
    Store("", tmp_path, max_tasks=1, max_observations=9).put(LEAVES, IMAGE, None, None)
    with sqlite3.connect(tmp_path / "peephole.db") as connection:
        connection.execute("UPDATE peephole_alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnavailableError, match="not of this version"):
        Store("", tmp_path, max_tasks=1, max_observations=9).tasks("ann")


@pytest.mark.parametrize(
    "url",
    [
        "mysql://root:secret@h/db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///x.db?mode=ro",
        "secret",
        "postgresql+pg8000://secret@h",
    ],
)
def test_other_databases_are_rejected_without_repeating_the_url(tmp_path: Path, url: str) -> None:
    with pytest.raises(DatabaseUrlError) as caught:
        Store(url, tmp_path, max_tasks=1, max_observations=1)
    assert "secret" not in str(caught.value)
    assert "sqlite:///" in str(caught.value)
