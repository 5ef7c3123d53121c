"""A PostgreSQL server for the tests, from Debian's packages."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path

INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


def missing() -> str:
    """Return why there can be no server here; nothing when there can."""
    if find_spec("psycopg") is None:
        return "no `psycopg` (pip install '.[postgres]')"
    return "" if INSTALLED else "no PostgreSQL (apt-get install postgresql)"


class Postgres:
    """A server; each database of `new_database` is empty."""

    def __init__(self, folder: Path, user: str | None) -> None:
        self._bin, self._user, self._data = INSTALLED[-1].parent, user, folder / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self._numbers = count(1)
        self._run("initdb", "--no-sync", "--auth=trust", "--username=peephole", "--encoding=UTF8", str(self._data))
        self.start()

    def start(self) -> None:
        """Start it and wait for it."""
        options = f"-p {self._port} -k '' -c listen_addresses=127.0.0.1 -c max_connections=40"
        self._run("pg_ctl", "--wait", "-D", str(self._data), "-o", options, "-l", f"{self._data}.log", "start")

    def stop(self) -> None:
        """Stop it, at once."""
        self._run("pg_ctl", "--wait", "--mode=immediate", "-D", str(self._data), "stop")

    def new_database(self) -> str:
        """Make a database; return its URL."""
        name = f"test{next(self._numbers)}"
        self._run("psql", "--quiet", "-h", "127.0.0.1", "-p", str(self._port), "-U", "peephole", "-d", "postgres",
                  "-c", f"CREATE DATABASE {name}")  # fmt: skip
        return f"postgresql://peephole@127.0.0.1:{self._port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        # pg_ctl leaves the server its standard output: a pipe would never end
        done = subprocess.run(
            [self._bin / program, *arguments],
            user=self._user,
            group=self._user and pwd.getpwnam(self._user).pw_gid,
            extra_groups=[] if self._user else None,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == 0, f"{program} {arguments} returned {done.returncode}"


@contextmanager
def server() -> Iterator[Postgres]:
    """Start a server as a user other than root, which PostgreSQL rejects; stop it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="peephole-postgres-"))
    user = "nobody" if os.getuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    postgres = None
    try:
        postgres = Postgres(folder, user)
        yield postgres
    finally:
        if postgres is not None:
            postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)
