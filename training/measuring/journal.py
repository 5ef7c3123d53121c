"""Rows of a collection in progress, on disk as soon as they are measured."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from training.observations.observation import Observation, ObservationError, share_identity, to_record
from training.observations.read import read, write_parquet


class Journal:
    """Rows of a collection in progress, appended as JSON Lines beside the Parquet table and folded into it.

    A kill loses no finished row: an unfinished last line is dropped when the journal is next read.

    Raises:
        ObservationError: when the table's name does not end in .parquet; another could be the journal's own.
    """

    def __init__(self, table: Path) -> None:
        if table.suffix != ".parquet":
            raise ObservationError(f"{table}: rows are collected into a Parquet table; its name must end in .parquet")
        self.table = table
        self.path = table.with_suffix(".jsonl")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock of the table: two collecting processes would lose rows when they fold.

        Raises:
            ObservationError: when another process holds it.
        """
        self.table.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.table.with_suffix(".lock"))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise ObservationError(
                f"{self.table}: another process is collecting into it; choose another --out"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def append(self, observation: Observation) -> None:
        """Append a row and make it durable."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(to_record(observation), separators=(",", ":")) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def fold(self) -> list[Observation]:
        """Move the journal's rows into the table and return all rows."""
        rows = read(self.table) if self.table.is_file() else []
        if not self.path.is_file():
            return rows
        seen = {(row.canonical, row.seed, row.protocol) for row in rows}
        for line in self.path.read_text().splitlines():
            try:
                row = Observation.model_validate_json(line)
            except ValidationError:
                continue  # the line in flight when the process was killed
            key = (row.canonical, row.seed, row.protocol)
            if key not in seen:
                seen.add(key)
                rows.append(row)
        rows = share_identity(rows)
        if rows:
            write_parquet(self.table, rows)
        self.path.unlink()
        return rows
