"""Say everything that is wrong with one architecture; slow and thorough, for requests that will be refused anyway."""

from collections.abc import Sequence

import msgspec
from pydantic import ValidationError

from model.encoding.layer_code import CodeError, encode
from model.encoding.layer_code import Fault as CodeFault
from model.network.schema import Layer
from service import faults, unreadable
from service.codes import check_row
from service.envelope import CandidateText
from service.problems import MAX_FAULTS, Fault
from service.schemas import Candidate
from service.vocabulary import LAYER, LAYER_TYPES, MAX_TEXT_BYTES, ROW, Vocabulary

Path = Sequence[str | int]
THOROUGH_BYTES = 64 * 1024  # of an architecture: a hundred layers many times over
CLAMP_HINT = '"out_of_range": "clamp" takes the nearest bin'


def of_candidate(text: msgspec.Raw, path: Path) -> list[Fault]:
    """Return what is wrong with an architecture object whose own fields do not fit its schema.

    Pydantic keeps every error it finds, a kilobyte each: a text that could hold too many is not gone through.
    """
    if len(bytes(text)) > THOROUGH_BYTES:
        return [Fault(faults.pointer(*path), "invalid", "not an architecture, and too long to say why")]
    try:
        Candidate.model_validate_json(bytes(text))
    except ValidationError as error:
        found = [_without_tag(fault, path) for fault in faults.of(error, path)]
        if [fault.detail for fault in found] == [unreadable.TOO_MANY_DIGITS]:
            at = faults.pointer(*path, *unreadable.locate(bytes(text)))
            return [Fault(at, "too-long", unreadable.TOO_MANY_DIGITS)]
        return found
    return [Fault(faults.pointer(*path), "invalid", "not an architecture")]


def _without_tag(fault: Fault, path: Path) -> Fault:
    """Drop the layer type that pydantic puts after a layer's index: /layers/3/conv/stride is /layers/3/stride."""
    parts = fault.pointer.split("/")
    place = len(path) + 3
    if len(parts) > place and parts[len(path) + 1] == "layers" and parts[place] != "type":
        del parts[place]
    return Fault("/".join(parts), fault.code, fault.detail)


def _too_long(path: Path) -> Fault:
    return Fault(faults.pointer(*path), "too-long", f"takes more than {MAX_TEXT_BYTES} bytes")


def of_layers(candidate: CandidateText, vocabulary: Vocabulary, path: Path, *, clamp: bool) -> list[Fault]:
    """Return what is wrong with a list of layers: each layer by itself, then against the code."""
    found: list[Fault] = []
    layers = []
    for index, text in enumerate(candidate.layers or ()):
        if len(found) > MAX_FAULTS:
            break
        if len(bytes(text)) > MAX_TEXT_BYTES:
            found.append(_too_long((*path, "layers", index)))
            continue
        try:
            layers.append(LAYER.validate_json(bytes(text)))
        except ValidationError as error:
            found += faults.of(error, (*path, "layers", index), LAYER_TYPES)
    if found:
        return found
    wrong = _outside_code(layers, vocabulary, clamp=clamp)
    lasting = set(wrong if clamp else _outside_code(layers, vocabulary, clamp=True))
    found = [
        Fault(
            faults.pointer(*path, "layers", fault.layer, fault.field),
            "outside-code",
            fault.message if fault in lasting else f"{fault.message}; {CLAMP_HINT}",
        )
        for fault in wrong
    ]
    return found or [Fault(faults.pointer(*path, "layers"), "invalid", "not a layer list")]


def _outside_code(layers: Sequence[Layer], vocabulary: Vocabulary, *, clamp: bool) -> Sequence[CodeFault]:
    try:
        encode(layers, vocabulary.code, vocabulary.image, clamp=clamp)
    except CodeError as error:
        return error.faults
    return ()


def of_codes(candidate: CandidateText, vocabulary: Vocabulary, path: Path) -> list[Fault]:
    """Return what is wrong with a network given as rows of its code."""
    found: list[Fault] = []
    for index, text in enumerate(candidate.codes or ()):
        where = (*path, "codes", index)
        if len(found) > MAX_FAULTS:
            break
        if len(bytes(text)) > MAX_TEXT_BYTES:
            found.append(_too_long(where))
            continue
        try:
            row = ROW.validate_json(bytes(text), strict=True)
        except ValidationError as error:
            found += faults.of(error, where)
            continue
        wrong = check_row(row, vocabulary.code, vocabulary.image)
        if wrong is not None:
            column, message = wrong
            found.append(Fault(faults.pointer(*where, *([] if column is None else [column])), "outside-code", message))
    return found or [Fault(faults.pointer(*path, "codes"), "invalid", "not a list of codes")]
