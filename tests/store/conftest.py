"""Stores on both databases."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from store import Store
from tests.store import postgres

OpenStore = Callable[..., Store]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.server() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database: each test runs on both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/a folder/tasks #1.db"
    server: postgres.Postgres = request.getfixturevalue("postgres_server")
    return server.new_database()


@pytest.fixture
def open_store(database_url: str, tmp_path: Path) -> Iterator[OpenStore]:
    """Open stores on the database, as processes do; closed at the end."""
    opened = []

    def opening(**options: Any) -> Store:
        opened.append(Store(database_url, tmp_path, **{"max_tasks": 100, "max_observations": 1000} | options))
        return opened[-1]

    yield opening
    for one in opened:
        one.close()
