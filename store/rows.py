"""What several parts of the store read: a task by its key, how many networks it has, times and JSON as text."""

from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import Connection, Row, distinct, func, select

from model.network.shapes import Shape
from store.records import CONTEXT, Key, StoredTask, UnknownTaskError
from store.tables import observations, tasks

_TIME = "%Y-%m-%dT%H:%M:%SZ"


def find(connection: Connection, key: Key) -> Row[Any]:
    """Return the row of a task.

    Raises:
        UnknownTaskError: when there is none.
    """
    mine = (tasks.c.owner == key.owner) & (tasks.c.name == key.name)
    row = connection.execute(select(tasks).where(mine)).one_or_none()
    if row is None:
        raise UnknownTaskError(key.name)
    return row


def to_task(row: Row[Any]) -> StoredTask:
    """Return a task from its row."""
    return StoredTask(row.name, Shape(*from_json(row.input)), row.description, row.prior, row.created_at)


def served(row: Row[Any]) -> str:
    """Return the version that predicts a task: the pinned one, else what won the last fit."""
    return str(row.pinned or row.fitted or CONTEXT)


def count_networks(connection: Connection, task: int) -> int:
    """Return how many distinct networks a task has."""
    counted = select(func.count(distinct(observations.c.network))).where(observations.c.task_id == task)
    return int(connection.execute(counted).scalar_one())


def time_text(moment: datetime) -> str:
    """Return a moment in ISO 8601, UTC, to the second; in the order of time."""
    return moment.astimezone(UTC).strftime(_TIME)


def from_time_text(text: str) -> datetime:
    """Return the moment of a time that is stored."""
    return datetime.strptime(text, _TIME).replace(tzinfo=UTC)


def json_text(value: Any) -> str:
    """Return JSON."""
    return to_json(value).decode()
