"""Rows of users' tables: other ways to write the same, and what is wrong with a row."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from model.network.schema import FIELDS

_FRACTIONS = {"channel_ratio", "p"}  # the fields of a layer that are not whole numbers
_NEEDED = ("task", "layers", "accuracy")


def parse(text: str) -> Any:
    """Read JSON.

    Raises:
        ValueError: saying what is wrong with it.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except ValueError as error:  # Python's limit on the digits of an integer
        raise ValueError("a number has too many digits") from error


def _plain(value: Any) -> Any:
    """Turn numpy arrays and scalars into lists and numbers, JSON text into its value."""
    if isinstance(value, str):
        try:
            return parse(value)
        except ValueError as error:
            raise ValueError(f"is not JSON text ({error})") from error
    return value.tolist() if hasattr(value, "tolist") else value


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _whole(value: Any) -> Any:
    """Read 16.0 as 16: columns with gaps turn integers into floats."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _tidy_layer(layer: Any) -> Any:
    if not isinstance(layer, Mapping):
        return layer
    kept = {name: value for name, value in layer.items() if not _missing(value)}
    return {name: value if name in _FRACTIONS else _whole(value) for name, value in kept.items()}


def tidy_layers(value: Any) -> Any:
    """Read layers given as JSON text, lists, arrays or structs, in which an absent field may be null or NaN.

    Raises:
        ValueError: for text that is not JSON.
    """
    value = _plain(value)
    return [_tidy_layer(layer) for layer in value] if isinstance(value, list | tuple) else value


def tidy_accuracy(value: Any) -> Any:
    """Read a curve given as a list, an array, JSON text, or one number; null or NaN at its end is not measured.

    Raises:
        ValueError: for text that is not JSON.
    """
    is_text, value = isinstance(value, str), _plain(value)
    if is_text and not isinstance(value, list):
        raise ValueError("is text; give a number, or a list of them")
    curve = list(value) if isinstance(value, list | tuple) else [value]
    while curve and _missing(curve[-1]):
        curve.pop()
    return curve


def note_single(record: Any) -> Any:
    """Mark a row whose accuracy is one number, not a curve: it is known after the last epoch only."""
    if not isinstance(record, dict) or record.get("only_last") is not None or "accuracy" not in record:
        return record
    value = record["accuracy"]
    value = value.tolist() if hasattr(value, "tolist") else value
    return record | {"only_last": not isinstance(value, list | tuple | str)}


def number(value: Any) -> Any:
    """Reject what pydantic would read as a number but is none: `true`, `"0.5"`.

    Raises:
        ValueError: saying what it is.
    """
    if isinstance(value, bool | str):
        raise ValueError(f"is not a number but {'text' if isinstance(value, str) else str(value).lower()}")  # noqa: TRY004 - pydantic reports no other
    return value


def task_said(content: Any) -> str | None:
    """Return the task that a row names, whatever else is wrong with it."""
    try:
        return task_name(content["task"])
    except (TypeError, KeyError, AttributeError, ValueError):
        return None


def task_name(value: str) -> str:
    """Return a task's name as artifacts spell it: `CIFAR 10` is `cifar-10`.

    Raises:
        ValueError: when no letter or digit is in it.
    """
    name = re.sub(r"[^a-z0-9._-]+", "-", value.strip().lower()).lstrip("._-")[:64]
    if not name:
        raise ValueError("must be a name of letters and digits")
    return name


def _advice(error: Any, record: Any) -> str:
    kind, loc = error["type"], error["loc"]
    where = loc[0] if loc else ""
    match kind:
        case "missing" if len(loc) == 1:
            return (
                f"is missing; a row needs {', '.join(_NEEDED)}, this one has {', '.join(map(str, record)) or 'nothing'}"
            )
        case "model_type":
            return "is not an object with the fields " + ", ".join(_NEEDED)
        case "less_than_equal" if where == "accuracy":
            return f"is {error['input']:g}, but accuracies are between 0 and 1; divide percent by 100"
        case "greater_than_equal" if where == "accuracy":
            return f"is {error['input']:g}, but accuracies are between 0 and 1"
        case "too_short" if where == "accuracy":
            return "is empty; give the accuracy after at least one epoch, or leave the row out"
        case "too_short" if where == "layers":
            return "is empty; list the layers from the image up to the classifier"
        case "finite_number" | "float_type" | "float_parsing" if where == "accuracy":
            return "is not a number; only epochs at the end of a curve may be missing"
        case "union_tag_invalid":
            return f"has the unknown type {error['ctx']['tag']}; there are {', '.join(FIELDS)}"
        case "union_tag_not_found":
            return f"has no type; there are {', '.join(FIELDS)}"
        case "extra_forbidden":
            return "is not a field of this layer; remove it"
        case "value_error":
            return str(error["ctx"]["error"])
    hint = "" if where in _NEEDED else " (the field is optional: it may be left out)"
    message = str(error["msg"])
    return message[0].lower() + message[1:] + hint


@dataclass
class _Group:
    where: str
    numbers: list[int] = field(default_factory=list)
    times: int = 0


def ranges(numbers: Iterable[int]) -> str:
    """Return `2, 5-9` for 2, 5, 6, 7, 8, 9."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)


@dataclass
class Faults:
    """Mistakes in a table's rows, alike ones together, so that every bad row is named in few lines.

    Attributes:
        unit: `row` (of Parquet, counted from 0 as pandas does) or `line` (of a text file, counted from 1).
    """

    unit: str
    groups: dict[tuple[str, str], _Group] = field(default_factory=dict)

    @property
    def rows(self) -> set[int]:
        """Numbers of the bad rows."""
        return {number for group in self.groups.values() for number in group.numbers}

    def __bool__(self) -> bool:
        return bool(self.groups)

    def add(self, number: int, loc: Sequence[str | int], message: str) -> None:
        """Note a mistake: the row, the place in it, and what is wrong and what to do."""
        pattern = "/".join("*" if isinstance(part, int) else part for part in loc)
        key = pattern, re.sub(r"^is -?[\d.e+]+, but", "is outside", message)
        group = self.groups.setdefault(key, _Group(" ".join(["/".join(map(str, loc)), message]).strip()))
        group.numbers.append(number)
        group.times += 1

    def add_all(self, number: int, error: ValidationError, record: Any) -> None:
        """Note every mistake that validation found in a row."""
        for one in error.errors():
            if one["type"] == "default_factory_not_called":
                continue  # follows from another mistake
            loc = one["loc"]
            if len(loc) > 2 and loc[0] == "layers":
                loc = (*loc[:2], *loc[3:])  # the third part repeats the layer's type
            self.add(number, loc, _advice(one, record))

    def __str__(self) -> str:
        lines = []
        for group in sorted(self.groups.values(), key=lambda one: one.numbers[0]):
            count = len(set(group.numbers))
            times = f" ({group.times} times in {count} {self.unit}s)" if group.times > max(1, count) else ""
            lines.append(f"{self.unit}{'s' if count > 1 else ''} {ranges(group.numbers)}: {group.where}{times}")
        return "\n".join(lines)
