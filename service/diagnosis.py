"""Say everything that is wrong with one architecture; slow and thorough, for requests that will be refused anyway."""

from collections.abc import Sequence

import msgspec
from pydantic import ValidationError

from model.ulc import CodeError, encode
from service import faults
from service.codes import check_row
from service.envelope import CandidateText
from service.problems import Fault
from service.schemas import Candidate
from service.vocabulary import LAYER, LAYER_TYPES, ROW, Vocabulary

Path = Sequence[str | int]


def of_candidate(text: msgspec.Raw, path: Path) -> list[Fault]:
    """Return what is wrong with an architecture object whose own fields do not fit its schema."""
    try:
        Candidate.model_validate_json(bytes(text))
    except ValidationError as error:
        return [_without_tag(fault, path) for fault in faults.of(error, path)]
    return [Fault(faults.pointer(*path), "invalid", "not an architecture")]


def _without_tag(fault: Fault, path: Path) -> Fault:
    """Drop the layer type that pydantic puts after a layer's index: /layers/3/conv/stride is /layers/3/stride."""
    parts = fault.pointer.split("/")
    place = len(path) + 3
    if len(parts) > place and parts[len(path) + 1] == "layers" and parts[place] != "type":
        del parts[place]
    return Fault("/".join(parts), fault.code, fault.detail)


def of_layers(candidate: CandidateText, vocabulary: Vocabulary, path: Path, *, clamp: bool) -> list[Fault]:
    """Return what is wrong with a list of layers: each layer by itself, then against the code."""
    found: list[Fault] = []
    layers = []
    for index, text in enumerate(candidate.layers or ()):
        try:
            layers.append(LAYER.validate_json(bytes(text)))
        except ValidationError as error:
            found += faults.of(error, (*path, "layers", index), LAYER_TYPES)
    if found:
        return found
    try:
        encode(layers, vocabulary.code, vocabulary.image, clamp=clamp)
    except CodeError as error:
        return [
            Fault(faults.pointer(*path, "layers", f.layer, f.field), "outside-code", f.message) for f in error.faults
        ]
    return [Fault(faults.pointer(*path, "layers"), "invalid", "not a layer list")]


def of_codes(candidate: CandidateText, vocabulary: Vocabulary, path: Path) -> list[Fault]:
    """Return what is wrong with a network given as rows of its code."""
    found: list[Fault] = []
    for index, text in enumerate(candidate.codes or ()):
        where = (*path, "codes", index)
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
