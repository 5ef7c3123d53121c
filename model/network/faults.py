"""Pydantic's validation errors as faults: a JSON Pointer each, in sentences that never quote a value."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from .schema import FIELDS

MAX_NAME = 64  # characters of a field's name that a message repeats

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_UNION_LABEL = re.compile(r"constrained-\w+|\w+\[.*\]|int|float|function-.*", re.DOTALL)
_PAIRS = {"kernel_size", "stride"}
_SCALAR_OR_LIST = _PAIRS | {"epochs"}
_ACCURACIES = {"observed", "best", "confidence", "accuracy"}
_SPELLINGS = {
    "conv": ("convolution", "separableconv"),
    "max_pool": ("maxpooling",),
    "avg_pool": ("averagepool", "averagepooling", "avgpooling", "meanpool"),
    "global_avg_pool": ("globalaveragepool", "globalaveragepooling", "adaptiveavgpool", "gap"),
    "batch_norm": ("batchnormalization", "batchnormalisation", "bn"),
    "linear": ("dense", "fc", "gemm", "fullyconnected", "innerproduct"),
}  # of PyTorch, Keras, ONNX and Caffe, as `_normalised`
_INEXPRESSIBLE = {
    "groups": "grouped convolutions cannot be expressed",
    "dilation": "dilated convolutions cannot be expressed",
    "dilations": "dilated convolutions cannot be expressed",
    "dilation_rate": "dilated convolutions cannot be expressed",
    "padding": 'padding is always "same"',
    "pads": 'padding is always "same"',
}
_CODES = {
    "missing": "missing",
    "union_tag_not_found": "missing",
    "extra_forbidden": "unknown-field",
    "union_tag_invalid": "unknown-type",
    "literal_error": "unknown-value",
    "json_invalid": "not-json",
    "too_short": "too-short",
    "too_long": "too-long",
    "string_too_long": "too-long",
    "one_width": "one-width",
}
_OUT_OF_RANGE = {
    "greater_than": "must be more than {gt:.7g}",
    "greater_than_equal": "must be at least {ge:.7g}",
    "less_than": "must be less than {lt:.7g}",
    "less_than_equal": "must be at most {le:.7g}",
}
_SENTENCES = {
    **_OUT_OF_RANGE,
    "literal_error": "must be one of {expected}",
    "too_short": "must hold at least one element",
    "too_long": "must hold at most {max_length} elements",
    "string_too_long": "must have at most {max_length} characters",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "union_tag_not_found": "a layer is an object with a `type`",
}
_NOT_JSON = {
    "number out of range": "a number has too many digits",
    "recursion limit": "it is nested too deeply",
    "unicode code point": "a string is not UTF-8",
    "hex escape": "a string holds half of a surrogate pair",
    "surrogate": "a string holds half of a surrogate pair",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a document: a JSON Pointer (RFC 6901) to it, a stable code, a sentence that quotes no value."""

    pointer: str
    code: str
    detail: str


def pointer(*path: str | int) -> str:
    """Return the JSON Pointer of a path."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def faults_of(error: ValidationError, base: Sequence[str | int] = ()) -> list[Fault]:
    """Return the faults of a validation error, one for each path.

    Args:
        error: from validating the value at `base`.
        base: path of that value in the document.
    """
    found: dict[str, Fault] = {}
    for one in error.errors(include_url=False, include_input=False):
        path = _path(one)
        where = pointer(*base, *path)
        found.setdefault(where, Fault(where, _code(one), _detail(one, path)))
    return list(found.values())


def did_you_mean(layer_type: str) -> str | None:
    """Return the layer type that a spelling of another framework, or a misspelling, stands for."""
    wanted = _normalised(layer_type)
    for known in FIELDS:
        if wanted == _normalised(known) or wanted in _SPELLINGS.get(known, ()):
            return str(known)
    close = get_close_matches(wanted, [_normalised(known) for known in FIELDS], n=1)
    return next((str(known) for known in FIELDS if close and _normalised(known) == close[0]), None)


def _normalised(layer_type: str) -> str:
    return re.sub(r"[^a-z]|[123]d$", "", layer_type[:MAX_NAME].lower())


def _path(error: ErrorDetails) -> list[str | int]:
    """Return the path to a fault: pydantic's location without the labels of unions."""
    path: list[str | int] = []
    for part in error["loc"]:
        if path and path[-1] in _SCALAR_OR_LIST:  # a single integer has no elements
            return path
        if not _is_label(part, path):
            path.append(part)
    if error["type"] == "extra_forbidden" and not _NAME.fullmatch(str(path[-1])):
        return path[:-1]
    return [*path, "type"] if error["type"] == "union_tag_invalid" else path


def _is_label(part: str | int, path: Sequence[str | int]) -> bool:
    """Whether pydantic put a part into a location to say which arm of a union it tried."""
    is_in_layer = len(path) > 1 and path[-2] == "layers" and isinstance(path[-1], int)
    return (is_in_layer and part in FIELDS) or _UNION_LABEL.fullmatch(str(part)) is not None


def _code(error: ErrorDetails) -> str:
    kind = error["type"]
    return _CODES.get(kind) or ("out-of-range" if kind in _OUT_OF_RANGE else "wrong-type")


def _detail(error: ErrorDetails, path: Sequence[str | int]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    field = path[-1] if path else ""
    if kind == "json_invalid":
        return not_json(str(context.get("error")))
    if kind == "extra_forbidden":
        return _unknown_field(error)
    if kind == "missing" and error["loc"][-1] == field:
        return _missing(field)
    if field in _PAIRS:
        return "must be an integer from 1 to 1024, or a list of two integers: [height, width]"
    if field == "epochs":
        return "must be an integer of at least 1, or a list of such integers"
    if kind == "union_tag_invalid":
        return _unknown_type(str(context.get("tag")))
    if kind == "dict_type" and len(path) > 1 and path[-2] == "layers":
        kind = "union_tag_not_found"
    sentence = _SENTENCES[kind].format(**context) if kind in _SENTENCES else error["msg"]
    is_share = kind.startswith("less_than") and not _ACCURACIES.isdisjoint(map(str, path))
    return f"{sentence}; divide percent by 100" if is_share else sentence


def not_json(message: str) -> str:
    """Return why a text is not JSON, with the place: `message` is the parser's."""
    reason, _, place = message.partition(" at line ")
    reason = next((ours for theirs, ours in _NOT_JSON.items() if theirs in reason), reason)
    return f"not JSON: {reason} (line {place})" if place else f"not JSON: {reason}"


def _missing(field: str | int) -> str:
    if field == "architectures":
        return "`architectures` is missing: a list of networks, each an object with `layers`"
    return "is missing"


def _unknown_type(tag: str) -> str:
    meant = did_you_mean(tag)
    listed = ", ".join(FIELDS)
    return f"did you mean `{meant}`? The types are: {listed}" if meant else f"must be one of: {listed}"


def _unknown_field(error: ErrorDetails) -> str:
    """Say which fields there are, and of well-known fields why they are none."""
    location = error["loc"]
    layer_type = location[-2] if len(location) > 1 else None
    if layer_type not in FIELDS:
        return "unknown field"
    fields = ", ".join(FIELDS[str(layer_type)])
    has = f"the fields of {layer_type} are: {fields}" if fields else f"{layer_type} has no field but `type`"
    why = _INEXPRESSIBLE.get(str(location[-1])) if layer_type in ("conv", "max_pool", "avg_pool") else None
    return f"unknown field; {why}; {has}" if why else f"unknown field; {has}"
