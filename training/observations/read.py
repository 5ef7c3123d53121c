"""Tables of measured networks, a network a row: read from Parquet or JSON Lines, and written."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from training.observations.observation import (
    Observation,
    ObservationError,
    parse_json,
    share_identity,
    task_name,
    to_record,
)
from training.observations.row_errors import RowErrors

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("network_id", pa.string()),
        ("split", pa.string()),
        ("task", pa.string()),
        ("protocol", pa.string()),
        ("in_channels", pa.int32()),
        ("resolution", pa.int32()),
        ("seed", pa.int32()),
        ("space", pa.string()),
        ("layers", pa.string()),
        ("accuracy", pa.list_(pa.float64())),
        ("final_only", pa.bool_()),
        ("train_loss", pa.list_(pa.float64())),
        ("status", pa.string()),
        ("params", pa.int64()),
        ("flops", pa.int64()),
        ("seconds", pa.float64()),
        ("device", pa.string()),
        ("weight_stats", pa.string()),
        ("proxies", pa.string()),
        ("started_at", pa.string()),
    ]
)


@dataclass(frozen=True)
class TableRows:
    """What a table holds.

    Attributes:
        good: the rows that can be used, by their number in the table.
        errors: what is wrong with the others.
        ignored: how many others cannot be read either, but are of other tasks than the chosen one.
    """

    good: dict[int, Observation]
    errors: RowErrors
    ignored: int = 0

    def error(self, path: Path) -> ObservationError:
        """Return the error that names every bad row."""
        return ObservationError(f"{path}: {len(self.errors.rows)} malformed row(s)\n{self.errors}")


def read(path: Path) -> list[Observation]:
    """Read a Parquet or JSON Lines table.

    Raises:
        ObservationError: naming the bad rows, when any row is malformed.
    """
    found = read_rows(path)
    if found.errors:
        raise found.error(path)
    return list(found.good.values())


def read_rows(path: Path, task: str | None = None, in_channels: int | None = None) -> TableRows:
    """Read a Parquet or JSON Lines table, and find what is wrong with the rows that cannot be used.

    Args:
        path: the table.
        task: errors in rows of other tasks are ignored.
        in_channels: of the images, where the rows do not give it.

    Raises:
        ObservationError: when the table is missing, empty or of another kind, or a task's accuracies are percent.
    """
    if not path.exists():
        raise ObservationError(f"{path} does not exist")
    unit, records = _records(path)
    found = TableRows({}, RowErrors(unit))
    wanted = task_name(task) if task else None
    counts: Counter[str | None] = Counter()
    percent: Counter[str | None] = Counter()
    ignored = 0
    for number, content in records:
        named = _task_of_record(content)
        counts[named] += 1
        if isinstance(content, ValueError):
            found.errors.add(number, (), str(content))
            continue
        record = content
        if isinstance(content, dict):
            record = {name: value for name, value in content.items() if value is not None}
            record = {"in_channels": in_channels} | record if in_channels else record
        try:
            found.good[number] = Observation.model_validate(record, strict=False)
        except ValidationError as error:
            if wanted and named and named != wanted:
                ignored += 1
                continue
            found.errors.add_all(number, error, record)
            percent[named] += any(
                one["loc"][:1] == ("accuracy",) and one["type"] == "less_than_equal" for one in error.errors()
            )
    if not counts:
        raise ObservationError(f"{path} has no rows")
    for name, above in percent.items():
        if 2 * above > counts[name]:
            of = f" of task {name}" if name and len(counts) > 1 else ""
            raise ObservationError(
                f"{path}: {above} of {counts[name]} rows{of} have accuracies above 1, which looks like percent; "
                f"divide all of them by 100\n{found.errors}"
            )
    good = dict(zip(found.good, share_identity(found.good.values()), strict=True))
    return replace(found, good=good, ignored=ignored)


def write_parquet(path: Path, observations: Iterable[Observation]) -> None:
    """Replace a Parquet table in one step, so that a kill leaves the old one or the new one."""
    table = pa.Table.from_pylist([to_record(observation) for observation in observations], schema=SCHEMA)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    pq.write_table(table, partial, compression="zstd", compression_level=12)
    partial.replace(path)


def _records(path: Path) -> tuple[str, Iterator[tuple[int, Any]]]:
    """Return what rows are called, and each with its number; a row that is not JSON is its error."""
    content = path.read_bytes()  # once: a pipe cannot be read again
    if content.startswith(b"PAR1"):
        return "row", enumerate(_parquet_records(path, content))
    if content[:64].lstrip().startswith(b"["):
        raise ObservationError(f"{path} is a JSON array; write one object a line, as JSON Lines (jq -c '.[]' does)")
    try:
        lines = TextIOWrapper(BytesIO(content), "utf-8-sig").read().split("\n")
    except UnicodeDecodeError as error:
        raise ObservationError(f"{path} is neither Parquet nor JSON Lines in UTF-8: {error}") from error

    def parsed() -> Iterator[tuple[int, Any]]:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield number, parse_json(line)
                except ValueError as error:
                    yield number, error

    return "line", parsed()


def _parquet_records(path: Path, content: bytes) -> list[dict[str, Any]]:
    """Return the rows of a Parquet file; a map becomes an object.

    Raises:
        ObservationError: when the file is damaged, or two of its columns have one name.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        repeated = [name for name, count in Counter(file.schema_arrow.names).items() if count > 1]
        if not repeated:
            return list(file.read().to_pylist(maps_as_pydicts="lossy"))
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ObservationError(f"{path} cannot be read as Parquet: {reason}") from error
    raise ObservationError(f"{path} has two columns of the name {repeated[0]}")


def _task_of_record(content: Any) -> str | None:
    """Return the task that a row names, whatever else is wrong with it."""
    try:
        return task_name(content["task"])
    except (TypeError, KeyError, AttributeError, ValueError):
        return None
