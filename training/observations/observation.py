"""One trained network: a row of a table of measured networks, and the other ways in which users write it."""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, field_validator, model_validator
from pydantic_core import from_json

from model.network.faults import not_json
from model.network.graph import NetworkError
from model.network.hashing import canonical_hash
from model.network.schema import Layer
from model.network.shapes import Shape

SIGNIFICANT_DIGITS = 6  # of scores
NEEDED = ("task", "layers", "accuracy")
DEFAULT_CHANNELS, DEFAULT_RESOLUTION = 3, 32
_LAYERS: TypeAdapter[list[Layer]] = TypeAdapter(list[Layer])
_NETWORK_ID = re.compile(r"[0-9a-f]{16}")
Split = Literal["train", "test"]


class ObservationError(ValueError):
    """A table that cannot be read; the message names each bad row."""


def parse_json(text: str) -> Any:
    """Read JSON of one line.

    Raises:
        ValueError: saying what is wrong with it.
    """
    try:
        return from_json(text)
    except ValueError as error:
        raise ValueError(not_json(str(error)).replace("(line 1 column", "(column")) from error


def normalise_layers(value: Any) -> Any:
    """Read layers given as JSON text, lists, arrays or structs, in which an absent field may be null or NaN.

    Raises:
        ValueError: for text that is not JSON, and for an object.
    """
    layers = _parsed(value)
    if isinstance(layers, Mapping):
        raise ValueError("is an object, not a list of layers")
    if not isinstance(layers, list | tuple):
        return layers
    return [_given_fields(layer) if isinstance(layer, Mapping) else layer for layer in layers]


def normalise_accuracy(value: Any) -> Any:
    """Read a curve given as a list, an array, JSON text, or one number; null or NaN at its end is not measured.

    Raises:
        ValueError: for text that is no list in JSON, and for an object.
    """
    curve = _parsed(value)
    if isinstance(curve, Mapping):
        raise ValueError("is an object, not a list of accuracies")
    if isinstance(value, str) and not isinstance(curve, list):
        raise ValueError("is text; give a number, or a list of them")
    curve = list(curve) if isinstance(curve, list | tuple) else [curve]
    while curve and _is_missing(curve[-1]):
        curve.pop()
    return curve


def normalise_proxies(value: Any) -> Any:
    """Read scores given as JSON text or an object; null, NaN and infinite ones are not known.

    Raises:
        ValueError: for text that is not JSON.
    """
    scores = _parsed(value)
    if not isinstance(scores, Mapping):
        return scores
    return {
        name: score
        for name, score in scores.items()
        if not (_is_missing(score) or (isinstance(score, float) and math.isinf(score)))
    } or None


def task_name(value: str) -> str:
    """Return a task's name as artifacts spell it: `CIFAR 10` is `cifar-10`.

    Raises:
        ValueError: when no letter or digit is in it.
    """
    name = re.sub(r"[^a-z0-9._-]+", "-", value.strip().lower()).lstrip("._-")[:64]
    if not name:
        raise ValueError("must be a name of letters and digits")
    return name


def split_of(network_id: str, share: float = 1 / 3) -> Split:
    """Return the split of a network whose table does not hold it; all seeds of a network have the same."""
    drawn = int(hashlib.sha256(f"split:{network_id}".encode()).hexdigest()[:8], 16)
    return "test" if drawn / 16**8 < share else "train"


def _plain(value: Any) -> Any:
    """Turn numpy arrays and scalars into lists and numbers."""
    return value.tolist() if hasattr(value, "tolist") else value


def _parsed(value: Any) -> Any:
    """Turn JSON text into its value, numpy arrays and scalars into lists and numbers."""
    if not isinstance(value, str):
        return _plain(value)
    try:
        return parse_json(value)
    except ValueError as error:
        raise ValueError(f"is {error}") from error


def _given_fields(layer: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in layer.items() if not _is_missing(value)}


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _number(value: Any) -> Any:
    """Name what is no number though pydantic reads it as one (`true`, `"0.5"`), and objects."""
    kinds = {bool: str(value).lower(), str: "text", dict: "an object"}
    if type(value) in kinds:
        raise ValueError(f"is not a number but {kinds[type(value)]}")
    return value


Fraction = Annotated[float, BeforeValidator(_number), Field(ge=0, le=1, allow_inf_nan=False)]


def _identity(layers: Sequence[Layer], in_channels: int | None, resolution: int | None) -> str:
    """Return the canonical hash of a network; of one that makes no sense, a hash of what is written."""
    size = resolution or DEFAULT_RESOLUTION
    try:
        return canonical_hash(layers, Shape(in_channels or DEFAULT_CHANNELS, size, size))
    except NetworkError:
        return hashlib.sha256(_LAYERS.dump_json(list(layers))).hexdigest()[:16]


class Observation(BaseModel):
    """One trained network. Only `task`, `layers` and `accuracy` are required of tables from elsewhere.

    Attributes:
        id: the user's name for the network.
        network_id: identity of the network; rows of one network under different seeds share it.
        split: of the network. A table without a `network_id` gets both from the network's canonical form.
        space: where the network was drawn from, `paper` or `families` (`model.sampling`); unknown of other tables.
        accuracy: validation accuracy after each epoch, each between 0 and 1.
        final_only: `accuracy` is one number, of the last epoch; the table gives it without a list.
        train_loss: mean training loss of each epoch.
        seconds: processor seconds (CPU) or wall seconds (GPU) that training took.
        weight_stats: per moment (`quarter` of the epochs, `final`) and tensor, see `training.measuring.train`.
        proxies: zero-cost scores of the untrained network by name, Peephole's (`model.proxies.names`) or others.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: Annotated[str, Field(coerce_numbers_to_str=True)] | None = None
    task: Annotated[str, Field(min_length=1)]
    protocol: str | None = None
    in_channels: Annotated[int, Field(ge=1)] | None = None
    resolution: Annotated[int, Field(ge=1)] | None = None
    seed: int = 0
    space: str | None = None
    layers: Annotated[list[Layer], Field(min_length=1)]
    network_id: str = Field(default_factory=lambda row: _identity(row["layers"], row["in_channels"], row["resolution"]))
    split: Split = Field(default_factory=lambda row: split_of(row["network_id"]))
    accuracy: Annotated[list[Fraction], Field(min_length=1)]
    final_only: bool = False
    train_loss: list[float] | None = None
    status: Literal["ok", "failed_to_train", "diverged"] = "ok"
    params: int | None = None
    flops: int | None = None
    seconds: float | None = None
    device: str | None = None
    weight_stats: dict[str, dict[str, list[float]]] | None = None
    proxies: dict[str, float] | None = None
    started_at: str | None = None

    _normalise_layers = field_validator("layers", mode="before")(normalise_layers)
    _normalise_accuracy = field_validator("accuracy", mode="before")(normalise_accuracy)
    _parse_weight_stats = field_validator("weight_stats", mode="before")(_parsed)
    _finite_proxies = field_validator("proxies", mode="before")(normalise_proxies)
    _name_task = field_validator("task", mode="after")(task_name)

    @field_validator("status", mode="before")
    @classmethod
    def _rename_status(cls, value: Any) -> Any:
        return "failed_to_train" if value == "untrainable" else value  # as tables of version 0.1.0 have it

    @model_validator(mode="before")
    @classmethod
    def mark_final_only(cls, record: Any) -> Any:
        """Mark a row whose accuracy is one number, not a curve: it is known after the last epoch only."""
        if not isinstance(record, dict) or "accuracy" not in record:
            return record
        is_single = not isinstance(_plain(record["accuracy"]), list | tuple | str)
        stored = record.get("final_only", record.get("only_last"))  # as tables of version 0.1.0 name it
        return record | {"final_only": is_single if stored is None else stored}

    @model_validator(mode="before")
    @classmethod
    def _drop_foreign_identity(cls, record: Any) -> Any:
        """Leave out columns that are named like ours but mean something else in the user's table."""
        if not isinstance(record, dict) or _NETWORK_ID.fullmatch(str(record.get("network_id"))):
            return record
        return {name: value for name, value in record.items() if name not in {"network_id", "split"}}

    @cached_property
    def canonical(self) -> str:
        """Hash of the network's canonical form; the `network_id` of a table that was measured earlier may differ."""
        return _identity(self.layers, self.in_channels, self.resolution)


def to_record(observation: Observation) -> dict[str, Any]:
    """Return the row as it is stored: nested fields as JSON text."""
    record = observation.model_dump()
    record["layers"] = _LAYERS.dump_json(observation.layers, exclude_none=True).decode()
    if observation.weight_stats is not None:
        record["weight_stats"] = json.dumps(observation.weight_stats, separators=(",", ":"))
    record["proxies"] = None if observation.proxies is None else proxies_text(observation.proxies)
    return record


def proxies_text(proxies: Mapping[str, float]) -> str:
    """Return scores as they are stored, with `SIGNIFICANT_DIGITS` digits."""
    rounded = {name: float(f"{value:.{SIGNIFICANT_DIGITS}g}") for name, value in proxies.items()}
    return json.dumps(rounded, separators=(",", ":"))


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
