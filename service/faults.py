"""Pydantic's errors as faults: true JSON Pointers, sentences that never quote the input."""

import re
from collections.abc import Iterable, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from service import unreadable
from service.problems import MAX_FAULTS, MAX_TEXT, Fault

_PAIRS = frozenset({"kernel_size", "stride"})
_SHARES = frozenset({"observed", "best", "confidence"})
_SENTENCES = {
    "union_tag_not_found": "a layer is an object with a `type`",
    "dict_type": "a layer is an object with a `type`",
    "extra_forbidden": "unknown field",
    "missing": "required",
}
_VALUES = {
    "model_type": "must be an object with `layers` or `codes`",
    "list_type": "must be a list",
    "too_short": "must hold at least one",
    "string_type": "must be a string",
    "string_too_long": "must have at most {max_length} characters",
    "int_type": "must be an integer",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than": "must be more than {gt:.7g}",
    "greater_than_equal": "must be at least {ge:.7g}",
    "less_than": "must be less than {lt:.7g}",
    "less_than_equal": "must be at most {le:.7g}",
}
_TOO_MUCH = frozenset({"less_than", "less_than_equal"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")


def pointer(*parts: str | int) -> str:
    """Return the JSON Pointer (RFC 6901) of a path."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _detail(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    if error["type"] in _SENTENCES:
        return _SENTENCES[error["type"]]
    if error["type"] == "json_invalid":
        return unreadable.reason(str(context.get("error")))
    if error["type"] in {"union_tag_invalid", "literal_error"}:  # pydantic's own message quotes the tag it found
        return f"must be one of {context.get('expected_tags') or context.get('expected')}"
    if _PAIRS & set(error["loc"]):
        return "must be an integer of at least 1 and at most 1024, or two of them: [height, width]"
    if error["type"] in _VALUES:
        sentence = _VALUES[error["type"]].format(**context)
        is_share = error["type"] in _TOO_MUCH and _SHARES & set(error["loc"])
        return sentence + ("; divide percent by 100" if is_share else "")
    return error["msg"].removeprefix("Value error, ")[:MAX_TEXT]


def _location(error: ErrorDetails, tags: frozenset[str]) -> list[str | int]:
    """Return an error's path without the union's tag, and without an unknown field's name unless it looks like one."""
    location = list(error["loc"])
    if location and location[0] in tags:
        location = location[1:]
    if error["type"] == "extra_forbidden" and not _NAME.fullmatch(str(location[-1])):
        return location[:-1]
    if error["type"] == "union_tag_invalid":
        return [*location, "type"]
    if len(location) > 1 and location[-2] in _PAIRS:
        return location[:-1]  # it may have been one integer, which has no elements to point at
    return location


def of(error: ValidationError, base: Sequence[str | int] = (), tags: Iterable[str] = ()) -> list[Fault]:
    """Return the faults that a validation error holds.

    Args:
        error: from a model that validated the value at `base`.
        base: path of that value in the request.
        tags: tags of the discriminated union at the value's top, which pydantic puts into the location.
    """
    names = frozenset(tags)
    found = error.errors(include_url=False, include_input=False)[: MAX_FAULTS + 1]
    listed = [Fault(pointer(*base, *_location(e, names)), e["type"].replace("_", "-"), _detail(e)) for e in found]
    return list(dict.fromkeys(listed))
