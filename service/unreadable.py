"""Why a text is refused that is JSON to one parser, which passed over it, and not to the one that reads it; and where.

The grammar sets no limit to the digits of a number or to nesting; the parser that reads does.
"""

import re
from collections.abc import Iterable

import msgspec
from pydantic_core import from_json

MOST_BYTES = 64 * 1024  # of a text that is searched
TAIL_BYTES = 64
MOST_STEPS = 6  # more than a kernel size in a layer of an architecture needs
TOO_MANY_DIGITS = "a number has too many digits"
_REASONS = {
    "number out of range": TOO_MANY_DIGITS,
    "recursion limit": "nested too deeply",
    "unicode code point": "a string is not UTF-8",
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_HALF = re.compile(rb"(?<!\\)(?:\\\\)*\\u[dD][89abAB][0-9a-fA-F]{2}(?:[^\\]|\\[^u]).{0,4}\Z", re.DOTALL)


def reason(message: str) -> str:
    """Return what pydantic's message on a JSON text means, in words of ours."""
    return next((ours for theirs, ours in _REASONS.items() if theirs in message), "not valid JSON")


def is_half_a_pair(message: str, text: bytes) -> bool:
    """Whether msgspec's message on a text is about half a surrogate pair.

    One that is close to the end of the text is taken for a text that is truncated.
    """
    if message == "Input data was truncated":
        return _HALF.search(text[-TAIL_BYTES:]) is not None
    return "surrogate pair" in message or "hex escape" in message


def locate(text: bytes) -> list[str | int]:
    """Return the path to what cannot be read of a text, as far as names are plain and the search is cheap."""
    path: list[str | int] = []
    while len(text) <= MOST_BYTES and len(path) < MOST_STEPS:
        found = next(((name, part) for name, part in _parts(text) if not _is_readable(part)), None)
        if found is None or not (isinstance(found[0], int) or _NAME.fullmatch(found[0])):
            break
        path.append(found[0])
        text = found[1]
    return path


def _parts(text: bytes) -> Iterable[tuple[str | int, bytes]]:
    try:
        if text.lstrip()[:1] == b"{":
            return [(name, bytes(part)) for name, part in _FIELDS.decode(text).items()]
        return [(index, bytes(part)) for index, part in enumerate(_LIST.decode(text))]
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return []


def _is_readable(text: bytes) -> bool:
    try:
        from_json(text)
    except ValueError:
        return False
    return True
