"""Tables of measured networks: one row per trained network, in Parquet or JSON Lines."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from training.observations.observation import Observation, ObservationError, share_identity, to_record
from training.observations.row_faults import Faults, parse, task_name, task_said

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("network_id", pa.string()),
        ("split", pa.string()),
        ("task", pa.string()),
        ("protocol", pa.string()),
        ("in_channels", pa.int32()),
        ("resolution", pa.int32()),
        ("seed", pa.int32()),
        ("layers", pa.string()),
        ("accuracy", pa.list_(pa.float64())),
        ("only_last", pa.bool_()),
        ("train_loss", pa.list_(pa.float64())),
        ("status", pa.string()),
        ("params", pa.int64()),
        ("flops", pa.int64()),
        ("seconds", pa.float64()),
        ("device", pa.string()),
        ("weight_stats", pa.string()),
        ("started_at", pa.string()),
    ]
)


def _records(path: Path) -> tuple[str, Iterator[tuple[int, Any]]]:
    """Return what rows are called, and each with its number; a row that is not JSON is its error."""
    content = path.read_bytes()  # once: a pipe cannot be read again
    if content.startswith(b"PAR1"):
        return "row", enumerate(pq.read_table(pa.BufferReader(content)).to_pylist())
    if content[:64].lstrip().startswith(b"["):
        raise ObservationError(f"{path} is a JSON array; write one object a line, as JSON Lines (jq -c '.[]' does)")

    try:
        lines = TextIOWrapper(BytesIO(content), "utf-8-sig").read().split("\n")
    except UnicodeDecodeError as error:
        raise ObservationError(f"{path} is neither Parquet nor JSON Lines in UTF-8: {error}") from error

    def parsed() -> Iterator[tuple[int, Any]]:
        for place, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield place, parse(line)
                except ValueError as error:
                    yield place, error

    return "line", parsed()


@dataclass(frozen=True)
class Rows:
    """What a table holds.

    Attributes:
        good: the rows that could be read.
        numbers: their numbers in the table.
        faults: what is wrong with the others.
        ignored: how many others could not be read either, but are of other tasks than the chosen one.
    """

    good: list[Observation]
    numbers: list[int]
    faults: Faults
    ignored: int = 0

    def error(self, path: Path) -> ObservationError:
        """Return the error that names every bad row."""
        return ObservationError(f"{path}: {len(self.faults.rows)} malformed row(s)\n{self.faults}")


def read_rows(path: Path, task: str | None = None, in_channels: int | None = None) -> Rows:
    """Read a Parquet or JSON Lines table, and find what is wrong with the rows that cannot be used.

    Args:
        path: the table.
        task: mistakes in rows of other tasks are ignored.
        in_channels: of the images, where the rows do not give it.

    Raises:
        ObservationError: when the table is missing, empty or of another kind, or a task's accuracies are percent.
    """
    wanted = task_name(task) if task else None
    if not path.exists():
        raise ObservationError(f"{path} does not exist")
    unit, records = _records(path)
    found = Rows([], [], Faults(unit))
    counts: Counter[str | None] = Counter()
    percent: Counter[str | None] = Counter()
    ignored = 0
    for place, content in records:
        named = task_said(content)
        counts[named] += 1
        if isinstance(content, ValueError):
            found.faults.add(place, (), f"not JSON ({content})")
            continue
        record = content
        if isinstance(content, dict):
            record = {name: value for name, value in content.items() if value is not None}
            record = {"in_channels": in_channels} | record if in_channels else record
        try:
            found.good.append(Observation.model_validate(record))
            found.numbers.append(place)
        except ValidationError as error:
            if wanted and named and named != wanted:
                ignored += 1
                continue
            found.faults.add_all(place, error, record)
            mistakes = {(one["loc"][:1], one["type"]) for one in error.errors()}
            percent[named] += (("accuracy",), "less_than_equal") in mistakes
    if not counts:
        raise ObservationError(f"{path} has no rows")
    for name, above in percent.items():
        if 2 * above > counts[name]:
            of = f" of task {name}" if name and len(counts) > 1 else ""
            raise ObservationError(
                f"{path}: {above} of {counts[name]} rows{of} have accuracies above 1, which looks like percent; "
                f"divide all of them by 100\n{found.faults}"
            )
    return replace(found, good=share_identity(found.good), ignored=ignored)


def read(path: Path) -> list[Observation]:
    """Read a Parquet or JSON Lines table.

    Raises:
        ObservationError: naming the bad rows, when any row is malformed.
    """
    found = read_rows(path)
    if found.faults:
        raise found.error(path)
    return found.good


def write_parquet(path: Path, observations: Iterable[Observation]) -> None:
    """Replace a Parquet table in one step, so that a kill leaves the old one or the new one."""
    table = pa.Table.from_pylist([to_record(observation) for observation in observations], schema=_SCHEMA)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    pq.write_table(table, partial, compression="zstd", compression_level=12)
    partial.replace(path)
