"""Pydantic's validation errors as faults: a JSON Pointer each, in sentences that never quote a value."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args, get_type_hints

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from .schema import COMMON, FIELDS, MAX_SIZE

MAX_NAME = 64  # characters of a field's name that a message repeats
MAX_ERRORS = 1000  # beyond it pydantic's errors are not read: a body of 8 MiB can hold 700,000
ALIKE = 0.75  # similarity of a misspelt type to the one that is meant, by difflib

_NAME = re.compile(rf"[A-Za-z_][A-Za-z0-9_.-]{{0,{MAX_NAME - 1}}}")
_SIZES = ("kernel_size", "stride", "dilation", "output_size")
_PADDING = (
    f'must be "same", an integer from 0 to {MAX_SIZE}, or a list of two of them: [vertical, horizontal]; '
    'instead of "valid" write 0'
)
_FORMS = dict.fromkeys(_SIZES, f"must be an integer from 1 to {MAX_SIZE}, or a list of two of them: [height, width]")
_FORMS |= {"padding": _PADDING, "groups": 'must be "depthwise" or an integer from 1 to 1000000'}
_UNIONS = {"epochs", "accuracy"}  # fields that are a number or a list of them
_ACCURACIES = {"observed", "best", "confidence", "accuracy"}
_SPELLINGS = {
    "conv": ("convolution", "groupconv", "groupedconv"),
    "max_pool": ("maxpooling",),
    "avg_pool": ("averagepool", "averagepooling", "avgpooling", "meanpool"),
    "global_avg_pool": ("globalaveragepool", "globalaveragepooling", "gap", "reducemean"),
    "adaptive_avg_pool": ("adaptiveaveragepool", "adaptiveaveragepooling"),
    "batch_norm": ("batchnormalization", "batchnormalisation", "bn"),
    "layer_norm": ("layernormalization", "layernormalisation"),
    "group_norm": ("groupnormalization", "groupnormalisation"),
    "linear": ("dense", "fc", "gemm", "fullyconnected", "innerproduct", "matmul"),
    "silu": ("swish",),
    "hard_swish": ("hardswish",),
    "relu6": ("clip",),
    "add": ("sum", "residual", "plus"),
    "mul": ("multiply", "product"),
    "concat": ("concatenate", "cat"),
    "flatten": ("reshape", "view"),
    "upsample": ("resize", "upsampling", "interpolate"),
    "slice": ("split", "chunk"),
    "pad": ("zeropad", "zeropadding"),
    "channel_shuffle": ("shuffle", "shufflechannels"),
    "zero": ("zeros", "zeroise", "zeroize"),
}  # of PyTorch, Keras, ONNX and Caffe, as `_normalised`
_NO_TYPES = {
    'write conv with "groups": "depthwise"': "depthwiseconv, dwconv",
    'write two convs: one with "groups": "depthwise", one of kernel 1': "separableconv, sepconv",
    "transposed convolutions cannot be expressed": "convtranspose, transposedconv, deconv, deconvolution",
    "write silu or gelu, which are much like it": "mish, softplus, glu, selu, celu, rrelu, crelu, softsign, logsigmoid",
    "write tanh or hard_sigmoid, which are much like it": "hardtanh, tanhshrink",
    "write batch_norm or group_norm": "instancenorm, instancenormalization, localresponsenorm, lrn",
    "leave it out: the classifier is not listed": "logsoftmax",
    'leave it out: layers read the image as "input"': "input, inputlayer",
    "it cannot be expressed": "bilinear, maxunpool, adaptivemaxpool, globalmaxpool, globalmaxpooling, pixelshuffle",
}  # why well-known layers are none of the types, though some look like misspelt ones
_NO_FIELDS = {
    "dilations": "write dilation",
    "dilation_rate": "write dilation",
    "pads": "write padding",
    "group": "write groups",
    "use_bias": "write bias",
    "strides": "write stride",
    "filters": "write out_channels",
    "units": "write out_features",
    "rate": "write p",
    "id": "write name",
    "input": "write inputs: a list of names",
    "activation": "write a layer behind it",
    "in_channels": "it follows from the layer before",
    "in_features": "it follows from the layer before",
    "num_features": "it follows from the layer before",
}
_CODES = {
    "missing": "missing",
    "union_tag_not_found": "missing",
    "extra_forbidden": "unknown-field",
    "union_tag_invalid": "unknown-type",
    "literal_error": "unknown-value",
    "json_invalid": "not-json",
    "too_short": "too-short",
    "too_long": "too-long",
    "string_too_short": "too-short",
    "string_too_long": "too-long",
    "one_width": "one-width",
}
_OUT_OF_RANGE = {
    "greater_than": "must be more than {gt:.7g}",
    "greater_than_equal": "must be at least {ge:.7g}",
    "less_than": "must be less than {lt:.7g}",
    "less_than_equal": "must be at most {le:.7g}",
}
_SENTENCES = {
    **_OUT_OF_RANGE,
    "literal_error": "must be one of {expected}",
    "too_short": "must hold at least one element",
    "too_long": "has more elements than the limit of {max_length}",
    "string_too_short": "must have at least one character",
    "string_too_long": "must have at most {max_length} characters",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "union_tag_not_found": "a layer is an object with a `type`",
}
_LAX = {
    "model_attributes_type": "dict_type",
    "int_parsing": "int_type",
    "float_parsing": "float_type",
    "bool_parsing": "bool_type",
}  # what pydantic calls the same where it is not strict, as for tables
_NOT_JSON = {
    "EOF while parsing": "it ends before it is complete",
    "expected ident": "expected value",
    "number out of range": "a number has too many digits",
    "recursion limit": "it is nested too deeply",
    "unicode code point": "a string is not UTF-8",
    "hex escape": "a string holds half of a surrogate pair",
    "surrogate": "a string holds half of a surrogate pair",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a document: a JSON Pointer (RFC 6901) to it, a stable code, a sentence that quotes no value."""

    pointer: str
    code: str
    detail: str


def pointer(*path: str | int) -> str:
    """Return the JSON Pointer of a path."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def faults_of(error: ValidationError, base: Sequence[str | int] = (), form: Any = None) -> list[Fault]:
    """Return the faults of a validation error, one for each path.

    Args:
        error: from validating the value at `base`.
        base: path of that value in the document.
        form: the `TypedDict` of that value; messages then list its fields.
    """
    if error.error_count() > MAX_ERRORS:
        return [Fault(pointer(*base), "unknown-field", f"an object has more than {MAX_ERRORS} unknown fields")]
    found: dict[str, Fault] = {}
    for one in error.errors(include_url=False, include_input=False):
        fault = _fault(one, base, form)
        found.setdefault(fault.pointer, fault)
    # A list with a bad element need not be an integer, and is not too short because the element does not count.
    lists = {where.rpartition("/")[0] for where in found if where.rpartition("/")[2].isdigit()}
    return [fault for where, fault in found.items() if where not in lists]


def did_you_mean(layer_type: str) -> str | None:
    """Return the layer type that a spelling of another framework, or a misspelling, stands for."""
    wanted = _normalised(layer_type)
    for known in FIELDS:
        if wanted == _normalised(known) or wanted in _SPELLINGS.get(known, ()):
            return known
    if _why_no_type(wanted):
        return None
    close = get_close_matches(wanted, [_normalised(known) for known in FIELDS], n=1, cutoff=ALIKE)
    return next((known for known in FIELDS if close and _normalised(known) == close[0]), None)


def _normalised(layer_type: str) -> str:
    """Return a type's name as it is compared: `torch.nn.Conv2d`, `conv_2d` and `conv3x3` are all `conv`."""
    name = layer_type[:MAX_NAME].rpartition(".")[2].lower()
    return re.sub(r"\d+x\d+|[123]d", "", re.sub(r"[^a-z0-9]", "", name))


def _why_no_type(normalised: str) -> str | None:
    return next((why for why, names in _NO_TYPES.items() if normalised in names.split(", ")), None)


def _fault(error: ErrorDetails, base: Sequence[str | int], form: Any) -> Fault:
    path = _path(error, base)
    kind = error["type"]
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        path.append("type")
    code = _CODES.get(kind) or ("out-of-range" if kind in _OUT_OF_RANGE else "wrong-type")
    if path and path[-1] in _FORMS and (kind == "too_long" or (kind == "missing" and error["loc"][-1] != path[-1])):
        code = "wrong-type"  # a list of another length
    if kind != "extra_forbidden":
        return Fault(pointer(*path), code, _detail(error, path, is_root=path == list(base)))
    *owner, name = path
    if _is_layer(owner):
        detail = _unknown_field_of_layer(str(error["loc"][-2]), str(name))
    else:
        fields = _fields(form, owner[len(base) :])
        detail = f"unknown field; the fields are: {', '.join(fields)}" if fields else "unknown field"
    if _NAME.fullmatch(str(name)):
        return Fault(pointer(*path), code, detail)
    return Fault(pointer(*owner), code, f"has an {detail}")


def _path(error: ErrorDetails, base: Sequence[str | int]) -> list[str | int]:
    """Return the path to a fault: pydantic's location without the labels that say which arm of a union it tried."""
    path = list(base)
    parts = iter(error["loc"])
    for part in parts:
        path.append(part)
        if part in _FORMS:  # a single integer has no elements
            break
        if _is_layer(path):
            next(parts, None)
        elif part in _UNIONS:
            path += [index for index in parts if isinstance(index, int)]
    return path


def _is_layer(path: Sequence[str | int]) -> bool:
    return bool(path) and isinstance(path[-1], int) and (len(path) == 1 or path[-2] == "layers")


def _fields(form: Any, path: Sequence[str | int]) -> Sequence[str]:
    """Return the fields of the object at a path of a `TypedDict`."""
    for part in path:
        form = get_args(form)[0] if isinstance(part, int) else get_type_hints(form)[part]
    return list(getattr(form, "__annotations__", ()))


def _detail(error: ErrorDetails, path: Sequence[str | int], *, is_root: bool) -> str:
    kind, context = _LAX.get(error["type"], error["type"]), error.get("ctx", {})
    field = path[-1] if path else ""
    if kind == "json_invalid":
        return not_json(str(context.get("error")))
    if kind == "union_tag_not_found" or (kind == "missing" and error["loc"][-1] == field):
        return _missing(field)
    if field in _FORMS:
        return _form_of(error, str(field))
    if field == "epochs":
        return "must be an integer of at least 1, or a list of such integers"
    if field == "accuracy" and error["loc"][-1] != field and kind in ("float_type", "list_type"):
        return "must be a number from 0 to 1, or a list of such numbers, one for each epoch"
    if kind == "union_tag_invalid":
        return _unknown_type(str(context.get("tag")))
    if kind == "dict_type" and is_root:
        return "the JSON value must be an object"
    if kind == "dict_type" and _is_layer(path):
        return "a layer is an object with a `type`"
    sentence = _SENTENCES[kind].format(**context) if kind in _SENTENCES else error["msg"]
    is_share = kind.startswith("less_than") and not _ACCURACIES.isdisjoint(map(str, path))
    return f"{sentence}; divide percent by 100" if is_share else sentence


def _form_of(error: ErrorDetails, field: str) -> str:
    """Return what a size is, which a union of forms says in several errors; of two types the field means another."""
    layer_type = next((part for part in error["loc"] if part in FIELDS), None)
    if layer_type == "pad":
        return f"must be a list of four integers from 0 to {MAX_SIZE}: [left, right, top, bottom]"
    if layer_type == "channel_shuffle":
        return "must be an integer from 1 to 1000000"
    return _FORMS[field]


def not_json(message: str) -> str:
    """Return why a text is not JSON, with the place: `message` is the parser's."""
    reason, _, place = message.partition(" at line ")
    if place == "1 column 0":
        return "not JSON: it is empty"
    reason = next((ours for theirs, ours in _NOT_JSON.items() if theirs in reason), reason)
    return f"not JSON: {reason} (line {place})" if place else f"not JSON: {reason}"


def _missing(field: str | int) -> str:
    what = {
        "architectures": ": a list of networks, each an object with `layers`",
        "layers": ": a list of layers, each an object with a `type`",
        "observed": ": the accuracies after epochs 1, 2, ... so far",
    }
    return f"`{field}` is missing{what.get(str(field), '')}"


def _unknown_type(tag: str) -> str:
    listed = ", ".join(FIELDS)
    if meant := did_you_mean(tag):
        return f"did you mean `{meant}`? The types are: {listed}"
    why = _why_no_type(_normalised(tag))
    return f"{why}; the types are: {listed}" if why else f"must be one of: {listed}"


def _unknown_field_of_layer(layer_type: str, name: str) -> str:
    """Say which fields a layer has, and of well-known ones why they are none."""
    fields = ", ".join([*FIELDS[layer_type], *COMMON])
    has = f"the fields of {layer_type} are: {fields}"
    why = _NO_FIELDS.get(name)
    return f"unknown field; {why}; {has}" if why else f"unknown field; {has}"
