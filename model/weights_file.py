"""A safetensors file of a network's weights; nothing in it is ever executed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .state_dict import parameters
from .weight_features import FeaturesError, Weights, check_values, fan_ins, tensor_statistics

MOST_TENSORS = 10_000
_BFLOAT16 = "BF16"
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", _BFLOAT16: "<u2", "BOOL": "?"}
_TYPES |= {f"{sign}{8 * size}": f"<{sign.lower()}{size}" for sign in "IU" for size in (1, 2, 4, 8)}


class WeightsError(ValueError):
    """A file that is not the weights of a network; the message says why."""


def read_weights(content: bytes) -> Weights:
    """Read the weights of one network.

    Raises:
        WeightsError: when it is not a safetensors file, or its values are not finite.
        FeaturesError: naming tensors that are not understood, are quantised, or belong to another network.
    """
    found = parameters(_read_tensors(content))
    try:
        check_values(found.stored)
        statistics = tensor_statistics(found.tensors)
    except FeaturesError as error:
        raise WeightsError(str(error)) from None
    shapes = {name: tensor.shape for name, tensor in found.tensors.items()}
    return Weights(statistics, fan_ins(shapes), found.notes)


def _read_tensors(content: bytes) -> dict[str, NDArray[Any]]:
    """Parse a file. Floats of 8 bits or less and complex numbers are returned as bytes.

    Raises:
        WeightsError: when it is not a safetensors file, is truncated, or has too many tensors or dimensions.
    """
    from safetensors import SafetensorError, deserialize  # noqa: PLC0415 - the client has no use for it

    _count_tensors(content)
    try:
        tensors = deserialize(content)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise WeightsError("not a safetensors file, or a truncated one") from error
    _check_count(len(tensors))
    try:
        return {name: _array(**tensor) for name, tensor in tensors}
    except (ValueError, OverflowError) as error:
        raise WeightsError("a tensor has too many dimensions, or too large ones") from error


def _array(dtype: str, shape: list[int], data: bytearray) -> NDArray[Any]:
    if dtype not in _TYPES:
        return np.frombuffer(data, dtype=np.uint8)
    values = np.frombuffer(data, dtype=_TYPES[dtype]).reshape(shape)
    if dtype == _BFLOAT16:  # the upper half of a float of 32 bits
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values


def _count_tensors(content: bytes) -> None:
    """Refuse a file of too many tensors before it is parsed, which lets no other thread go on.

    It begins with the size of its header, eight bytes, and its header, a JSON object in which each tensor is one and
    so are the metadata; a brace, unlike a name, has one spelling.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    _check_count(content.count(b"{", 8, end) - 1 - (content.find(b'"__metadata__"', 8, end) >= 0))


def _check_count(tensors: int) -> None:
    if tensors > MOST_TENSORS:
        raise WeightsError(f"{tensors} tensors; {MOST_TENSORS} is the most")
