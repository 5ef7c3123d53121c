"""Tensors of the Open Inference Protocol: JSON, and the binary form that Triton's clients prefer.

Sources: the Open Inference Protocol (REST), and Triton's "binary tensor data extension".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import to_json
from typing_extensions import TypedDict

from model.network.faults import Fault, pointer
from service.api.admission import BYTE_ORDER_MARK
from service.errors import invalid, problem_of

LENGTH_HEADER = "Inference-Header-Content-Length"
_DATATYPES = {np.dtype(np.float32): "FP32", np.dtype(np.int64): "INT64"}

_lenient = with_config(ConfigDict(extra="ignore", strict=True))  # the protocol allows extensions
Parameters = dict[str, Any]  # the protocol's own and those of its extensions


@_lenient
class InputTensor(TypedDict):
    """An input: `architectures` (BYTES, each a network as JSON text) or `epochs` (INT64)."""

    name: str
    datatype: str
    shape: Annotated[list[int], Field(fail_fast=True)]
    parameters: NotRequired[Parameters]
    data: NotRequired[Annotated[list[Any], Field(description="Absent when binary data follows the JSON.")]]


@_lenient
class OutputTensor(TypedDict):
    """An output to return; all of them when none is named."""

    name: str
    parameters: NotRequired[Parameters]


@_lenient
class InferRequest(TypedDict):
    """An inference request of the Open Inference Protocol."""

    inputs: Annotated[list[InputTensor], Field(fail_fast=True)]
    id: NotRequired[str]
    parameters: NotRequired[Parameters]
    outputs: NotRequired[Annotated[list[OutputTensor], Field(fail_fast=True)]]


INFER_REQUEST: TypeAdapter[InferRequest] = TypeAdapter(InferRequest)


@dataclass(frozen=True, slots=True)
class Tensors:
    """A request and the elements of its inputs, by name: `bytes` of BYTES tensors, `int` of INT64 tensors."""

    request: InferRequest
    elements: dict[str, list[Any]]


def read_tensors(body: bytes, header_length: str | None, inputs: Mapping[str, str]) -> Tensors:
    """Read an inference request.

    Args:
        body: JSON, with the binary data of tensors behind it.
        header_length: the header with the length of the JSON, when binary data follows.
        inputs: the datatype of each known input.

    Raises:
        Problem: 400 when it is not JSON; 422 when it is not an inference request, has an unknown input, or an input's
            data does not fit its datatype and shape.
    """
    length = _json_length(len(body), header_length)
    try:
        request = INFER_REQUEST.validate_json(body[:length].removeprefix(BYTE_ORDER_MARK))
    except ValidationError as error:
        raise problem_of(error) from None
    binary, elements = body[length:], {}
    for index, tensor in enumerate(request["inputs"]):
        name = tensor["name"]
        if name not in inputs:
            raise invalid(
                Fault(pointer("inputs", index, "name"), "unknown-input", f"the inputs are {', '.join(inputs)}")
            )
        if name in elements:
            raise invalid(Fault(pointer("inputs", index, "name"), "duplicate", "an earlier input has this name"))
        if tensor["datatype"] != inputs[name]:
            raise invalid(Fault(pointer("inputs", index, "datatype"), "datatype", f"{name} is {inputs[name]}"))
        size = tensor.get("parameters", {}).get("binary_data_size")
        if size is None:
            elements[name] = _json_elements(tensor, index)
        else:
            if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(binary):
                raise invalid(Fault(pointer("inputs", index), "size", "binary_data_size is not within the body"))
            elements[name], binary = _binary_elements(binary[:size], tensor["datatype"], index), binary[size:]
        shape = tensor["shape"]
        if shape not in ([len(elements[name])], [len(elements[name]), 1]):
            detail = f"{name} has {len(elements[name])} elements; its shape must be [N] or [N, 1]"
            raise invalid(Fault(pointer("inputs", index, "shape"), "shape", detail))
    if binary:
        raise invalid(Fault("", "size", "the body goes on after the last tensor"))
    return Tensors(request, elements)


def _json_length(size: int, header: str | None) -> int:
    if header is None:
        return size
    if not (header.isascii() and header.isdecimal() and len(header) < 12 and int(header) <= size):
        raise invalid(Fault("", "size", f"{LENGTH_HEADER} is not a length within the body"))
    return int(header)


def _json_elements(tensor: InputTensor, index: int) -> list[Any]:
    """Return the elements of a tensor's JSON data, which may be nested as its shape [N, 1]."""
    data = [one[0] if isinstance(one, list) and len(one) == 1 else one for one in tensor.get("data", ())]
    wanted = str if tensor["datatype"] == "BYTES" else int
    if "data" not in tensor or not all(isinstance(one, wanted) and not isinstance(one, bool) for one in data):
        what = "strings" if wanted is str else "integers"
        raise invalid(Fault(pointer("inputs", index, "data"), "data", f"must be a list of {what}, or binary data"))
    return [one.encode() for one in data] if wanted is str else data


def _binary_elements(data: bytes, datatype: str, index: int) -> list[Any]:
    """Split binary data: INT64 is little-endian; a BYTES element is a little-endian 32-bit length and so many bytes."""
    if datatype == "INT64":
        if len(data) % 8:
            raise invalid(Fault(pointer("inputs", index), "size", "the binary data is not whole INT64 elements"))
        integers: list[int] = np.frombuffer(data, dtype="<i8").tolist()
        return integers
    elements: list[bytes] = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        if at + 4 + size > len(data):
            raise invalid(Fault(pointer("inputs", index), "size", "the binary data ends inside an element"))
        elements.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return elements


def check_outputs(wanted: Sequence[OutputTensor], known: Iterable[str]) -> None:
    """Check the outputs that a request names.

    Raises:
        Problem: 422 for an unknown one.
    """
    names = list(known)
    unknown = [index for index, one in enumerate(wanted) if one["name"] not in names]
    if unknown:
        detail = f"the outputs are {', '.join(names)}"
        raise invalid(*(Fault(pointer("outputs", index, "name"), "unknown-output", detail) for index in unknown))


def write_tensors(
    head: Mapping[str, object], tensors: Mapping[str, NDArray[np.generic]], request: InferRequest
) -> tuple[bytes, int | None]:
    """Return the body of a response, and the length of its JSON when binary data follows."""
    all_binary = bool(request.get("parameters", {}).get("binary_data_output", False))
    wanted = {
        one["name"]: bool(one.get("parameters", {}).get("binary_data", all_binary))
        for one in request.get("outputs", ())
    } or dict.fromkeys(tensors, all_binary)
    outputs: list[dict[str, object]] = []
    blobs: list[bytes] = []
    for name, is_binary in wanted.items():
        tensor = tensors[name]
        output: dict[str, object] = {"name": name, "datatype": _DATATYPES[tensor.dtype], "shape": list(tensor.shape)}
        if is_binary:
            blobs.append(tensor.astype(tensor.dtype.newbyteorder("<")).tobytes())
            output["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            output["data"] = tensor.ravel().tolist()
        outputs.append(output)
    text = to_json({**head, "outputs": outputs})
    return b"".join([text, *blobs]), len(text) if blobs else None
