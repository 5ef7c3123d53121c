"""Layer lists to codes at the speed of a look-up.

The candidates of a search are made of few distinct layers. A vocabulary remembers what each layer's JSON text meant at
each shape of the feature map: reading a network is one dictionary look-up a layer, and only text never seen before is
parsed, validated (`model.architecture`) and encoded (`model.ulc`). Those two alone decide what is valid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from threading import Lock
from typing import get_args

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from model.architecture import Conv, Layer, LayerType
from model.shapes import Shape, after
from model.ulc import CodeError, Fault, LayerCode, encode
from service.codes import check_row

Ints = NDArray[np.int32]
LAYER: TypeAdapter[Layer] = TypeAdapter(Layer)
LAYER_TYPES = frozenset(get_args(LayerType))
ROW: TypeAdapter[list[int]] = TypeAdapter(list[int])
MAX_ENTRIES = 100_000
MAX_TEXT_BYTES = 4096  # of a layer or a row; longer ones are refused
REMEMBERED_BYTES = 256  # longer ones are read again each time, so that no caller can fill the memory with blanks


class UnknownTextError(Exception):
    """A layer or row that is not valid here; `faults.py` and `diagnose` find out why."""


class _State(dict[bytes, tuple[int, "_State"]]):
    """A place in a network: from the text of the next layer to its row and the next place."""

    __slots__ = ("is_stem", "shape")

    def __init__(self, shape: Shape, is_stem: bool) -> None:
        super().__init__()
        self.shape = shape
        self.is_stem = is_stem


def _split(text: bytes, begin: bytes, close: bytes) -> list[bytes]:
    """Split the text of a JSON list into elements as they are remembered: after a comma, without the end.

    The parts may be nonsense (a string can hold anything). But when each of them belongs to a valid element, then the
    list is made of just those.

    Raises:
        KeyError: when it is no list of such elements.
    """
    if not (text.startswith(b"[" + begin) and text.endswith(close + b"]")):
        raise KeyError
    return (b"," + text[1:-2]).split(close)


def _spelling(text: bytes, comma: bytes = b",") -> bytes:
    """Return what `_split` makes of an element that comes after a comma, which a blank may follow."""
    return comma + text[:-1]


@dataclass(frozen=True, slots=True)
class Reading:
    """A network as indices into the vocabulary's rows [layers], and what was clamped."""

    rows: list[int]
    clamped: Sequence[Fault] = ()


class Vocabulary:
    """What was learnt about layer texts for one code and image shape. Safe to use from several threads."""

    def __init__(self, code: LayerCode, image: Shape) -> None:
        self.code = code
        self.image = image
        self.entries = 0
        self._lock = Lock()
        self._states: dict[tuple[Shape, bool], _State] = {}
        self._row_ids: dict[tuple[int, ...], int] = {}
        self._table: Ints = np.zeros((256, len(code.columns)), dtype=np.int32)
        self._clamps: list[tuple[int, Fault]] = []
        self._code_texts: dict[bytes, int] = {}
        self._start = self._state(image, True)

    def read_layers(self, layers: Sequence[msgspec.Raw]) -> Reading:
        """Read a network given as layer objects.

        Raises:
            UnknownTextError: when a layer is invalid or outside the code.
        """
        state = self._start
        rows: list[int] = []
        for layer in layers:
            text = bytes(layer)
            row, state = state.get(_spelling(text)) or self._learn(state, text)
            rows.append(row)
        if min(rows) >= 0:
            return Reading(rows)
        clamped = []
        for index, row in enumerate(rows):
            if row < 0:
                rows[index], fault = self._clamps[-row - 1]
                clamped.append(Fault(index, fault.field, fault.message))
        return Reading(rows, clamped)

    def read_codes(self, codes: Sequence[msgspec.Raw]) -> Reading:
        """Read a network given as rows of its code.

        Raises:
            UnknownTextError: when a row is outside the code's table.
        """
        known = self._code_texts
        texts = map(bytes, codes)
        return Reading([known.get(_spelling(text)) or self._learn_row(text) for text in texts])

    def layers_of(self, text: bytes) -> list[int]:
        """Return the rows of a list of layer objects, all met before and none of them clamped.

        Raises:
            KeyError: when one was not met before, or was clamped.
        """
        state = self._start
        rows: list[int] = []
        for layer in _split(text, b"{", b"}"):
            row, state = state[layer]
            rows.append(row)
        if min(rows) < 0:
            raise KeyError
        return rows

    def codes_of(self, text: bytes) -> list[int]:
        """Return the rows of a network's code, all met before.

        Raises:
            KeyError: when one was not.
        """
        return list(map(self._code_texts.__getitem__, _split(text, b"[", b"]")))

    def gather(self, rows: Sequence[Sequence[int]]) -> list[Ints]:
        """Return the codes [layers, columns] of each network, given as indices of rows."""
        if len(rows) == 1:
            return [self._table.take(rows[0], axis=0)]
        ends = list(accumulate(map(len, rows)))
        flat = self._table.take(np.fromiter(chain.from_iterable(rows), dtype=np.intp, count=ends[-1]), axis=0)
        return [flat[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def _learn(self, state: _State, text: bytes) -> tuple[int, _State]:
        """Validate and encode a layer's text at a place where it was not seen before."""
        if len(text) > MAX_TEXT_BYTES:
            raise UnknownTextError
        try:
            layer = LAYER.validate_json(text)
            encoding = encode([layer], self.code, state.shape, clamp=True, is_stem=state.is_stem)
        except (ValidationError, CodeError) as error:
            raise UnknownTextError from error
        is_stem = state.is_stem and not isinstance(layer, Conv)
        with self._lock:
            row = self._row_id(tuple(encoding.codes[0].tolist()))
            if encoding.clamped:
                self._clamps.append((row, encoding.clamped[0]))
                row = -len(self._clamps)
            found = row, self._state(after(layer, state.shape), is_stem)
            if self._remembers(text):
                state[_spelling(text)] = state[_spelling(text, b", ")] = found
            return found

    def _remembers(self, text: bytes) -> bool:
        """Count what was learnt; say whether to remember its text."""
        self.entries += 1
        return len(text) <= REMEMBERED_BYTES and self.entries <= MAX_ENTRIES

    def _learn_row(self, text: bytes) -> int:
        if len(text) > MAX_TEXT_BYTES:
            raise UnknownTextError
        try:
            row = ROW.validate_json(text, strict=True)
        except ValidationError as error:
            raise UnknownTextError from error
        if check_row(row, self.code, self.image):
            raise UnknownTextError
        with self._lock:
            index = self._row_id(tuple(row))
            if self._remembers(text):
                self._code_texts[_spelling(text)] = self._code_texts[_spelling(text, b", ")] = index
            return index

    def _state(self, shape: Shape, is_stem: bool) -> _State:
        return self._states.setdefault((shape, is_stem), _State(shape, is_stem))

    def _row_id(self, row: tuple[int, ...]) -> int:
        """Return the index of a row of the table, adding it when new; 0 stays the padding."""
        index = self._row_ids.setdefault(row, len(self._row_ids) + 1)
        if index == len(self._table):
            self._table = np.concatenate([self._table, np.zeros_like(self._table)])
        self._table[index] = row
        return index
