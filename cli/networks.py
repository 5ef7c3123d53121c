"""Networks as commands read them: an architecture, a list of them, a list of layers, or a request body."""

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from cli.files import existing
from model.network.schema import Architecture

File = Annotated[
    Path, typer.Argument(help="JSON: an architecture, a list of them, or a request body; `-` reads standard input.")
]
_ELSEWHERE = {
    "codes": "only POST /predict reads codes; give layers",
    "observed": "only POST /predict continues curves; leave it out to predict before training",
}


class _Body(BaseModel):
    """What POST /predict takes, as far as commands read it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    architectures: list[Architecture]
    task: str | None = None
    epochs: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] | None = None
    out_of_range: Literal["error", "clamp"] = "error"


@dataclass(frozen=True)
class Networks:
    """A file of networks, and what else it says.

    Attributes:
        file: where they are from, for messages.
        body: what the file says, as a request body.
        outside: how many parts of a place in the body lie outside the file: it may hold less than a whole body.
    """

    file: Path
    body: _Body
    outside: int

    @property
    def architectures(self) -> list[Architecture]:
        """The networks."""
        return self.body.architectures

    def pointer(self, *place: str | int) -> str:
        """Return a place in the body as a JSON Pointer into the file."""
        return _pointer(place[self.outside :])

    def error(self, *place: str | int, message: str) -> ValueError:
        """Return an error that names the file and a place in the body."""
        return ValueError(f"{self.file}: {self.pointer(*place)}: {message}")

    def epochs(self, last: int, task: str) -> list[int]:
        """Return the epochs to predict: those the file asks for, else all.

        Raises:
            ValueError: when one is beyond the curve or repeated.
        """
        chosen = self.body.epochs or list(range(1, last + 1))
        for index, epoch in enumerate(chosen):
            if epoch > last:
                raise self.error("epochs", index, message=f"must be 1 to {last} for task {task}")
            if epoch in chosen[:index]:
                raise self.error("epochs", index, message="an epoch is asked for once")
        return chosen


def _pointer(place: Iterable[str | int]) -> str:
    """Return a JSON Pointer, in one line whatever a field is called."""
    steps = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in steps)


def _fault(error: ErrorDetails, outside: int) -> str:
    """Return where validation found a mistake, as a JSON Pointer, and what it is."""
    loc, kind = list(error["loc"]), error["type"]
    if kind == "json_invalid":  # what Python's parser lets pass: hundreds of levels, half a surrogate pair
        return str(error["ctx"]["error"])
    if not loc:
        return "not an architecture, a list of them, or a request body"
    if loc[0] == "architectures" and "layers" in loc[2:3]:
        del loc[4:5]  # the layer's type, which is no part of the JSON
    where = _pointer(loc[outside:])
    if kind == "union_tag_invalid":
        return f"{where}/type: must be one of {error['ctx']['expected_tags']}"
    if kind == "union_tag_not_found":
        return f"{where}: a layer is an object with a `type`"
    if kind == "extra_forbidden":
        name = str(loc[-1]) if "layers" not in loc[:-1] else ""
        return f"{where}: {_ELSEWHERE.get(name, 'unknown field')}"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}"


def _as_body(content: Any) -> tuple[Any, int]:
    """Return what a file holds as a request body, and how many parts of a place in it lie outside the file."""
    if isinstance(content, dict) and "architectures" not in content and content.keys() & {"layers", "codes"}:
        return {"architectures": [content]}, 2
    if not isinstance(content, list):
        return (content if isinstance(content, dict) and "architectures" in content else None), 0
    if content and all(isinstance(item, dict) and "type" in item for item in content):
        return {"architectures": [{"layers": content}]}, 3
    return {"architectures": content}, 1


def _parse(read: bytes) -> Any:
    """Read JSON.

    Raises:
        ValueError: saying what is wrong with it.
    """
    try:
        return json.loads(read.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"not JSON: not UTF-8 ({error.reason} at byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except ValueError as error:  # Python's limit on the digits of an integer
        raise ValueError("a number has too many digits") from error


def read_networks(file: Path) -> Networks:
    """Read networks from JSON in any of the forms that `File` names.

    Raises:
        ValueError: saying what is wrong with the file, or where the JSON is wrong.
    """
    read = sys.stdin.buffer.read() if str(file) == "-" else existing(file).read_bytes()
    try:
        content, outside = _as_body(_parse(read))
        body = _Body.model_validate_json(json.dumps(content))
    except ValidationError as error:
        faults = error.errors(include_input=False)
        # A field that is not known says more than the one that is missing in its place
        unknown = (one for one in faults if one["type"] == "extra_forbidden")
        raise ValueError(f"{file}: {_fault(next(unknown, faults[0]), outside)}") from error
    except RecursionError as error:
        raise ValueError(f"{file}: nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    if not body.architectures:
        raise ValueError(f"{file}: holds no network")
    return Networks(file, body, outside)
