"""Faults: where they point, and what the message says to do. Never an echo of a value."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from model.network.faults import MAX_ERRORS, MAX_NAME, Fault, did_you_mean, faults_of, pointer
from model.network.schema import ARCHITECTURE, FIELDS, LAYERS, Architecture

CANARY = "c4n4ry-c4n4ry"
CONV: dict[str, Any] = {"type": "conv", "kernel_size": 3, "out_channels": 16}
RELU = {"type": "relu"}


def faults(text: str | bytes, base: tuple[str | int, ...] = ()) -> list[Fault]:
    """Return the faults of an architecture's JSON."""
    with pytest.raises(ValidationError) as caught:
        ARCHITECTURE.validate_json(text)
    return faults_of(caught.value, base, Architecture)


def fault_of(layer: Any) -> Fault:
    """Return the one fault of a layer that comes second in a network."""
    (fault,) = faults(json.dumps({"layers": [RELU, layer]}))
    return Fault(fault.pointer.removeprefix("/layers/1"), fault.code, fault.detail)


@pytest.mark.parametrize(
    ("spelling", "meant"),
    [
        *((name, "conv") for name in ("Conv2d", "Conv", "conv2d", "Conv1d", "torch.nn.Conv2d", "conv_2d", "conv3x3")),
        *((name, "conv") for name in ("Conv2D", "convolution", "covn", "con")),
        *((name, "max_pool") for name in ("maxpool", "MaxPool2d", "MaxPooling2D", "max-pool", "maxpol")),
        *((name, "avg_pool") for name in ("AvgPool2d", "AveragePool", "AveragePooling2D")),
        *((name, "global_avg_pool") for name in ("GlobalAveragePooling2D", "GlobalAveragePool", "ReduceMean")),
        *((name, "batch_norm") for name in ("BatchNorm2d", "BatchNormalization", "batchnorm", "BN")),
        *((name, "layer_norm") for name in ("LayerNorm", "LayerNormalization", "LayerNorm2d")),
        *((name, "group_norm") for name in ("GroupNorm", "GroupNormalization")),
        *((name, "linear") for name in ("Dense", "Gemm", "fc", "Linear", "linaer", "MatMul")),
        *((name, "relu") for name in ("ReLU", "Relu", "relux", "rel")),
        *((name, "relu6") for name in ("ReLU6", "Clip")),
        *((name, "leaky_relu") for name in ("LeakyReLU", "LeakyRelu", "leakyrelu")),
        *((name, "prelu") for name in ("PReLU", "PRelu")),
        *((name, "silu") for name in ("SiLU", "Swish", "swish")),
        *((name, "hard_swish") for name in ("Hardswish", "HardSwish")),
        *((name, "hard_sigmoid") for name in ("Hardsigmoid", "HardSigmoid")),
        *((name, "dropout") for name in ("Dropout", "Dropout2d", "droput")),
        *((name, "flatten") for name in ("Flatten", "Reshape")),
        *((name, "add") for name in ("Add", "Sum")),
        *((name, "mul") for name in ("Mul", "Multiply")),
        *((name, "concat") for name in ("Concat", "Concatenate", "torch.cat")),
        *((name, "upsample") for name in ("Upsample", "UpSampling2D", "Resize")),
        *((name, "pad") for name in ("Pad", "ZeroPad2d", "ZeroPadding2D")),
        *((name, "slice") for name in ("Slice", "Split", "chunk")),
        ("AdaptiveAvgPool2d", "adaptive_avg_pool"),
        ("ChannelShuffle", "channel_shuffle"),
        ("Softmax", "softmax"),
        ("Sigmoid", "sigmoid"),
        ("Identity", "identity"),
        ("GELU", "gelu"),
        ("Elu", "elu"),
        ("Tanh", "tanh"),
    ],
)
def test_the_type_that_is_meant_is_named(spelling: str, meant: str) -> None:
    """Spellings of PyTorch, Keras and ONNX, and misspellings."""
    fault = fault_of({"type": spelling})
    assert (fault.pointer, fault.code) == ("/type", "unknown-type")
    assert fault.detail == f"did you mean `{meant}`? The types are: {', '.join(FIELDS)}"


@pytest.mark.parametrize(
    ("spelling", "why"),
    [
        ("DepthwiseConv2D", 'write conv with "groups": "depthwise"'),
        ("SeparableConv2D", 'write two convs: one with "groups": "depthwise", one of kernel 1'),
        *((name, "transposed convolutions cannot") for name in ("ConvTranspose2d", "Conv2DTranspose", "deconv")),
        *((name, "write silu or gelu") for name in ("Mish", "SELU", "Softplus")),
        *((name, "write batch_norm or group_norm") for name in ("InstanceNorm2d", "LRN", "LocalResponseNorm")),
        *((name, "it cannot be expressed") for name in ("GlobalMaxPooling2D", "AdaptiveMaxPool2d", "PixelShuffle")),
        ("Hardtanh", "write tanh or hard_sigmoid"),
        ("LogSoftmax", "leave it out: the classifier is not listed"),
        ("InputLayer", 'leave it out: layers read the image as "input"'),
    ],
)
def test_another_layer_is_not_taken_for_a_misspelt_one(spelling: str, why: str) -> None:
    """A suggestion that changes the network in silence would be worse than none."""
    assert did_you_mean(spelling) is None
    fault = fault_of({"type": spelling})
    assert fault.detail.startswith(why)
    assert fault.detail.endswith(f"; the types are: {', '.join(FIELDS)}")


@pytest.mark.parametrize("spelling", ["lstm", "x" * 1000, "", "   ", "attention", "\u00e9" * 70])
def test_where_nothing_is_meant_the_types_are_listed(spelling: str) -> None:
    assert fault_of({"type": spelling}).detail == f"must be one of: {', '.join(FIELDS)}"


NEEDED = {
    **{"kernel_size": 2, "out_channels": 8, "out_features": 8, "output_size": 1, "num_groups": 1, "groups": 1},
    **{"start": 0, "end": 1, "padding": [0, 0, 0, 0], "scale_factor": 2},
}


@pytest.mark.parametrize("layer_type", FIELDS)
def test_an_unknown_field_is_answered_with_the_fields(layer_type: str) -> None:
    fields = {name: value for name, value in NEEDED.items() if name in FIELDS[layer_type]}
    if layer_type in {"conv", "max_pool", "avg_pool"}:
        fields.pop("padding")
    fault = fault_of({"type": layer_type, "colour": 1, **fields})
    assert (fault.pointer, fault.code) == ("/colour", "unknown-field")
    listed = ", ".join([*FIELDS[layer_type], "name", "inputs"])
    assert fault.detail == f"unknown field; the fields of {layer_type} are: {listed}"


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ("dilation_rate", "write dilation"),
        ("pads", "write padding"),
        ("strides", "write stride"),
        ("filters", "write out_channels"),
        ("use_bias", "write bias"),
        ("activation", "write a layer behind it"),
        ("in_channels", "it follows from the layer before"),
    ],
)
def test_well_known_fields_are_told_what_to_write(field: str, why: str) -> None:
    fault = fault_of(CONV | {field: 2})
    assert fault.pointer == f"/{field}"
    assert fault.detail.startswith(f"unknown field; {why}; the fields of conv are: kernel_size, out_channels, ")


PAIR = "must be an integer from 1 to 1024, or a list of two of them: [height, width]"
PADDING = 'must be "same", an integer from 0 to 1024, or a list of two of them: [vertical, horizontal]; '
PADDING += 'instead of "valid" write 0'
GROUPS = 'must be "depthwise" or an integer from 1 to 1000000'
FOUR = "must be a list of four integers from 0 to 1024: [left, right, top, bottom]"
LAYER_FAULTS: list[tuple[Any, str, str, str]] = [
    (CONV | {"kernel_size": [3]}, "/kernel_size", "wrong-type", PAIR),
    (CONV | {"kernel_size": [3, 3, 3]}, "/kernel_size", "wrong-type", PAIR),
    (CONV | {"kernel_size": [3, "3"]}, "/kernel_size", "wrong-type", PAIR),
    (CONV | {"kernel_size": {"h": 3}}, "/kernel_size", "wrong-type", PAIR),
    (CONV | {"kernel_size": 0}, "/kernel_size", "out-of-range", PAIR),
    (CONV | {"stride": 1025}, "/stride", "out-of-range", PAIR),
    (CONV | {"stride": [1, 1025]}, "/stride", "wrong-type", PAIR),
    (CONV | {"dilation": 0}, "/dilation", "out-of-range", PAIR),
    (CONV | {"padding": "valid"}, "/padding", "wrong-type", PADDING),
    (CONV | {"padding": -1}, "/padding", "out-of-range", PADDING),
    (CONV | {"padding": [1, 1, 1, 1]}, "/padding", "wrong-type", PADDING),
    (CONV | {"groups": "all"}, "/groups", "wrong-type", GROUPS),
    (CONV | {"groups": 0}, "/groups", "out-of-range", GROUPS),
    (CONV | {"bias": 1}, "/bias", "wrong-type", "must be true or false"),
    (CONV | {"name": ""}, "/name", "too-short", "must have at least one character"),
    (CONV | {"name": "x" * 65}, "/name", "too-long", "must have at most 64 characters"),
    (CONV | {"name": 7}, "/name", "wrong-type", "must be a string"),
    (CONV | {"inputs": "a"}, "/inputs", "wrong-type", "must be a list"),
    (CONV | {"inputs": []}, "/inputs", "too-short", "must hold at least one element"),
    (CONV | {"inputs": [0]}, "/inputs/0", "wrong-type", "must be a string"),
    ({"type": "pad", "padding": 1}, "/padding", "wrong-type", FOUR),
    ({"type": "pad", "padding": [1, 1]}, "/padding", "wrong-type", FOUR),
    ({"type": "pad", "padding": [1] * 5}, "/padding", "wrong-type", FOUR),
    ({"type": "pad", "padding": [1, 1, 1, -1]}, "/padding", "out-of-range", FOUR),
    ({"type": "pad"}, "/padding", "missing", "`padding` is missing"),
    ({"type": "channel_shuffle", "groups": "2"}, "/groups", "wrong-type", "must be an integer from 1 to 1000000"),
    ({"type": "adaptive_avg_pool", "output_size": 0}, "/output_size", "out-of-range", PAIR),
    ({"type": "upsample", "scale_factor": 65}, "/scale_factor", "out-of-range", "must be at most 64"),
    ({"type": "slice", "start": 0}, "/end", "missing", "`end` is missing"),
    (CONV | {"out_channels": True}, "/out_channels", "wrong-type", "must be an integer"),
    (CONV | {"out_channels": 1.5}, "/out_channels", "wrong-type", "must be an integer"),
    (CONV | {"out_channels": 10**7}, "/out_channels", "out-of-range", "must be at most 1000000"),
    (CONV | {"channel_ratio": 2}, "", "one-width", "give exactly one of out_channels and channel_ratio"),
    ({"type": "conv", "kernel_size": 3}, "", "one-width", "give exactly one of out_channels and channel_ratio"),
    ({"type": "conv", "out_channels": 3}, "/kernel_size", "missing", "`kernel_size` is missing"),
    ({"type": "dropout", "p": 1}, "/p", "out-of-range", "must be less than 1"),
    ({"type": "dropout", "p": "half"}, "/p", "wrong-type", "must be a number"),
    ({"kernel_size": 3}, "/type", "missing", "`type` is missing"),
    ([1], "", "wrong-type", "a layer is an object with a `type`"),
    (None, "", "wrong-type", "a layer is an object with a `type`"),
]


@pytest.mark.parametrize(("layer", "where", "code", "detail"), LAYER_FAULTS, ids=[str(x[0]) for x in LAYER_FAULTS])
def test_the_fault_of_a_layer_is_explained(layer: Any, where: str, code: str, detail: str) -> None:
    assert fault_of(layer) == Fault(where, code, detail)


ARCHITECTURE_FAULTS = [
    ("{}", "/layers", "`layers` is missing: a list of layers, each an object with a `type`"),
    ('{"layers": []}', "/layers", "must hold at least one element"),
    ('{"layers": {}}', "/layers", "must be a list"),
    ('{"layers": null}', "/layers", "must be a list"),
    ('{"layers": [{"type": "relu"}], "id": 7}', "/id", "must be a string"),
    (json.dumps({"layers": [RELU], "id": "x" * 201}), "/id", "must have at most 200 characters"),
    ('{"layers": [{"type": "relu"}], "codes": []}', "/codes", "unknown field; the fields are: layers, id, in_channels"),
    ("7", "", "the JSON value must be an object"),
]


@pytest.mark.parametrize(("text", "where", "detail"), ARCHITECTURE_FAULTS, ids=[x[0][:50] for x in ARCHITECTURE_FAULTS])
def test_the_fault_of_an_architecture_is_explained(text: str, where: str, detail: str) -> None:
    (fault,) = faults(text, base=("architectures", 3))
    assert (fault.pointer, fault.detail) == ("/architectures/3" + where, detail)


@pytest.mark.parametrize(
    "name",
    ["conv", "relu", "int", "float", "constrained-int", "layers", "epochs", "kernel_size", "stride", "pad"],
)
def test_a_field_is_pointed_at_whatever_it_is_called(name: str) -> None:
    """Pydantic's locations hold labels such as `conv` and `int`; fields with these names are fields."""
    assert fault_of(RELU | {name: [{}]}).pointer == f"/{name}"
    if name != "layers":
        (fault,) = faults(json.dumps({"layers": [RELU], name: 3}))
        assert fault.pointer == f"/{name}"


@pytest.mark.parametrize("name", ["", "a b", "x" * (MAX_NAME + 1), "a/b", "\x00", "\u00e9", "<script>"])
def test_a_name_that_is_none_is_not_repeated(name: str) -> None:
    """The pointer is that of its object."""
    fault = fault_of(RELU | {name: 3})
    assert fault == Fault("", "unknown-field", "has an unknown field; the fields of relu are: name, inputs")
    (fault,) = faults(json.dumps({"layers": [RELU], name: 3}))
    assert fault.pointer == ""
    assert fault.detail.startswith("has an unknown field; the fields are: layers")


def test_a_list_of_layers_by_itself_is_pointed_into() -> None:
    """As a file or a row of a table holds it."""
    with pytest.raises(ValidationError) as caught:
        LAYERS.validate_json('[{"type": "relu"}, {"type": "conv", "kernel_size": 3, "out_channels": 0}]')
    assert [fault.pointer for fault in faults_of(caught.value)] == ["/1/out_channels"]
    assert [fault.pointer for fault in faults_of(caught.value, ("layers",))] == ["/layers/1/out_channels"]


def test_pointers_are_escaped() -> None:
    """RFC 6901."""
    assert pointer("a/b", 0, "m~n") == "/a~1b/0/m~0n"


def test_faults_beyond_a_thousand_are_not_read() -> None:
    """Reading 700,000 of them took 10 s and 700 MB."""
    names = ",".join(f'"f{index}":1' for index in range(MAX_ERRORS + 1))
    (fault,) = faults(f'{{"layers":[{{"type":"relu",{names}}}]}}', base=("architectures", 0))
    assert fault == Fault("/architectures/0", "unknown-field", "an object has more than 1000 unknown fields")


NOT_JSON = [
    ("", "it is empty"),
    (" ", "it ends before it is complete (line 1 column 1)"),
    ('{"layers": [', "it ends before it is complete (line 1 column 12)"),
    ('{"id": "a', "it ends before it is complete (line 1 column 9)"),
    ('{"layers": [1,]}', "trailing comma (line 1 column 15)"),
    ("{'id': 1}", "key must be a string (line 1 column 2)"),
    ('{"id":\n"\\ud800"}', "a string holds half of a surrogate pair (line 2 column 8)"),
    ('{"id": "\\udc00"}', "a string holds half of a surrogate pair (line 1 column 14)"),
    (b'{"id": "\xff"}', "a string is not UTF-8 (line 1 column 9)"),
    ('{"in_channels": ' + "9" * 5000 + "}", "a number has too many digits (line 1 column 4318)"),
    ("[" * 1000, "it is nested too deeply (line 1 column 202)"),
    ('{"id": "a"} {}', "trailing characters (line 1 column 13)"),
    ("\ufeff{}", "expected value (line 1 column 1)"),
]


@pytest.mark.parametrize(("text", "reason"), NOT_JSON, ids=[reason[:40] for _, reason in NOT_JSON])
def test_the_reason_why_a_text_is_no_json_is_true(text: str | bytes, reason: str) -> None:
    (fault,) = faults(text)
    assert fault == Fault("", "not-json", f"not JSON: {reason}")


class Curve(TypedDict):
    """A form with the field that may be an integer or a list."""

    epochs: int | list[int]


@pytest.mark.parametrize(
    ("value", "where", "detail"),
    [
        ([1, "x", 2.5], ["/epochs/1", "/epochs/2"], "must be an integer"),
        ("all", ["/epochs"], "must be an integer of at least 1, or a list of such integers"),
        ({}, ["/epochs"], "must be an integer of at least 1, or a list of such integers"),
    ],
)
def test_the_elements_of_a_list_that_could_be_one_integer(value: Any, where: list[str], detail: str) -> None:
    """A list is not told that it is no integer; its elements are pointed at."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Curve).validate_json(json.dumps({"epochs": value}), strict=True)
    found = faults_of(caught.value, (), Curve)
    assert [fault.pointer for fault in found] == where
    assert found[0].detail == detail


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(CANARY) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from([*sum(FIELDS.values(), ()), "name", "inputs", "x"]), JSON_VALUES),
    st.sampled_from([*FIELDS, None, CANARY]),
)
def test_no_message_holds_a_value_or_words_of_pydantic(layer: dict[str, Any], layer_type: str | None) -> None:
    """Whatever a layer holds: a pointer to it, one of our codes, one of our sentences; one fault a field."""
    layer = layer if layer_type is None else layer | {"type": layer_type}
    try:
        ARCHITECTURE.validate_json(json.dumps({"layers": [layer]}))
    except ValidationError as error:
        found = faults_of(error, (), Architecture)
        assert len({fault.pointer for fault in found}) == len(found)
        for fault in found:
            assert fault.pointer.startswith("/layers/0")
            assert CANARY not in fault.pointer + fault.detail
            assert not any(words in fault.detail for words in ("Input should", "should have", "Field required"))
            assert fault.code in {
                "missing",
                "too-short",
                "too-long",
                "unknown-field",
                "unknown-type",
                "wrong-type",
                "out-of-range",
                "one-width",
            }
