"""The stored tasks: what can be done with them. Each method is one transaction, committed when it returns."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import from_json
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from model.network.schema import Layer, Layers
from model.network.shapes import Shape
from store.database import Database, read_url
from store.figures import read_figures
from store.fits import Fits, is_due, queue_fit
from store.records import (
    Added,
    Context,
    Figures,
    IdempotencyKey,
    Key,
    KeyReusedError,
    NewObservation,
    Observation,
    Page,
    QuotaError,
    StoredTask,
    Summary,
    TaskConflictError,
    UnknownTaskError,
)
from store.rows import count_networks, find, json_text, served, time_text, to_task
from store.tables import idempotency_keys, observations, tasks
from store.versions import TaskVersions, names

CONNECTIONS = 4
KEY_HOURS = 24  # that an idempotency key is remembered
_LISTS: TypeAdapter[list[list[Layer]]] = TypeAdapter(list[Layers])


class Store:
    """Owners' tasks in a database; opened when it is first needed. Raises `StoreUnavailableError` when it is not there.

    Args:
        url: of the database; empty for SQLite in `folder`.
        folder: of SQLite's file.
        max_tasks: of an owner.
        max_observations: of an owner, all tasks together.
        fit_every: so many new networks queue a fit of their task; 0: none.
        clock: UTC now.

    Attributes:
        fits: background fits of the tasks.
        versions: what the fits published.

    Raises:
        DatabaseUrlError: for a URL that cannot be used.
    """

    def __init__(
        self,
        url: str,
        folder: Path,
        *,
        max_tasks: int,
        max_observations: int,
        fit_every: int = 0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = Database(read_url(url, folder), connections=CONNECTIONS)
        self._max_tasks = max_tasks
        self._max_observations = max_observations
        self._fit_every = fit_every
        self._clock = clock
        self.fits = Fits(self._database, clock)
        self.versions = TaskVersions(self._database)

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def put(self, key: Key, image: Shape, description: str | None, prior: str | None) -> tuple[Summary, bool]:
        """Create a task, or change its description and prior; return it and whether it is new.

        Raises:
            TaskConflictError: when it is there with another input.
            QuotaError: when the owner has no room for one more.
        """
        with self._database.begin(write=True) as connection:
            self._database.lock(connection, key.owner)
            values = {"description": description, "prior": prior}
            try:
                row = find(connection, key)
            except UnknownTaskError:
                row = None
            if row is not None and to_task(row).image != image:
                raise TaskConflictError
            if row is not None:
                connection.execute(update(tasks).where(tasks.c.id == row.id).values(**values))
            else:
                count = select(func.count()).select_from(tasks).where(tasks.c.owner == key.owner)
                if connection.execute(count).scalar_one() >= self._max_tasks:
                    raise QuotaError(f"{self._max_tasks} tasks are stored, as many as may be")
                values |= {"input": json_text([image.channels, image.height, image.width]), "created_at": self._now()}
                connection.execute(insert(tasks).values(owner=key.owner, name=key.name, **values))
            return _summary(connection, find(connection, key)), row is None

    def tasks(self, owner: str) -> list[StoredTask]:
        """Return an owner's tasks by name."""
        if self._database.is_new:
            return []
        with self._database.begin() as connection:
            mine = select(tasks).where(tasks.c.owner == owner).order_by(tasks.c.name)
            return [to_task(row) for row in connection.execute(mine)]

    def summary(self, key: Key) -> Summary:
        """Return a task and what it holds.

        Raises:
            UnknownTaskError: when there is none.
        """
        self._check(key)
        with self._database.begin() as connection:
            return _summary(connection, find(connection, key))

    def image(self, key: Key) -> Shape:
        """Return what a task's networks read.

        Raises:
            UnknownTaskError: when there is none.
        """
        self._check(key)
        with self._database.begin() as connection:
            return to_task(find(connection, key)).image

    def delete(self, key: Key) -> None:
        """Remove a task and its observations.

        Raises:
            UnknownTaskError: when there is none.
        """
        self._check(key)
        with self._database.begin(write=True) as connection:
            self._database.lock(connection, key.owner)
            connection.execute(delete(tasks).where(tasks.c.id == find(connection, key).id))

    def add(self, key: Key, new: Sequence[NewObservation], image: Shape, once: IdempotencyKey | None = None) -> Added:
        """Add observations, all or none; of the same network and seed the first is kept.

        Args:
            key: of the task.
            new: what was measured.
            image: that the networks were checked and hashed for.
            once: of the request; if it was carried out before, what it returned is returned again.

        Raises:
            UnknownTaskError: when there is no such task.
            TaskConflictError: when its input is not `image`: it was created anew.
            KeyReusedError: when `once` belongs to another request.
            QuotaError: when the owner has no room for them.
        """
        self._check(key)
        with self._database.begin(write=True) as connection:
            self._database.lock(connection, key.owner)
            row = find(connection, key)
            if to_task(row).image != image:
                raise TaskConflictError
            if once is not None and (done := self._done(connection, key.owner, once)) is not None:
                return done
            fresh = _without_known(connection, row.id, new)
            if fresh:
                self._check_room(connection, key.owner, len(fresh))
                now = self._now()
                connection.execute(insert(observations), [_values(one, row.id, now) for one in fresh])
            added = Added(len(fresh), len(new) - len(fresh), count_networks(connection, row.id))
            can_be_fitted = bool(fresh) and self._fit_every > 0 and image.height == image.width
            if can_be_fitted and is_due(connection, row.id, added.networks, self._fit_every):
                queue_fit(connection, row.id, added.networks, self._now())
            if once is not None:
                remembered: dict[str, Any] = {
                    "added": added.added,
                    "repeated": added.repeated,
                    "networks": added.networks,
                }
                remembered |= {"key": once.key, "digest": once.digest, "created_at": self._now()}
                connection.execute(insert(idempotency_keys).values(owner=key.owner, task_id=row.id, **remembered))
            return added

    def page(self, key: Key, *, after: int = 0, limit: int) -> Page:
        """Return up to `limit` observations in the order in which they were added, from behind a page's cursor.

        Raises:
            UnknownTaskError: when there is no such task.
        """
        self._check(key)
        with self._database.begin() as connection:
            mine = (observations.c.task_id == find(connection, key).id) & (observations.c.id > after)
            found = select(observations).where(mine).order_by(observations.c.id).limit(limit + 1)
            rows = connection.execute(found).all()
        more = len(rows) > limit
        return Page(_observations(rows[:limit]), rows[limit - 1].id if more else None)

    def context(self, key: Key, *, limit: int) -> Context:
        """Return the newest observations of a task, oldest first.

        Raises:
            UnknownTaskError: when there is no such task.
        """
        self._check(key)
        with self._database.begin() as connection:
            task = find(connection, key)
            mine = observations.c.task_id == task.id
            newest = select(observations).where(mine).order_by(observations.c.id.desc()).limit(limit)
            rows = connection.execute(newest).all()[::-1]
            networks = count_networks(connection, task.id)
        return Context(to_task(task), _observations(rows), networks, (task.id, rows[-1].id if rows else 0))

    def figures(self) -> Figures:
        """Return what the metrics say of the store."""
        return read_figures(self._database, self._clock)

    def _check(self, key: Key) -> None:
        """Raise `UnknownTaskError` while nothing was ever stored: reading makes no file."""
        if self._database.is_new:
            raise UnknownTaskError(key.name)

    def _now(self) -> str:
        return time_text(self._clock())

    def _done(self, connection: Connection, owner: str, once: IdempotencyKey) -> Added | None:
        """Return what a request returned when it was first sent; forget old ones."""
        table, mine = idempotency_keys, idempotency_keys.c.owner == owner
        oldest = time_text(self._clock() - timedelta(hours=KEY_HOURS))
        connection.execute(delete(table).where(mine & (table.c.created_at < oldest)))
        row = connection.execute(select(table).where(mine & (table.c.key == once.key))).one_or_none()
        if row is None:
            return None
        if row.digest != once.digest:
            raise KeyReusedError
        return Added(row.added, row.repeated, row.networks)

    def _check_room(self, connection: Connection, owner: str, more: int) -> None:
        counted = select(func.count()).select_from(observations.join(tasks)).where(tasks.c.owner == owner)
        stored = connection.execute(counted).scalar_one()
        if stored + more > self._max_observations:
            raise QuotaError(f"{stored} observations are stored, and {more} more are over {self._max_observations}")


def _summary(connection: Connection, task: Row[Any]) -> Summary:
    mine = observations.c.task_id == task.id
    count = connection.execute(select(func.count()).select_from(observations).where(mine)).scalar_one()
    order = observations.c.final_accuracy.desc(), observations.c.id
    best = connection.execute(select(observations).where(mine).order_by(*order).limit(1)).all()
    return Summary(
        to_task(task),
        count_networks(connection, task.id),
        count,
        next(iter(_observations(best)), None),
        served(task),
        names(connection, task.id),
    )


def _without_known(connection: Connection, task: int, new: Sequence[NewObservation]) -> list[NewObservation]:
    """Return the observations whose network and seed are not stored, the first of equals only."""
    table = observations
    hashes = {one.network for one in new}
    known = select(table.c.network, table.c.seed).where((table.c.task_id == task) & table.c.network.in_(hashes))
    seen = {(row.network, row.seed) for row in connection.execute(known)}
    fresh = []
    for one in new:
        if (one.network, one.seed) not in seen:
            seen.add((one.network, one.seed))
            fresh.append(one)
    return fresh


def _values(one: NewObservation, task: int, now: str) -> dict[str, Any]:
    return {
        "task_id": task,
        "network": one.network,
        "seed": one.seed,
        "client_id": one.id,
        "layers": json_text(one.layers),
        "accuracy": json_text(one.accuracy),
        "final_accuracy": one.final_accuracy,
        "proxies": None if one.proxies is None else json_text(one.proxies),
        "added_at": now,
    }


def _observations(rows: Sequence[Row[Any]]) -> list[Observation]:
    layers = _LISTS.validate_json("[" + ",".join(row.layers for row in rows) + "]")  # as requests are read: fast
    return [
        Observation(
            row.client_id,
            row.network,
            row.seed,
            one,
            from_json(row.accuracy),
            None if row.proxies is None else from_json(row.proxies),
            row.added_at,
        )
        for row, one in zip(rows, layers, strict=True)
    ]
