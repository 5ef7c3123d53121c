"""Accuracies as JSON: many numbers at once, each looked up in halves of three digits instead of formatted."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from model.accuracies import DECIMALS, rounded

FEW = 8  # lists that JSON's own encoder writes as fast
_HALF = 1000
_BEFORE = np.array([f"{half / _HALF:.3f}".encode() for half in range(_HALF + 1)])  # "0.000" to "1.000"
_AFTER = np.array([f"{half:03d},".encode() for half in range(_HALF)])
_NUMBER = np.dtype([("before", _BEFORE.dtype), ("after", _AFTER.dtype)])
_END = ord("]")


def lists(values: NDArray[np.floating], width: int) -> list[Any]:
    """Return rows of numbers [n, k * width] as n * k lists of `width` numbers that msgspec encodes as JSON, rounded.

    Accuracies of many networks become text here; few numbers, or others than 0 to 1, stay numbers.
    """
    rows = values.reshape(-1, width)
    if len(rows) < FEW or values.min() < 0 or values.max() > 1:
        return list(rounded(rows).tolist())
    before, after = np.divmod(np.rint(rows.astype(np.float64) * 10**DECIMALS).astype(np.intp), _HALF)
    numbers = np.empty(rows.shape, _NUMBER)
    numbers["before"] = _BEFORE.take(before)
    numbers["after"] = _AFTER.take(after)
    characters = numbers.view(np.uint8).reshape(len(rows), -1)
    characters[:, -1] = _END
    text = characters.tobytes()
    size = characters.shape[1]
    return [msgspec.Raw(b"[" + text[start : start + size]) for start in range(0, len(text), size)]
