"""Networks as commands read them: a request, a network, lists of networks or of layers, JSON Lines, an ONNX model."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from pydantic_core import from_json

from cli.importing import import_onnx
from model.network.faults import Fault, faults_of, not_json
from model.requests.schema import CANDIDATE, PREDICT_REQUEST, Candidate, PredictRequest

FileArgument = Annotated[
    Path,
    typer.Argument(
        help="JSON: a request body, a network, a list of networks or a list of layers; JSON Lines, a network a "
        "line; or an ONNX model. `-` reads standard input.",
    ),
]
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LAYERS = "write the network's layers as JSON (docs/api.md)"
_OTHER_FILES = {
    ".safetensors": f"holds weights: `peephole predict-weights` reads them; before training, {_LAYERS}",
    ".pt": "is a PyTorch file: `peephole import` reads modules, `peephole predict-weights` weights as safetensors",
    ".keras": f"is a Keras model: {_LAYERS}",
}
_OTHER_FILES |= {".pth": _OTHER_FILES[".pt"], ".h5": _OTHER_FILES[".keras"]}

Places = Mapping[str, str]
"""Where parts of a body stand in its file: prefixes of JSON Pointers, and what is written instead."""


@dataclass(frozen=True)
class Networks:
    """The networks of a file, as the body of a request, and where they stand in the file."""

    file: Path
    body: PredictRequest
    places: Places

    @property
    def architectures(self) -> list[Candidate]:
        """The networks; at least one."""
        return self.body["architectures"]

    def error(self, *faults: Fault) -> ValueError:
        """Return an error of one line that names the file and the place of the first fault."""
        return _error(self.file, self.places, faults)


def read_networks(file: Path) -> Networks:
    """Read and validate networks.

    Raises:
        ValueError: one line with the file, the place and what is wrong there.
    """
    if file.suffix.lower() in _OTHER_FILES:
        raise ValueError(f"{file} {_OTHER_FILES[file.suffix.lower()]}")
    if file.suffix.lower() == ".onnx":
        document, places = _read_onnx(file)
    else:
        document, places = _read_json(file)
    rest: list[Any] = []  # a file may hold more networks than a request
    if isinstance(document, dict) and isinstance(document.get("architectures"), list):
        rest = document["architectures"][1:]
        document = {**document, "architectures": document["architectures"][:1]}
    base: tuple[str | int, ...] = ()
    try:
        body = PREDICT_REQUEST.validate_python(document)
        for index, one in enumerate(rest, start=1):
            base = ("architectures", index)
            body["architectures"].append(CANDIDATE.validate_python(one))
    except ValidationError as error:
        raise _error(file, places, faults_of(error, base, Candidate if base else PredictRequest)) from None
    return Networks(file, body, places)


def _read_onnx(file: Path) -> tuple[Any, Places]:
    known = PredictRequest.__annotations__
    return {name: value for name, value in import_onnx(file).items() if name in known}, {}


def _read_json(file: Path) -> tuple[Any, Places]:
    content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    try:
        return _as_body(content.removeprefix(BYTE_ORDER_MARK))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _as_body(content: bytes) -> tuple[Any, Places]:
    """Return what a file holds as a request body; it is not validated yet.

    Raises:
        ValueError: when the file is neither JSON nor JSON Lines, or holds no network.
    """
    try:
        document = from_json(content)
    except ValueError as error:
        return _join(_json_lines(content, not_json(str(error))))
    if isinstance(document, dict) and "layers" in document and "architectures" not in document:
        return {"architectures": [document]}, {"/architectures/0": ""}
    if not isinstance(document, list):
        return document, {}
    if any(isinstance(item, dict) and "type" in item and "layers" not in item for item in document):
        return {"architectures": [{"layers": document}]}, {"/architectures/0/layers": ""}
    return _join([(item, f"/{index}") for index, item in enumerate(document)])


def _json_lines(content: bytes, why_not_json: str) -> list[tuple[Any, str]]:
    """Return the networks of JSON Lines, each with the number of its line."""
    found: list[tuple[Any, str]] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append((from_json(line), f"line {number}: "))
        except ValueError as error:
            if not found:  # these were no JSON Lines
                raise ValueError(why_not_json) from None
            message = not_json(str(error)).replace("(line 1 column", "(column")
            raise ValueError(f"line {number}: {message}") from None
    return found


def _join(items: Iterable[tuple[Any, str]]) -> tuple[Any, Places]:
    """Return networks, or their layer lists, as a body."""
    networks, places = [], {}
    for index, (item, place) in enumerate(items):
        is_bare = isinstance(item, list)
        networks.append({"layers": item} if is_bare else item)
        places[f"/architectures/{index}/layers" if is_bare else f"/architectures/{index}"] = place
    if not networks:
        raise ValueError("holds no network")
    return {"architectures": networks}, places


def _error(file: Path, places: Places, faults: Sequence[Fault]) -> ValueError:
    where = faults[0].pointer
    for prefix, place in places.items():
        if where == prefix or where.startswith(f"{prefix}/"):
            where = place + where.removeprefix(prefix)
            break
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    said = ": ".join(part for part in (str(file), where.removesuffix(": "), faults[0].detail) if part)
    return ValueError(said + more)
