"""The Open Inference Protocol's tensors: JSON, and the binary form that Triton's clients prefer.

Sources: the Open Inference Protocol (REST), and Triton's "binary tensor data extension".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.envelope import duplicates, malformed
from service.problems import MAX_FAULTS, Fault, invalid

LENGTH_HEADER = "Inference-Header-Content-Length"
MAX_REREAD = 20  # tensors of a request that does not fit the schema at first
Parameters = dict[str, bool | int | float | str]
_TYPES = {np.dtype(np.float32): "FP32", np.dtype(np.int64): "INT64"}


class TensorText(msgspec.Struct):
    """An input tensor, its data still text."""

    name: str
    datatype: str
    shape: list[int]
    parameters: Parameters = {}
    data: msgspec.Raw = msgspec.Raw()


class OutputText(msgspec.Struct):
    """An output that is asked for."""

    name: str
    parameters: Parameters = {}


class InferText(msgspec.Struct):
    """An inference request."""

    inputs: list[TensorText]
    id: str | None = None
    parameters: Parameters = {}
    outputs: list[OutputText] = []


_INFER = msgspec.json.Decoder(InferText)
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_STRINGS = msgspec.json.Decoder(list[str])
_INTEGERS = msgspec.json.Decoder(list[int])


@dataclass(frozen=True, slots=True)
class Infer:
    """An inference request and the binary data of its inputs by name."""

    text: InferText
    binary: dict[str, bytes]

    def find(self, name: str, datatype: str) -> TensorText | None:
        """Return the input `name`.

        Raises:
            Problem: 422 when it has another data type or more than one dimension.
        """
        for index, tensor in enumerate(self.text.inputs):
            if tensor.name == name:
                if tensor.datatype != datatype:
                    raise invalid([Fault(f"/inputs/{index}/datatype", "datatype", f"{name} is {datatype}")])
                if len(tensor.shape) != 1:
                    raise invalid([Fault(f"/inputs/{index}/shape", "shape", f"{name} has one dimension")])
                return tensor
        return None

    def strings(self, name: str) -> list[bytes] | None:
        """Return the elements of a BYTES tensor, or `None` without one."""
        tensor = self.find(name, "BYTES")
        if tensor is None:
            return None
        if name in self.binary:
            return self._checked(tensor, _unpack(self.binary[name], name))
        return self._checked(tensor, [one.encode() for one in _decode(_STRINGS, tensor, name)])

    def integers(self, name: str) -> list[int] | None:
        """Return the elements of an INT64 tensor, or `None` without one."""
        tensor = self.find(name, "INT64")
        if tensor is None:
            return None
        data = self.binary.get(name)
        if data is None:
            return self._checked(tensor, _decode(_INTEGERS, tensor, name))
        if len(data) % 8:
            raise invalid([Fault("/inputs", "size", f"the binary data of {name} is not whole INT64 elements")])
        return self._checked(tensor, np.frombuffer(data, dtype="<i8").tolist())

    def _checked(self, tensor: TensorText, data: list[bytes] | list[int]) -> list:  # type: ignore[type-arg]
        if len(data) != tensor.shape[0]:
            raise invalid(
                [Fault("/inputs", "shape", f"{tensor.name} has {len(data)} elements, its shape says otherwise")]
            )
        return data


def _decode(decoder: msgspec.json.Decoder, tensor: TensorText, name: str) -> list:  # type: ignore[type-arg]
    try:
        return list(decoder.decode(tensor.data))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise invalid([Fault("/inputs", "data", f"{name} needs a flat list of data in JSON or in binary")]) from None


def _unpack(data: bytes, name: str) -> list[bytes]:
    """Split binary BYTES data: each element is a little-endian 32-bit length and so many bytes."""
    elements = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        if at + 4 + size > len(data):
            raise invalid([Fault("/inputs", "size", f"the binary data of {name} ends inside an element")])
        elements.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return elements


def _decode_infer(body: bytes) -> InferText:
    """Decode an inference request; of a name that is given twice the last counts, whatever the first held."""
    try:
        return _INFER.decode(body)
    except msgspec.ValidationError:
        fields = _FIELDS.decode(body)
        for name in fields.keys() & {"inputs", "outputs"}:
            items = _LIST.decode(fields[name])
            if len(items) > MAX_REREAD:
                raise
            fields[name] = msgspec.Raw(msgspec.json.encode(list(map(_FIELDS.decode, items))))
        return _INFER.decode(msgspec.json.encode(fields))  # each name is in it once


def read_infer(body: bytes, header_length: str | None) -> Infer:
    """Take an inference request apart.

    Raises:
        Problem: 400 when it is not JSON, 422 when it is not an inference request, names an input twice or its binary
            data does not add up.
    """
    length = len(body) if header_length is None else -1
    if header_length is not None and header_length.isascii() and header_length.isdecimal() and len(header_length) < 12:
        length = int(header_length)
    if not 0 <= length <= len(body):
        raise invalid([Fault("", "size", f"{LENGTH_HEADER} is not a length within the body")])
    try:
        text = _decode_infer(body[:length])
    except msgspec.ValidationError:
        raise invalid([Fault("", "object-type", "must be an inference request with `inputs`")]) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        malformed(error, body[:length])
    if twice := duplicates([tensor.name for tensor in text.inputs]):
        detail = "an earlier input has this name"
        raise invalid([Fault(f"/inputs/{index}/name", "duplicate", detail) for index in twice[: MAX_FAULTS + 1]])
    binary = {}
    for tensor in text.inputs:
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            continue
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(body) - length:
            raise invalid([Fault("/inputs", "size", "binary_data_size is not within the body")])
        binary[tensor.name] = body[length : length + size]
        length += size
    if length != len(body):
        raise invalid([Fault("", "size", "goes on after the last tensor")])
    return Infer(text, binary)


def check_outputs(asked: Sequence[OutputText], known: Sequence[str]) -> None:
    """Look at what is asked for, before anything is computed.

    Raises:
        Problem: 422 when an output is asked for that does not exist.
    """
    message = f"the outputs are {', '.join(known)}"
    unknown = [index for index, one in enumerate(asked) if one.name not in known]
    if unknown:
        raise invalid([Fault(f"/outputs/{index}/name", "unknown-output", message) for index in unknown])


def write_outputs(
    head: dict[str, object], tensors: Mapping[str, NDArray[np.generic]], asked: Sequence[OutputText], binary: bool
) -> tuple[bytes, int | None]:
    """Return the body of an answer, and the length of its JSON when binary data follows it."""
    wanted = {one.name: bool(one.parameters.get("binary_data", binary)) for one in asked}
    outputs: list[dict[str, object]] = []
    blobs: list[bytes] = []
    for name in wanted or tensors:
        tensor = tensors[name]
        output: dict[str, object] = {"name": name, "datatype": _TYPES[tensor.dtype], "shape": list(tensor.shape)}
        if wanted.get(name, binary):
            blobs.append(np.ascontiguousarray(tensor).astype(tensor.dtype.newbyteorder("<")).tobytes())
            output["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            output["data"] = tensor.ravel().tolist()
        outputs.append(output)
    text = msgspec.json.encode({**head, "outputs": outputs})
    return b"".join([text, *blobs]), len(text) if blobs else None
