"""The tables. `migrations/` makes them; a test compares the two.

Text of any JSON value stands in `Text` columns, as SQLite and PostgreSQL then hold the same bytes. Times are UTC, in
ISO 8601. Names begin with `peephole_`, so that the database may be shared with other programs.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

NAME = 64  # characters of an owner's or a task's name
HASH = 16  # of `model.network.hashing.canonical_hash`

metadata = MetaData()
_Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself in a column of type INTEGER only


def _of_task() -> Column[int]:
    return Column("task_id", _Id, ForeignKey("peephole_tasks.id", ondelete="CASCADE"), nullable=False)


tasks = Table(
    "peephole_tasks",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("owner", String(NAME), nullable=False),
    Column("name", String(NAME), nullable=False),
    Column("input", Text, nullable=False),  # JSON: [channels, height, width]
    Column("description", Text),
    Column("prior", Text),
    Column("created_at", String(32), nullable=False),
    Column("pinned", String(NAME)),  # the version that its owner chose
    Column("fitted", String(NAME)),  # the version that predicted better than the context model in the last fit
    Index("peephole_tasks_by_name", "owner", "name", unique=True),
    sqlite_autoincrement=True,  # ids are never used again
)
observations = Table(
    "peephole_observations",
    metadata,
    Column("id", _Id, primary_key=True),
    _of_task(),
    Column("network", String(HASH), nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("client_id", Text),
    Column("layers", Text, nullable=False),  # JSON
    Column("accuracy", Text, nullable=False),  # JSON: a number, or a list of them
    Column("final_accuracy", Float(53), nullable=False),
    Column("proxies", Text),  # JSON
    Column("added_at", String(32), nullable=False),
    Index("peephole_observations_by_network", "task_id", "network", "seed", unique=True),
    Index("peephole_observations_in_order", "task_id", "id"),
    Index("peephole_observations_by_accuracy", "task_id", "final_accuracy"),
    sqlite_autoincrement=True,
)
idempotency_keys = Table(
    "peephole_idempotency_keys",
    metadata,
    Column("owner", String(NAME), primary_key=True),
    Column("key", String(255), primary_key=True),
    _of_task(),
    Column("digest", String(64), nullable=False),
    Column("added", Integer, nullable=False),
    Column("repeated", Integer, nullable=False),
    Column("networks", Integer, nullable=False),
    Column("created_at", String(32), nullable=False),
)
fits = Table(
    "peephole_fits",
    metadata,
    Column("id", _Id, primary_key=True),
    _of_task(),
    Column("state", String(16), nullable=False),  # queued, running, done or failed
    Column("once", String(255)),  # the idempotency key of the request
    Column("claim", String(64)),  # of the worker that runs it: what it writes under another claim is lost
    Column("lease_until", String(32)),  # when another worker may take it up
    Column("attempts", Integer, nullable=False),
    Column("progress", Float(53), nullable=False),  # 0 to 1
    Column("log", Text, nullable=False),  # lines
    Column("networks", Integer, nullable=False),  # of the task when the fit was queued
    Column("result", Text),  # JSON
    Column("error", Text),
    Column("created_at", String(32), nullable=False),
    Column("started_at", String(32)),
    Column("finished_at", String(32)),
    Index("peephole_fits_by_state", "state", "id"),
    Index("peephole_fits_by_task", "task_id", "id"),
    sqlite_autoincrement=True,
)
versions = Table(
    "peephole_versions",
    metadata,
    Column("id", _Id, primary_key=True),
    _of_task(),
    Column("version", String(NAME), nullable=False),
    Column("sha256", String(64), nullable=False),  # of the artifact
    Column("artifact", LargeBinary, nullable=False),
    Column("result", Text, nullable=False),  # JSON: of the fit
    Column("created_at", String(32), nullable=False),
    Index("peephole_versions_by_name", "task_id", "version", unique=True),
    sqlite_autoincrement=True,
)
