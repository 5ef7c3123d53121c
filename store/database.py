"""A database behind one `begin()`: SQLite in a file or PostgreSQL, opened and migrated when it is first needed."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event, func, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, DisconnectionError, IntegrityError, SQLAlchemyError

FILE = "peephole.db"
BUSY_SECONDS = 10.0  # longest wait for another writer
CONNECT_SECONDS = 5
STATEMENT_SECONDS = 30
MIGRATION_LOCK = 0x7065657068  # of PostgreSQL's advisory locks
FORMS = "must be postgresql://USER:PASSWORD@HOST/DATABASE or sqlite:////PATH/TO/FILE"


class DatabaseUrlError(ValueError):
    """A database URL that cannot be used; the message does not repeat it, as it may hold a password."""


class StoreUnavailableError(Exception):
    """The database cannot be used now: a lost server, a full disk, a folder that cannot be written to."""


def read_url(text: str, folder: Path) -> URL:
    """Return a database's address.

    Args:
        text: `postgresql://...` or `sqlite:///...`; empty for SQLite in `folder`.
        folder: where `peephole.db` is; `~` is the home folder.

    Raises:
        DatabaseUrlError: for another database, SQLite without a file, or PostgreSQL without its driver.
    """
    if not text:
        return URL.create("sqlite", database=str(folder / FILE))
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise DatabaseUrlError(FORMS) from None
    if url.drivername == "sqlite" and url.database not in (None, "", ":memory:") and not url.query:
        return url
    if url.drivername not in {"postgresql", "postgres", "postgresql+psycopg"}:
        raise DatabaseUrlError(FORMS)
    if find_spec("psycopg") is None:
        raise DatabaseUrlError("PostgreSQL needs the package psycopg: install the `postgres` extra")
    return url.set(drivername="postgresql+psycopg")


class Database:
    """One database; safe to use from several threads, and from several processes at once."""

    def __init__(self, url: URL, *, connections: int) -> None:
        self._file = None if url.drivername.startswith("postgresql") else Path(str(url.database))
        self._connections = connections
        self._engine = self._postgresql(url) if self._file is None else self._sqlite(self._file)
        self._opening = Lock()
        self._is_open = False

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever stored: SQLite's file is not there yet."""
        try:
            return not self._is_open and self._file is not None and not self._file.expanduser().exists()
        except (OSError, RuntimeError):
            return False

    @contextmanager
    def begin(self, *, write: bool = False) -> Iterator[Connection]:
        """Open a transaction; it is committed at the end, and lost when an exception is raised.

        Raises:
            StoreUnavailableError: when the database cannot be used; whether a commit that was under way took place is
                then unknown.
        """
        try:
            if not self._is_open:
                self._open()
            with self._engine.connect().execution_options(write=write) as connection, connection.begin():
                yield connection
        except (IntegrityError, DataError):
            raise  # faults of ours
        except DBAPIError as error:
            raise StoreUnavailableError(_reason(error.orig)) from error
        except (SQLAlchemyError, OSError, sqlite3.Error, RuntimeError) as error:  # RuntimeError: there is no home
            raise StoreUnavailableError(_reason(error)) from error

    def lock(self, connection: Connection, owner: str) -> None:
        """Let no other transaction write for an owner until this one ends; SQLite has one writer anyway."""
        if self._file is None:
            connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(owner, 0))))

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _open(self) -> None:
        """Make the folder and the file, bring the tables up to date."""
        with self._opening:
            if self._is_open:
                return
            if self._file is not None:
                file = self._file.expanduser()
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _set_write_ahead(file)
            with self._engine.connect().execution_options(write=True) as connection, connection.begin():
                if self._file is None:
                    connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
                _migrate(connection)
            self._is_open = True

    def _postgresql(self, url: URL) -> Engine:
        milliseconds = f"-c statement_timeout={1000 * STATEMENT_SECONDS} -c lock_timeout={int(1000 * BUSY_SECONDS)}"
        return create_engine(
            url,
            pool_size=self._connections,
            max_overflow=0,
            pool_pre_ping=True,
            pool_timeout=BUSY_SECONDS,
            connect_args={"connect_timeout": CONNECT_SECONDS, "options": milliseconds},
            hide_parameters=True,
        )

    def _sqlite(self, path: Path) -> Engine:
        def connect() -> sqlite3.Connection:
            where = f"file:{quote(str(path.expanduser().absolute()))}?mode=rw"  # a lost file is not made again, empty
            connection = sqlite3.connect(
                where, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            return connection

        def remember_file(_: Any, record: Any) -> None:
            record.info["file"] = _identity(path)

        def check_file(_: Any, record: Any, __: Any) -> None:
            if record.info["file"] != _identity(path):  # it was removed or replaced; SQLite does not notice
                raise DisconnectionError

        def begin(connection: Connection) -> None:
            # a writer waits for others here; later in the transaction it could not
            is_writer = connection.get_execution_options().get("write")
            connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")

        engine = create_engine(
            "sqlite://",
            creator=connect,
            poolclass=QueuePool,
            pool_size=self._connections,
            max_overflow=0,
            pool_timeout=BUSY_SECONDS,
            hide_parameters=True,
        )
        event.listen(engine, "connect", remember_file)
        event.listen(engine, "checkout", check_file)
        event.listen(engine, "begin", begin)
        return engine


def _set_write_ahead(file: Path) -> None:
    """Set SQLite's write-ahead log, which stays in the file."""
    until = monotonic() + BUSY_SECONDS
    while True:
        plain = sqlite3.connect(file, timeout=BUSY_SECONDS)
        try:
            plain.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # where two connections set it at once, SQLite turns one away without waiting
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > until:
                raise
        else:
            return
        finally:
            plain.close()
        sleep(0.01)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.expanduser().stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _migrate(connection: Connection) -> None:
    """Bring the tables up to date.

    Raises:
        StoreUnavailableError: when a newer version has changed them.
    """
    from alembic import command  # noqa: PLC0415 - 0.3 s, and most processes store nothing
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "store:migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreUnavailableError(f"the database's tables are not of this version: {error}") from error


def _reason(error: BaseException | None) -> str:
    """Return the first line of an error: what follows may quote what was stored."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
