"""Background fits: a queue in the database. Each method is one transaction.

A worker holds a fit by a claim with a lease. What it does not renew in time is taken up by another worker, and what the
first one writes afterwards is rejected.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from pydantic_core import from_json
from sqlalchemy import Connection, Row, delete, exists, insert, or_, select, update

from model.network.schema import MIN_FIT
from store.database import Database
from store.records import Claim, ClaimLostError, FitJob, Key, UnknownFitError, UnknownTaskError
from store.rows import count_networks, find, json_text, time_text, to_task
from store.tables import fits, tasks, versions

LEASE_SECONDS = 60.0
MOST_ATTEMPTS = 3  # then a fit has failed: it may be what ends the workers
KEPT_FITS = 20  # finished ones of a task
KEPT_VERSIONS = 10  # of a task; those that are pinned or served stay as well


class Fits:
    """The fits of all tasks."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def enqueue(self, key: Key, once: str | None = None) -> tuple[FitJob, bool]:
        """Queue a fit of a task, unless one waits already; return it and whether it is new.

        Args:
            key: of the task.
            once: idempotency key of the request: a fit that it queued before is returned.

        Raises:
            UnknownTaskError: when there is no such task.
        """
        self._check(key)
        with self._database.begin(write=True) as connection:
            self._database.lock(connection, key.owner)
            task = find(connection, key).id
            of_task = select(fits).where(fits.c.task_id == task)
            for same in ([] if once is None else [fits.c.once == once]) + [fits.c.state == "queued"]:
                if (row := connection.execute(of_task.where(same)).first()) is not None:
                    return _job(row), False
            new = queue_fit(connection, task, count_networks(connection, task), self._now(), once)
            return _job(_row(connection, task, new)), True

    def find(self, key: Key, fit: int) -> FitJob:
        """Return a fit of a task.

        Raises:
            UnknownTaskError: when there is no such task.
            UnknownFitError: when it has no such fit.
        """
        self._check(key)
        with self._database.begin() as connection:
            return _job(_row(connection, find(connection, key).id, fit))

    def list(self, key: Key) -> tuple[FitJob, ...]:
        """Return the fits of a task that are kept, the newest first.

        Raises:
            UnknownTaskError: when there is no such task.
        """
        self._check(key)
        with self._database.begin() as connection:
            mine = fits.c.task_id == find(connection, key).id
            return tuple(map(_job, connection.execute(select(fits).where(mine).order_by(fits.c.id.desc()))))

    def claim(self) -> Claim | None:
        """Take up the oldest fit that waits, or whose worker is silent; of a task one at a time.

        A fit that was taken up `MOST_ATTEMPTS` times has failed.
        """
        if self._database.is_new:
            return None
        with self._database.begin(write=True) as connection:
            now = self._now()
            other = fits.alias()
            alive = (other.c.task_id == fits.c.task_id) & (other.c.state == "running") & (other.c.lease_until >= now)
            waits = (fits.c.state == "queued") & ~exists().where(alive)
            silent = (fits.c.state == "running") & (fits.c.lease_until < now)
            due = select(fits).where(or_(waits, silent)).order_by(fits.c.id).limit(1)
            while (row := connection.execute(due.with_for_update(skip_locked=True)).one_or_none()) is not None:
                if row.attempts < MOST_ATTEMPTS:
                    return self._claimed(connection, row)
                error = f"{row.attempts} workers that took it up ended in the middle; their logs may say why"
                _change(connection, row.id, state="failed", claim=None, error=error, finished_at=now)
        return None

    def report(self, claim: Claim, *, progress: float | None = None, line: str = "") -> None:
        """Say that the worker is alive, and how far it is.

        Args:
            claim: of the worker.
            progress: 0 to 1.
            line: for the log.

        Raises:
            ClaimLostError: when the fit is another's.
        """
        values: dict[str, Any] = {"lease_until": self._lease()}
        values |= {} if progress is None else {"progress": progress}
        values |= {"log": fits.c.log + f"{self._now()} {line}\n"} if line else {}
        with self._database.begin(write=True) as connection:
            self._write(connection, claim, values)

    def release(self, claim: Claim) -> None:
        """Give a fit back, for another worker; it does not count as an attempt.

        Raises:
            ClaimLostError: when the fit is another's.
        """
        values = {"state": "queued", "claim": None, "progress": 0.0, "attempts": fits.c.attempts - 1}
        values["log"] = fits.c.log + f"{self._now()} given back: the worker stops\n"
        with self._database.begin(write=True) as connection:
            self._write(connection, claim, values)

    def fail(self, claim: Claim, error: str) -> None:
        """End a fit that cannot be carried out.

        Raises:
            ClaimLostError: when the fit is another's.
        """
        with self._database.begin(write=True) as connection:
            values = {"state": "failed", "claim": None, "error": error, "finished_at": self._now()}
            self._write(connection, claim, values)
            _prune(connection, claim)

    def finish(self, claim: Claim, result: Mapping[str, Any]) -> None:
        """End a fit that does not predict better than the context model: from now on that predicts the task.

        Raises:
            ClaimLostError: when the fit is another's.
        """
        with self._database.begin(write=True) as connection:
            self._end(connection, claim, result, fitted=None)

    def publish(self, claim: Claim, version: str, artifact: bytes, sha256: str, result: Mapping[str, Any]) -> None:
        """End a fit that predicts better: its artifact predicts the task from now on, unless another is pinned.

        Raises:
            ClaimLostError: when the fit is another's; nothing is published then.
        """
        with self._database.begin(write=True) as connection:
            self._end(connection, claim, result, fitted=version)
            task = _task_of(connection, claim)
            mine = versions.c.task_id == task.id
            connection.execute(delete(versions).where(mine & (versions.c.version == version)))  # equal data, equal fit
            values = {"version": version, "sha256": sha256, "artifact": artifact, "result": json_text(result)}
            connection.execute(insert(versions).values(task_id=task.id, created_at=self._now(), **values))
            newest = select(versions.c.id).where(mine).order_by(versions.c.id.desc()).limit(KEPT_VERSIONS)
            kept = versions.c.id.in_(newest) | (versions.c.version == task.pinned)
            connection.execute(delete(versions).where(mine & ~kept))

    def _end(self, connection: Connection, claim: Claim, result: Mapping[str, Any], *, fitted: str | None) -> None:
        values = {"state": "done", "claim": None, "progress": 1.0, "result": json_text(result)}
        self._write(connection, claim, values | {"finished_at": self._now()})
        connection.execute(update(tasks).where(tasks.c.id == _task_of(connection, claim).id).values(fitted=fitted))
        _prune(connection, claim)

    def _claimed(self, connection: Connection, row: Row[Any]) -> Claim:
        token, line = uuid4().hex, "taken up" if not row.attempts else "taken up again: its worker was silent"
        values = {"claim": token, "lease_until": self._lease(), "attempts": row.attempts + 1, "progress": 0.0}
        values |= {"state": "running", "started_at": self._now(), "log": f"{row.log}{self._now()} {line}\n"}
        _change(connection, row.id, **values)
        task = connection.execute(select(tasks).where(tasks.c.id == row.task_id)).one()
        return Claim(row.id, token, Key(task.owner, task.name), to_task(task))

    def _write(self, connection: Connection, claim: Claim, values: Mapping[str, Any]) -> None:
        mine = (fits.c.id == claim.fit) & (fits.c.claim == claim.token)
        if not connection.execute(update(fits).where(mine).values(**values)).rowcount:
            raise ClaimLostError(f"fit {claim.fit} of {claim.key.name} is no longer this worker's")

    def _check(self, key: Key) -> None:
        if self._database.is_new:
            raise UnknownTaskError(key.name)

    def _now(self) -> str:
        return time_text(self._clock())

    def _lease(self) -> str:
        return time_text(self._clock() + timedelta(seconds=LEASE_SECONDS))


def queue_fit(connection: Connection, task: int, networks: int, now: str, once: str | None = None) -> int:
    """Queue a fit of the task with this id, which has so many networks; return the fit's id."""
    values = {"state": "queued", "once": once, "attempts": 0, "progress": 0.0, "log": "", "networks": networks}
    added = connection.execute(insert(fits).values(task_id=task, created_at=now, **values))
    return int(added.inserted_primary_key[0]) if added.inserted_primary_key else 0


def is_due(connection: Connection, task: int, networks: int, every: int) -> bool:
    """Whether a task has `every` more networks than when its last fit was queued, enough of them, and none waits."""
    if networks < MIN_FIT:
        return False
    last = select(fits.c.networks, fits.c.state).where(fits.c.task_id == task).order_by(fits.c.id.desc()).limit(1)
    row = connection.execute(last).one_or_none()
    return networks >= every if row is None else row.state != "queued" and networks - row.networks >= every


def _row(connection: Connection, task: int, fit: int) -> Row[Any]:
    row = connection.execute(select(fits).where(fits.c.id == fit, fits.c.task_id == task)).one_or_none()
    if row is None:
        raise UnknownFitError(fit)
    return row


def _task_of(connection: Connection, claim: Claim) -> Row[Any]:
    mine = select(fits.c.task_id).where(fits.c.id == claim.fit).scalar_subquery()
    return connection.execute(select(tasks).where(tasks.c.id == mine)).one()


def _change(connection: Connection, fit: int, **values: Any) -> None:
    connection.execute(update(fits).where(fits.c.id == fit).values(**values))


def _prune(connection: Connection, claim: Claim) -> None:
    """Forget old fits of a task that are finished."""
    finished = (fits.c.task_id == _task_of(connection, claim).id) & fits.c.state.in_(("done", "failed"))
    newest = select(fits.c.id).where(finished).order_by(fits.c.id.desc()).limit(KEPT_FITS)
    connection.execute(delete(fits).where(finished & fits.c.id.not_in(newest)))


def _job(row: Row[Any]) -> FitJob:
    return FitJob(
        row.id,
        row.state,
        row.progress,
        tuple(row.log.splitlines()),
        row.attempts,
        None if row.result is None else from_json(row.result),
        row.error,
        row.created_at,
        row.started_at,
        row.finished_at,
    )
