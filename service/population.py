"""The networks of a request, read against one predictor."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from time import monotonic

import msgspec

from model.encoding.layer_code import Fault as CodeFault
from service import diagnosis, faults
from service.aside import too_late
from service.envelope import CandidateText, duplicates, read_candidate
from service.problems import MAX_FAULTS, Fault, invalid
from service.vocabulary import Ints, Reading, UnknownTextError, Vocabulary


@dataclass(frozen=True, slots=True)
class Population:
    """Networks as requested: names, codes int32 [layers, columns] each, notes each, and the curves seen of some."""

    ids: list[str | None]
    codes: list[Ints]
    notes: list[list[str]]
    observed: dict[int, list[float]] = field(default_factory=dict)


def _notes(clamped: Sequence[CodeFault]) -> list[str]:
    return [f"/layers/{fault.layer}/{fault.field}: {fault.message}; took the nearest bin" for fault in clamped]


class _Reader:
    def __init__(self, vocabulary: Vocabulary, *, clamp: bool, max_layers: int) -> None:
        self.vocabulary = vocabulary
        self.clamp = clamp
        self.max_layers = max_layers
        self.found: list[Fault] = []
        self.observed: dict[int, list[float]] = {}

    def read(self, text: msgspec.Raw, index: int) -> tuple[str | None, Reading] | None:
        """Read one architecture, or record what is wrong with it."""
        path = ("architectures", index)
        try:
            candidate = read_candidate(text)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            self.found += diagnosis.of_candidate(text, path)
            return None
        rows = candidate.codes if candidate.layers is None else candidate.layers
        if rows is None or (candidate.codes is not None and candidate.layers is not None):
            self.found += diagnosis.of_candidate(text, path)
            return None
        if len(rows) > self.max_layers:
            where = faults.pointer(*path, "codes" if candidate.layers is None else "layers")
            self.found.append(Fault(where, "too-long", f"{len(rows)} are more than the limit of {self.max_layers}"))
            return None
        if candidate.observed is not None:
            self.observed[index] = candidate.observed
        channels = self.vocabulary.image.channels
        if candidate.in_channels not in (None, channels):
            where = faults.pointer(*path, "in_channels")
            self.found.append(Fault(where, "outside-code", f"the task's images have {channels} channels"))
        reading = self._read_codes(candidate, path) if candidate.layers is None else self._read_layers(candidate, path)
        return None if reading is None else (candidate.id, reading)

    def _read_layers(self, candidate: CandidateText, path: tuple[str, int]) -> Reading | None:
        try:
            reading = self.vocabulary.read_layers(candidate.layers or ())
        except UnknownTextError:
            self.found += diagnosis.of_layers(candidate, self.vocabulary, path, clamp=self.clamp)
            return None
        if reading.clamped and not self.clamp:
            self.found += diagnosis.of_layers(candidate, self.vocabulary, path, clamp=False)
        return reading

    def _read_codes(self, candidate: CandidateText, path: tuple[str, int]) -> Reading | None:
        try:
            return self.vocabulary.read_codes(candidate.codes or ())
        except UnknownTextError:
            self.found += diagnosis.of_codes(candidate, self.vocabulary, path)
            return None


def repeated_ids(ids: Sequence[str | None]) -> list[Fault]:
    """Return a fault for each id that an earlier architecture of the request has."""
    detail = "another architecture of the request has this id"
    return [Fault(faults.pointer("architectures", index, "id"), "duplicate", detail) for index in duplicates(ids)]


def read_population(
    texts: Sequence[msgspec.Raw], vocabulary: Vocabulary, *, clamp: bool, max_layers: int, deadline: float = inf
) -> Population:
    """Read the architectures of a request.

    Raises:
        Problem: 422 with a pointer to each fault; reading stops when there are more than will be listed. 504 when the
            deadline (on the monotonic clock) passes meanwhile.
    """
    reader = _Reader(vocabulary, clamp=clamp, max_layers=max_layers)
    read = []
    for index, text in enumerate(texts):
        if monotonic() > deadline:
            raise too_late()
        one = reader.read(text, index)
        if one is not None:
            read.append(one)
        if len(reader.found) > MAX_FAULTS:
            break
    else:
        ids = [name for name, _ in read]
        if not reader.found:
            reader.found += repeated_ids(ids)
    if reader.found:
        raise invalid(reader.found)
    notes = [_notes(reading.clamped) for _, reading in read]
    return Population(ids, vocabulary.codes([reading.rows for _, reading in read]), notes, reader.observed)
