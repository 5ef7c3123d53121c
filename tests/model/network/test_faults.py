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
        *((name, "global_avg_pool") for name in ("GlobalAveragePooling2D", "AdaptiveAvgPool2d", "GlobalAveragePool")),
        *((name, "batch_norm") for name in ("BatchNorm2d", "BatchNormalization", "batchnorm", "BN")),
        *((name, "linear") for name in ("Dense", "Gemm", "fc", "Linear", "linaer")),
        *((name, "relu") for name in ("ReLU", "relux", "rel")),
        *((name, "dropout") for name in ("Dropout", "droput")),
        ("Sigmoid", "sigmoid"),
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
        *((name, "of the activations only relu") for name in ("GELU", "ReLU6", "LeakyReLU", "leaky_relu", "PReLU")),
        *((name, "of the activations only relu") for name in ("SiLU", "ELU", "SELU", "Hardsigmoid", "Mish")),
        *((name, "of the normalisations only batch_norm") for name in ("LayerNorm", "InstanceNorm2d", "group_norm")),
        *((name, "grouped, depthwise and transposed") for name in ("DepthwiseConv2D", "SeparableConv2D", "deconv")),
        *((name, "grouped, depthwise and transposed") for name in ("ConvTranspose2d", "Conv2DTranspose")),
        *((name, "only chains of layers") for name in ("Add", "Concat", "concatenate")),
        ("Flatten", "leave it out: linear flattens its input"),
        ("Softmax", "leave it out: the classifier is not listed"),
        ("Identity", "leave it out"),
    ],
)
def test_another_layer_is_not_taken_for_a_misspelt_one(spelling: str, why: str) -> None:
    """A suggestion that changes the network would be worse than none."""
    assert did_you_mean(spelling) is None
    assert fault_of({"type": spelling}).detail.startswith(why)


@pytest.mark.parametrize("spelling", ["lstm", "x" * 1000, "", "   ", "attention", "\u00e9" * 70])
def test_where_nothing_is_meant_the_types_are_listed(spelling: str) -> None:
    assert fault_of({"type": spelling}).detail == f"must be one of: {', '.join(FIELDS)}"


@pytest.mark.parametrize("layer_type", FIELDS)
def test_an_unknown_field_is_answered_with_the_fields(layer_type: str) -> None:
    needed = {"kernel_size": 2, "out_channels": 8, "out_features": 8}
    fields = {name: value for name, value in needed.items() if name in FIELDS[layer_type]}
    fault = fault_of({"type": layer_type, "colour": 1, **fields})
    assert (fault.pointer, fault.code) == ("/colour", "unknown-field")
    listed = ", ".join(FIELDS[layer_type])
    expected = f"the fields of {layer_type} are: {listed}" if listed else f"{layer_type} has no field but `type`"
    assert fault.detail == f"unknown field; {expected}"


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ("groups", "grouped convolutions cannot be expressed"),
        ("dilation", "dilated convolutions cannot be expressed"),
        ("padding", 'padding is always "same"'),
        ("in_channels", "it follows from the layer before"),
    ],
)
def test_what_the_form_cannot_express_is_not_to_be_removed_in_silence(field: str, why: str) -> None:
    """Removing `groups` makes another network; the message says that it cannot be expressed."""
    fault = fault_of(CONV | {field: 2})
    assert fault.pointer == f"/{field}"
    assert fault.detail == f"unknown field; {why}; the fields of conv are: {', '.join(FIELDS['conv'])}"


PAIR = "must be an integer from 1 to {}, or a list of two of them: [height, width]"
LAYER_FAULTS: list[tuple[Any, str, str, str]] = [
    (CONV | {"kernel_size": [3]}, "/kernel_size", "wrong-type", PAIR.format(1024)),
    (CONV | {"kernel_size": [3, 3, 3]}, "/kernel_size", "wrong-type", PAIR.format(1024)),
    (CONV | {"kernel_size": [3, "3"]}, "/kernel_size", "wrong-type", PAIR.format(1024)),
    (CONV | {"kernel_size": {"h": 3}}, "/kernel_size", "wrong-type", PAIR.format(1024)),
    (CONV | {"kernel_size": 0}, "/kernel_size", "out-of-range", PAIR.format(1024)),
    (CONV | {"stride": 9}, "/stride", "out-of-range", PAIR.format(8)),
    (CONV | {"stride": [1, 9]}, "/stride", "wrong-type", PAIR.format(8)),
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
    "name", ["conv", "relu", "int", "float", "constrained-int", "layers", "epochs", "kernel_size", "stride", "type_"]
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
    assert fault == Fault("", "unknown-field", "has an unknown field; relu has no field but `type`")
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
@given(st.dictionaries(st.sampled_from(["type", "kernel_size", "stride", "out_channels", "p", "x"]), JSON_VALUES))
def test_no_message_holds_a_value_or_words_of_pydantic(layer: dict[str, Any]) -> None:
    """Whatever a layer holds: a pointer to it, one of our codes, one of our sentences."""
    try:
        ARCHITECTURE.validate_json(json.dumps({"layers": [layer]}))
    except ValidationError as error:
        for fault in faults_of(error, (), Architecture):
            assert fault.pointer.startswith("/layers/0")
            assert CANARY not in fault.pointer + fault.detail
            assert "Input should" not in fault.detail
            assert fault.code in {
                "missing",
                "unknown-field",
                "unknown-type",
                "wrong-type",
                "out-of-range",
                "one-width",
            }
