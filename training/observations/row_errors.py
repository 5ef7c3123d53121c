"""What is wrong with the rows of a table, in few lines that name every bad row."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from model.network.faults import MAX_ERRORS, faults_of, pointer
from training.observations.observation import NEEDED


@dataclass
class _Group:
    text: str
    rows: list[int] = field(default_factory=list)


@dataclass
class RowErrors:
    """Errors in rows; equal ones share a line.

    Attributes:
        unit: `row` (of Parquet, counted from 0 as pandas does) or `line` (of a text file, counted from 1).
    """

    unit: str
    groups: dict[tuple[str, str], _Group] = field(default_factory=dict)

    @property
    def rows(self) -> set[int]:
        """Numbers of the bad rows."""
        return {row for group in self.groups.values() for row in group.rows}

    def __bool__(self) -> bool:
        return bool(self.groups)

    def add(self, row: int, path: Sequence[str | int], message: str) -> None:
        """Note an error: the row, the place in it, and what is wrong and what to do, as the rest of the sentence."""
        where = "/".join(map(str, path))
        key = re.sub(r"\d+", "*", where), re.sub(r"^is -?[\d.e+]+, but", "is outside", message)
        text = f"{where}{'' if message.startswith(':') else ' '}{message}"
        self.groups.setdefault(key, _Group(text.strip())).rows.append(row)

    def add_all(self, row: int, error: ValidationError, record: Any) -> None:
        """Note every error that validation found in a row."""
        if error.error_count() > MAX_ERRORS:
            self.add(row, (), f"has more than {MAX_ERRORS} errors")
            return
        unknown = {}  # types of layers, by the place that their faults point to
        for one in error.errors(include_url=False):
            path = one["loc"]
            if one["type"] == "default_factory_not_called":
                continue  # it follows from another error
            if one["type"] == "union_tag_invalid":
                unknown[pointer(*path, "type")] = one["ctx"]["tag"]
            elif not path[1:] or path[0] != "layers":
                self.add(row, path, _advice(one, record))
        for fault in faults_of(error):
            if fault.pointer.startswith("/layers/"):
                is_named = f" is {unknown[fault.pointer]}" if fault.pointer in unknown else ""
                self.add(row, fault.pointer[1:].split("/"), f"{is_named}: {fault.detail}".lstrip())

    def __str__(self) -> str:
        lines = []
        for group in sorted(self.groups.values(), key=lambda one: one.rows[0]):
            count = len(set(group.rows))
            times = f" ({len(group.rows)} times in {count} {self.unit}s)" if len(group.rows) > max(1, count) else ""
            lines.append(f"{self.unit}{'s' if count > 1 else ''} {_ranges(group.rows)}: {group.text}{times}")
        return "\n".join(lines)


def _ranges(numbers: Iterable[int]) -> str:
    """Return `2, 5-9` for 2, 5, 6, 7, 8, 9."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)


def _advice(error: ErrorDetails, record: Any) -> str:
    """Return what is wrong with a field other than a layer's, and what to do."""
    field_name = error["loc"][0] if error["loc"] else ""
    match error["type"], field_name:
        case "missing", _ if len(error["loc"]) == 1:
            there = ", ".join(map(str, record)) or "nothing"
            return f"is missing; a row needs {', '.join(NEEDED)}, this one has {there}"
        case "model_type", _:
            return f"is not an object with the fields {', '.join(NEEDED)}"
        case ("less_than_equal" | "greater_than_equal") as kind, "accuracy":
            percent = "; divide percent by 100" if kind == "less_than_equal" else ""
            return f"is {error['input']:g}, but accuracies are between 0 and 1{percent}"
        case "too_short", "accuracy":
            return "is empty; give the accuracy after at least one epoch, or leave the row out"
        case "too_short", "layers":
            return "is empty; list the layers from the image up to the classifier"
        case "finite_number" | "float_type" | "float_parsing", "accuracy":
            return "is not a number; only epochs at the end of a curve may be missing"
        case "value_error", _:
            return str(error["ctx"]["error"])
    message = error["msg"][0].lower() + error["msg"][1:]
    return message if field_name in NEEDED else f"{message} (the field is optional: it may be left out)"
