"""Versions of stored tasks: which there are, which predicts, their artifacts. Each method is one transaction."""

from typing import Any

from pydantic_core import from_json
from sqlalchemy import Connection, Row, select, update

from store.database import Database
from store.records import CONTEXT, Key, Served, UnknownTaskError, UnknownVersionError, Version, Versions
from store.rows import find, served, to_task
from store.tables import tasks, versions


class TaskVersions:
    """The versions of all tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, key: Key) -> Versions:
        """Return the versions of a task.

        Raises:
            UnknownTaskError: when there is no such task.
        """
        self._check(key)
        with self._database.begin() as connection:
            return _listed(connection, find(connection, key))

    def pin(self, key: Key, version: str | None) -> Versions:
        """Let a version predict a task until another is pinned; `None`: what won the last fit.

        Raises:
            UnknownTaskError: when there is no such task.
            UnknownVersionError: when it has no such version.
        """
        self._check(key)
        with self._database.begin(write=True) as connection:
            self._database.lock(connection, key.owner)
            task = find(connection, key)
            if version not in (None, CONTEXT):
                _named(connection, task.id, str(version))
            connection.execute(update(tasks).where(tasks.c.id == task.id).values(pinned=version))
            return _listed(connection, find(connection, key))

    def served(self, key: Key, version: str | None = None) -> Served:
        """Return what predicts a task: the version that a request names, else the one that is served.

        Raises:
            UnknownTaskError: when there is no such task.
            UnknownVersionError: when it has no such version.
        """
        self._check(key)
        with self._database.begin() as connection:
            task = find(connection, key)
            if version not in (None, CONTEXT):
                _named(connection, task.id, str(version))
            return Served(task.id, to_task(task), version or served(task))

    def artifact(self, task: int, version: str) -> tuple[bytes, str]:
        """Return the artifact of a version of the task with this id, and its sha256.

        Raises:
            UnknownVersionError: when it is gone.
        """
        with self._database.begin() as connection:
            mine = (versions.c.task_id == task) & (versions.c.version == version)
            row = connection.execute(select(versions.c.artifact, versions.c.sha256).where(mine)).one_or_none()
        if row is None:
            raise UnknownVersionError(version)
        return bytes(row.artifact), row.sha256

    def _check(self, key: Key) -> None:
        if self._database.is_new:
            raise UnknownTaskError(key.name)


def names(connection: Connection, task: int) -> tuple[str, ...]:
    """Return the names of a task's versions, the newest first."""
    found = select(versions.c.version).where(versions.c.task_id == task).order_by(versions.c.id.desc())
    return tuple(connection.execute(found).scalars())


def _named(connection: Connection, task: int, version: str) -> None:
    if version not in names(connection, task):
        raise UnknownVersionError(version)


def _listed(connection: Connection, task: Row[Any]) -> Versions:
    columns = versions.c.version, versions.c.sha256, versions.c.result, versions.c.created_at
    rows = connection.execute(
        select(*columns).where(versions.c.task_id == task.id).order_by(versions.c.id.desc())
    ).all()
    found = [Version(row.version, row.sha256, from_json(row.result), row.created_at) for row in rows]
    return Versions(served(task), task.pinned, found)
