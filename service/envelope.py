"""Take a request's JSON apart without building its layers: fields, then architectures, then layers, as raw text."""

from collections.abc import Sequence
from itertools import islice
from typing import Annotated, NoReturn, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from service import faults, unreadable
from service.problems import MAX_FAULTS, Fault, Problem, invalid

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
Options = TypeVar("Options", bound=BaseModel)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class CandidateFields(msgspec.Struct, forbid_unknown_fields=True):
    """One architecture of a request, its layers or codes still one text, which is empty when it is absent."""

    id: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    in_channels: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    layers: msgspec.Raw = msgspec.Raw()
    codes: msgspec.Raw = msgspec.Raw()
    observed: Annotated[list[Share], msgspec.Meta(min_length=1)] | None = None


class CandidateText(msgspec.Struct):
    """One architecture of a request, each of its layers or codes still text; mirrors `schemas.Candidate`."""

    id: str | None
    in_channels: int | None
    layers: list[msgspec.Raw] | None
    codes: list[msgspec.Raw] | None
    observed: list[float] | None


def read_candidate(text: msgspec.Raw) -> CandidateText:
    """Take an architecture apart; of a name that is given twice the last counts, whatever the first held.

    Raises:
        msgspec.MsgspecError: when it does not fit the schema.
    """
    try:
        found = _CANDIDATE.decode(text)
    except msgspec.ValidationError:
        fields = _FIELDS.decode(text)
        if not fields.keys() <= _NAMES:
            raise
        found = _CANDIDATE.decode(msgspec.json.encode(fields))  # each name is in it once
    layers, codes = (_ROWS.decode(raw) if bytes(raw) else None for raw in (found.layers, found.codes))
    return CandidateText(found.id, found.in_channels, layers, codes, found.observed)


_CANDIDATE = msgspec.json.Decoder(CandidateFields)
_NAMES = frozenset(CandidateFields.__struct_fields__)
_ROWS = msgspec.json.Decoder(Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1)] | None)


def malformed(error: Exception, body: bytes | None = None) -> NoReturn:
    """Raise the 400 for a body, or a part of one, that is not JSON."""
    if isinstance(error, RecursionError):
        reason = "nested too deeply"
    elif isinstance(error, UnicodeDecodeError):
        reason = "a string is not UTF-8"
    elif not isinstance(error, msgspec.DecodeError):
        reason = unreadable.reason(str(error))
    elif body is not None and not body.strip():
        reason = "the body is empty; send one JSON object"
    elif unreadable.is_half_a_pair(str(error), body or b""):
        reason = "a string holds the escape of half a surrogate pair"
    elif str(error) == "Input data was truncated":
        reason = "the JSON ends before it is complete"
    else:
        reason = str(error)
    raise Problem("malformed-json", reason) from None


def read_fields(body: bytes) -> dict[str, msgspec.Raw]:
    """Return the fields of the JSON object that a body holds.

    Raises:
        Problem: 400 when it is not JSON, 422 when it is not an object.
    """
    try:
        return _FIELDS.decode(body)
    except msgspec.ValidationError:
        raise invalid([Fault("", "object-type", "must be a JSON object")]) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        malformed(error, body)


def read_options(kind: type[Options], fields: dict[str, msgspec.Raw]) -> Options:
    """Validate the small fields of a request; unknown fields are refused unread, and no more named than are listed.

    Raises:
        Problem: 422 with a pointer to each fault; 400 for what is not JSON.
    """
    values: dict[str, object] = {}
    for name, raw in fields.items():
        if name not in kind.model_fields:
            continue
        text = bytes(raw)
        try:
            values[name] = from_json(text, allow_inf_nan=False)
        except ValueError as error:
            if unreadable.reason(str(error)) != unreadable.TOO_MANY_DIGITS:
                malformed(error)
            at = faults.pointer(name, *unreadable.locate(text))
            raise invalid([Fault(at, "too-long", unreadable.TOO_MANY_DIGITS)]) from None
    values |= dict.fromkeys(islice((name for name in fields if name not in kind.model_fields), MAX_FAULTS + 1))
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise invalid(faults.of(error)) from None


def read_list(raw: msgspec.Raw | None, name: str, *, most: int) -> list[msgspec.Raw]:
    """Return the elements of the list field `name`, at least one and at most `most`.

    Raises:
        Problem: 422.
    """
    if raw is None:
        raise invalid([Fault(f"/{name}", "missing", "required")])
    try:
        items = _LIST.decode(raw)
    except msgspec.ValidationError:
        raise invalid([Fault(f"/{name}", "list-type", "must be a list")]) from None
    except RecursionError as error:
        malformed(error)
    if not items:
        raise invalid([Fault(f"/{name}", "too-short", "must hold at least one")])
    if len(items) > most:
        raise invalid([Fault(f"/{name}", "too-long", f"{len(items)} are more than the limit of {most}")])
    return items


def duplicates(names: Sequence[str | None]) -> list[int]:
    """Return the indices of names that an earlier element already has."""
    seen: set[str] = set()
    repeated = []
    for index, name in enumerate(names):
        if name is None:
            continue
        if name in seen:
            repeated.append(index)
        seen.add(name)
    return repeated
