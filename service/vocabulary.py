"""Layer lists to codes at the speed of a look-up.

The candidates of a search are made of few distinct layers. A vocabulary remembers what each layer's JSON text meant at
each shape of the feature map: reading a network is one dictionary look-up a layer, and only text never seen before is
parsed, validated (`model.network.schema`) and encoded (`model.encoding`). Those two alone decide what is valid.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from threading import Lock
from typing import get_args

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from model.encoding.layer_code import CodeError, Fault, LayerCode, encode
from model.network.schema import Conv, Layer, LayerType
from model.network.shapes import Shape, after
from service.codes import check_row

Ints = NDArray[np.int32]
LAYER: TypeAdapter[Layer] = TypeAdapter(Layer)
LAYER_TYPES = frozenset(get_args(LayerType))
ROW: TypeAdapter[list[int]] = TypeAdapter(list[int])
MAX_ENTRIES = 100_000
MAX_TEXT_BYTES = 4096  # of a layer or a row; longer ones are refused
END = -1  # stands in place of a row behind a network's last; no code is negative
REMEMBERED_BYTES = 256  # longer ones are read again each time, so that no caller can fill the memory with blanks


class UnknownTextError(Exception):
    """A layer or row that is not valid here; `faults.py` and `diagnose` find out why."""


class _State(dict[bytes, tuple[bytes, "_State"]]):
    """A place in a network: from the text of the next layer to its row of the code and the next place.

    The row is empty where something was clamped; `clamped` then has it, and what was clamped.
    """

    __slots__ = ("clamped", "is_stem", "shape")

    def __init__(self, shape: Shape, is_stem: bool) -> None:
        super().__init__()
        self.shape = shape
        self.is_stem = is_stem
        self.clamped: dict[bytes, tuple[bytes, Fault]] = {}


def _spelling(text: bytes, comma: bytes = b",") -> bytes:
    """Return an element of a JSON list as it is remembered: after a comma, which a blank may follow, without its end.

    Lists are split at the ends of their elements. The parts may be nonsense (a string can hold anything). But when each
    of them belongs to a valid element, then the list is made of just those.
    """
    return comma + text[:-1]


def _spellings(text: bytes) -> tuple[bytes, bytes]:
    """Return what an element may be among the parts of a list."""
    return _spelling(text), _spelling(text, b", ")


@dataclass(frozen=True, slots=True)
class Reading:
    """A network: the rows of its code one after the other, int32, and what was clamped."""

    rows: bytes
    clamped: Sequence[Fault] = ()


class Vocabulary:
    """What was learnt about layer texts for one code and image shape. Safe to use from several threads."""

    def __init__(self, code: LayerCode, image: Shape) -> None:
        self.code = code
        self.image = image
        self.entries = 0
        self._lock = Lock()
        self._states: dict[tuple[Shape, bool], _State] = {}
        self._row_bytes = len(code.columns) * np.dtype(np.int32).itemsize
        self._rows: dict[bytes, bytes] = {}
        end = np.full(len(code.columns), END, dtype=np.int32).tobytes()
        self._code_texts = {b"": end}  # nothing is left of a list behind its last row
        self._start = self._state(image, True)

    def read_layers(self, layers: Sequence[msgspec.Raw]) -> Reading:
        """Read a network given as layer objects.

        Raises:
            UnknownTextError: when a layer is invalid or outside the code.
        """
        state = self._start
        rows: list[bytes] = []
        clamped: list[Fault] = []
        for index, layer in enumerate(layers):
            text = bytes(layer)
            row, fault, state = self._layer(state, text)
            rows.append(row)
            if fault is not None:
                clamped.append(Fault(index, fault.field, fault.message))
        return Reading(b"".join(rows), clamped)

    def read_codes(self, codes: Sequence[msgspec.Raw]) -> Reading:
        """Read a network given as rows of its code.

        Raises:
            UnknownTextError: when a row is outside the code's table.
        """
        texts = enumerate(map(bytes, codes))
        return Reading(b"".join([self._row(text, is_first=place == 0) for place, text in texts]))

    def layers_of(self, texts: Sequence[bytes]) -> list[Ints]:
        """Return the codes [layers, columns] of lists of layer objects, each text valid JSON.

        Raises:
            KeyError: when a layer was not met before, or was clamped.
        """
        return self.codes([self._rows_of(text) for text in texts])

    def codes_of(self, texts: Sequence[bytes]) -> list[Ints]:
        """Return the codes [layers, columns] of lists of rows, each text valid JSON.

        All are read in one go: nothing is left of a list behind its last row, nor of all lists behind the last one.

        Raises:
            KeyError: when a row was not met before.
        """
        parts = b"".join(texts).split(b"]")
        every = self._joined(map(self._code_texts.__getitem__, parts))
        ends = np.flatnonzero(every[:, 0] == END).tolist()
        return [every[start:end] for start, end in zip([0, *(end + 1 for end in ends)], ends[:-1], strict=False)]

    def codes(self, networks: Sequence[bytes]) -> list[Ints]:
        """Return the codes [layers, columns] of networks, each given as its rows."""
        every = self._joined(networks)
        if len(networks) == 1:
            return [every]
        ends = list(accumulate(len(rows) // self._row_bytes for rows in networks))
        return [every[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def _rows_of(self, text: bytes) -> bytes:
        if not (text.startswith(b"[{") and text.endswith(b"}]")):
            raise KeyError
        state = self._start
        rows: list[bytes] = []
        for layer in (b"," + text[1:-2]).split(b"}"):
            row, state = state[layer]
            rows.append(row)
        if not all(rows):
            raise KeyError
        return b"".join(rows)

    def _joined(self, rows: Iterable[bytes]) -> Ints:
        return np.frombuffer(b"".join(rows), dtype=np.int32).reshape(-1, len(self.code.columns))

    def _layer(self, state: _State, text: bytes) -> tuple[bytes, Fault | None, _State]:
        """Return the row of a layer at a place, what was clamped, and the next place."""
        spelling = _spelling(text)
        known = state.get(spelling)
        if known is None:
            return self._learn(state, text)
        row, after_it = known
        return (row, None, after_it) if row else (*state.clamped[spelling], after_it)

    def _learn(self, state: _State, text: bytes) -> tuple[bytes, Fault | None, _State]:
        """Validate and encode a layer's text at a place where it was not seen before."""
        if len(text) > MAX_TEXT_BYTES:
            raise UnknownTextError
        try:
            layer = LAYER.validate_json(text)
            encoding = encode([layer], self.code, state.shape, clamp=True, is_stem=state.is_stem)
        except (ValidationError, CodeError) as error:
            raise UnknownTextError from error
        is_stem = state.is_stem and not isinstance(layer, Conv)
        fault = encoding.clamped[0] if encoding.clamped else None
        with self._lock:
            row = self._shared(encoding.codes[0])
            after_it = self._state(after(layer, state.shape), is_stem)
            if self._remembers(text):
                for spelling in _spellings(text):
                    if fault is not None:
                        state.clamped[spelling] = row, fault
                    state[spelling] = b"" if fault is not None else row, after_it
            return row, fault, after_it

    def _remembers(self, text: bytes) -> bool:
        """Count what was learnt; say whether to remember its text."""
        self.entries += 1
        return len(text) <= REMEMBERED_BYTES and self.entries <= MAX_ENTRIES

    def _row(self, text: bytes, *, is_first: bool) -> bytes:
        """Return a row; the first of a list has the list's bracket before it."""
        spellings = (_spelling(text, b"["),) if is_first else _spellings(text)
        return self._code_texts.get(spellings[0]) or self._learn_row(text, spellings)

    def _learn_row(self, text: bytes, spellings: Sequence[bytes]) -> bytes:
        if len(text) > MAX_TEXT_BYTES:
            raise UnknownTextError
        try:
            row = ROW.validate_json(text, strict=True)
        except ValidationError as error:
            raise UnknownTextError from error
        if check_row(row, self.code, self.image):
            raise UnknownTextError
        with self._lock:
            found = self._shared(np.array(row, dtype=np.int32))
            if self._remembers(text):
                self._code_texts |= dict.fromkeys(spellings, found)
            return found

    def _state(self, shape: Shape, is_stem: bool) -> _State:
        """Return the place of its kind; one that is forgotten again when too much was met."""
        new = _State(shape, is_stem)
        return self._states.setdefault((shape, is_stem), new) if self.entries <= MAX_ENTRIES else new

    def _shared(self, row: Ints) -> bytes:
        """Return a row as bytes; equal ones are one object, unless too much was met."""
        found = row.tobytes()
        return self._rows.setdefault(found, found) if self.entries <= MAX_ENTRIES else found
