"""One trained network: a row of a table of measured networks."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    field_validator,
    model_validator,
)

from model.network.hashing import canonical_hash
from model.network.schema import Layer
from training.observations.row_faults import (
    note_single,
    number,
    task_name,
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
    """Return a layer list as the JSON text that a table stores."""
    return _LAYERS.dump_json(list(layers), exclude_none=True).decode()


def split_of(network_id: str, share: float = 1 / 3) -> Split:
    """Return the split of a network whose table does not hold it; all seeds of a network have the same."""
    drawn = int(hashlib.sha256(f"split:{network_id}".encode()).hexdigest()[:8], 16)
    return "test" if drawn / 16**8 < share else "train"


class Observation(BaseModel):
    """One trained network. Only `task`, `layers` and `accuracy` are required of tables from elsewhere.

    Attributes:
        network_id: identity of the network; rows of one network under different seeds share it.
        split: of the network. A table without a `network_id` gets both from the network's canonical form.
        accuracy: validation accuracy after each epoch, each between 0 and 1.
        only_last: `accuracy` is one number, of the last epoch; the table gives it without a list.
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
    status: Literal["ok", "failed_to_train", "diverged"] = "ok"
    params: int | None = None
    flops: int | None = None
    seconds: float | None = None
    device: str | None = None
    weight_stats: dict[str, dict[str, list[float]]] | None = None
    started_at: str | None = None

    @field_validator("status", mode="before")
    @classmethod
    def _rename_status(cls, value: Any) -> Any:
        return "failed_to_train" if value == "untrainable" else value  # as tables of version 0.1.0 have it

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


def to_record(observation: Observation) -> dict[str, Any]:
    """Return the row as it is stored: nested fields as JSON text, `id` the `network_id` where none was given."""
    record = observation.model_dump()
    record["id"] = observation.id or observation.network_id
    record["layers"] = dump_layers(observation.layers)
    if observation.weight_stats is not None:
        record["weight_stats"] = json.dumps(observation.weight_stats, separators=(",", ":"))
    return record


def share_identity(rows: Iterable[Observation]) -> list[Observation]:
    """Return rows in which a network has one `network_id` and `split`: earlier ones, where a row holds them."""
    rows = list(rows)
    earlier = {row.canonical: row for row in rows if row.network_id != row.canonical}

    def shared(row: Observation) -> Observation:
        known = earlier.get(row.canonical, row)
        if row.network_id == known.network_id and row.split == known.split:
            return row
        return row.model_copy(update={"network_id": known.network_id, "split": known.split})

    return [shared(row) for row in rows]
