"""The table of measured networks: one row per trained network, in Parquet or JSON Lines."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from model.network.hashing import canonical_hash
from model.network.schema import Layer
from training.observations.row_faults import (
    Faults,
    note_single,
    number,
    parse,
    task_name,
    task_said,
    tidy_accuracy,
    tidy_layers,
)

_LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
_IDENTITY = re.compile(r"[0-9a-f]{16}")
DEFAULT_CHANNELS = 3
Split = Literal["train", "test"]
Fraction = Annotated[float, BeforeValidator(number), Field(ge=0, le=1, allow_inf_nan=False)]


class ObservationError(ValueError):
    """A table that cannot be read; the message names each bad row."""


def dump_layers(layers: Sequence[Layer]) -> str:
    """Return the canonical JSON of a layer list."""
    return _LAYERS.dump_json(list(layers), exclude_none=True).decode()


def split_of(network_id: str, share: float = 1 / 3) -> Split:
    """Return the split of a network whose table does not say it; all seeds of a network have the same."""
    number = int(hashlib.sha256(f"split:{network_id}".encode()).hexdigest()[:8], 16)
    return "test" if number / 16**8 < share else "train"


class Observation(BaseModel):
    """One trained network. Only `task`, `layers` and `accuracy` are required of tables from elsewhere.

    Attributes:
        network_id: identity of the network; rows of one network under different seeds share it.
        split: of the network. A table without a `network_id` gets both from the network's canonical form.
        accuracy: validation accuracy after each epoch, each between 0 and 1.
        only_last: `accuracy` is one number, of the last epoch; said by writing it without a list.
        train_loss: mean training loss of each epoch.
        seconds: processor seconds (CPU) or wall seconds (GPU) that training took.
        weight_stats: per moment (`quarter` of the epochs, `final`) and tensor, see `training.measuring.weight_stats`.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: Annotated[str, Field(coerce_numbers_to_str=True)] | None = None
    task: Annotated[str, Field(min_length=1)]
    protocol: str | None = None
    in_channels: Annotated[int, Field(ge=1)] | None = None
    resolution: Annotated[int, Field(ge=1)] | None = None
    seed: int = 0
    layers: Annotated[list[Layer], Field(min_length=1)]
    network_id: str = Field(
        default_factory=lambda row: canonical_hash(row["layers"], row["in_channels"] or DEFAULT_CHANNELS)
    )
    split: Split = Field(default_factory=lambda row: split_of(row["network_id"]))
    accuracy: Annotated[list[Fraction], Field(min_length=1)]
    only_last: bool = False
    train_loss: list[float] | None = None
    status: Literal["ok", "untrainable", "diverged"] = "ok"
    params: int | None = None
    flops: int | None = None
    seconds: float | None = None
    device: str | None = None
    weight_stats: dict[str, dict[str, list[float]]] | None = None
    started_at: str | None = None

    @field_validator("weight_stats", mode="before")
    @classmethod
    def _from_json(cls, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value

    _note_single = model_validator(mode="before")(note_single)
    _tidy_layers = field_validator("layers", mode="before")(tidy_layers)
    _tidy_accuracy = field_validator("accuracy", mode="before")(tidy_accuracy)
    _name_task = field_validator("task", mode="after")(task_name)

    @model_validator(mode="before")
    @classmethod
    def _drop_foreign_identity(cls, record: Any) -> Any:
        """Leave out columns that are named like ours but mean something else in the user's table."""
        if not isinstance(record, dict) or _IDENTITY.fullmatch(str(record.get("network_id"))):
            return record
        return {name: value for name, value in record.items() if name not in {"network_id", "split"}}

    @cached_property
    def canonical(self) -> str:
        """Hash of the network's canonical form; the `network_id` of a table that was measured earlier may differ."""
        return canonical_hash(self.layers, self.in_channels or DEFAULT_CHANNELS)


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


def to_record(observation: Observation) -> dict[str, Any]:
    """Return the row as it is stored: nested fields as JSON text, `id` the `network_id` where none was given."""
    record = observation.model_dump()
    record["id"] = observation.id or observation.network_id
    record["layers"] = dump_layers(observation.layers)
    if observation.weight_stats is not None:
        record["weight_stats"] = json.dumps(observation.weight_stats, separators=(",", ":"))
    return record


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
        ignored: how many others could not be read either, but are of other tasks than the one asked for.
    """

    good: list[Observation]
    numbers: list[int]
    faults: Faults
    ignored: int = 0

    def error(self, path: Path) -> ObservationError:
        """Return the error that names every bad row."""
        return ObservationError(f"{path}: {len(self.faults.rows)} malformed row(s)\n{self.faults}")


def share_identity(rows: Iterable[Observation]) -> list[Observation]:
    """Give rows whose network another row has under an earlier `network_id` that one's `network_id` and `split`."""
    rows = list(rows)
    earlier = {row.canonical: row for row in rows if row.network_id != row.canonical}

    def shared(row: Observation) -> Observation:
        known = earlier.get(row.canonical, row)
        if row.network_id == known.network_id and row.split == known.split:
            return row
        return row.model_copy(update={"network_id": known.network_id, "split": known.split})

    return [shared(row) for row in rows]


def read_rows(path: Path, task: str | None = None, in_channels: int | None = None) -> Rows:
    """Read a Parquet or JSON Lines table, and find what is wrong with the rows that cannot be used.

    Args:
        path: the table.
        task: mistakes in rows of other tasks are no matter.
        in_channels: of the images, where the rows do not say.

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
        said = task_said(content)
        counts[said] += 1
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
            if wanted and said and said != wanted:
                ignored += 1
                continue
            found.faults.add_all(place, error, record)
            mistakes = {(one["loc"][:1], one["type"]) for one in error.errors()}
            percent[said] += (("accuracy",), "less_than_equal") in mistakes
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
