"""Networks are read in every form that the help names; faults are named by their place in the file."""

import json

import pytest

from cli.networks import read_networks
from training.protocols import PROTOCOLS

RELU, CONV = {"type": "relu"}, {"type": "conv", "kernel_size": 3, "out_channels": 8}
NETWORK = {"layers": [CONV, RELU]}
GROUPED = CONV | {"groups": 3}
TASK = "mnist-mini"


def body(*networks, **changes):
    return {"architectures": list(networks or [NETWORK])} | changes


def lines(*values):
    return "\n".join(map(json.dumps, values))


@pytest.fixture
def file(tmp_path):
    def of(content):
        path = tmp_path / "mine.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return of


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([CONV, RELU]),
        json.dumps(NETWORK),
        json.dumps([NETWORK]),
        json.dumps([[CONV, RELU]]),
        json.dumps(body()),
        json.dumps(body(task=TASK, epochs=None)),
        json.dumps(body(), indent=2),
        lines(NETWORK) + "\n",
        "\ufeff" + json.dumps(NETWORK),
    ],
)
def test_every_form_is_the_same_network(content, file):
    (network,) = read_networks(file(content)).architectures
    assert network["layers"] == [CONV, RELU]


@pytest.mark.parametrize("content", [lines(NETWORK, NETWORK), lines(NETWORK, [CONV, RELU]) + "\r\n\n"])
def test_json_lines_hold_a_network_a_line(content, file):
    assert [one["layers"] for one in read_networks(file(content)).architectures] == [[CONV, RELU]] * 2


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("", "holds no network"),
        ("{", "not JSON: it ends before it is complete (line 1 column 1)"),
        ("[]", "holds no network"),
        ("3", "the JSON value must be an object"),
        (b"\xff\xfe{", "not JSON: "),
        ("[" * 20_000, "not JSON: it is nested too deeply"),
        (f'{{"layers": [{"1" * 5001}]}}', "not JSON: a number has too many digits"),
        (body(NETWORK, NETWORK | {"observed": [50]}), "/architectures/1/observed/0: must be at most 1; divide"),
        ([NETWORK, NETWORK | {"observed": []}], "/1/observed: must hold at least one element"),
        ({"layers": []}, "/layers: must hold at least one element"),
        ({"layers": [{"kernel_size": 3}]}, "/layers/0/type: `type` is missing"),
        ([CONV, {"type": "mish"}], "/1/type: write silu or gelu, which are much like it; the types are: "),
        ([NETWORK, [CONV, {"type": "Conv2d"}]], "/1/1/type: did you mean `conv`?"),
        (body(epoch=[1]), "/epoch: unknown field; the fields are: "),
        (body({"layer": [RELU]}), "/architectures/0/layers: `layers` is missing"),
        (body({"layers": [CONV | {"pads": 1}]}), "/architectures/0/layers/0/pads: unknown field; write padding"),
        (body({"layers": [CONV | {"padding": "valid"}]}), '/architectures/0/layers/0/padding: must be "same", '),
        (body(task=3), "/task: must be a string"),
        (body(epochs=[]), "/epochs: "),
        (body(epochs=[1, 0]), "/epochs/1: "),
        (body(out_of_range="clamp"), "/out_of_range: unknown field; the fields are: "),
        (body(epochs=[1, 11]), "/epochs/1: must be 1 to 10 for task mnist-mini"),
        (body(epochs=[2, 2]), "/epochs/1: each epoch may be listed once"),
        (body({"layers": [CONV, GROUPED]}), "/architectures/0/layers/1/groups: must divide the 8 input channels"),
        ([NETWORK, NETWORK | {"in_channels": 3}], "/1/in_channels: the images have 1 channels"),
        ([CONV, GROUPED], "/1/groups: must divide the 8 input channels"),
        ([CONV, {"type": "add"}], "/1/inputs: add merges two or more layers: give their names"),
        ([CONV, {"type": "linear", "out_features": 8}, CONV], "/2/type: conv cannot read a flat vector"),
        (lines(NETWORK, {"layers": [CONV, {"type": "rleu"}]}), "line 2: /layers/1/type: did you mean `relu`?"),
        (lines(NETWORK, [CONV, {"type": "rleu"}]), "line 2: /1/type: did you mean `relu`?"),
        (lines(NETWORK, 3), "line 2: the JSON value must be an object"),
        (lines(NETWORK) + '\n\n{"layers"', "line 3: not JSON: it ends before it is complete (column 9)"),
        (lines(NETWORK, NETWORK | {"in_channels": 3}), "line 2: /in_channels: the images have 1 channels"),
    ],
)
def test_faults_are_named_by_their_place_in_the_file(content, where, file, rejected):
    path = file(content if isinstance(content, str | bytes) else json.dumps(content))
    assert rejected("predict", path, "--task", TASK).startswith(f"{path}: {where}")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("net.safetensors", "holds weights: `peephole predict-weights` reads them"),
        ("net.pt", "is a PyTorch file: `peephole import` reads modules"),
        ("net.PTH", "is a PyTorch file"),
        ("net.onnx", "it is no ONNX model"),
        ("net.keras", "is a Keras model"),
        ("net.h5", "is a Keras model"),
    ],
)
def test_files_of_other_tools_are_told_apart(name, said, tmp_path, rejected):
    (tmp_path / name).write_bytes(b"\x80\x93\xff")
    assert rejected("predict", tmp_path / name, "--task", TASK).startswith(
        (f"{tmp_path / name} {said}", f"{tmp_path / name}: {said}")
    )


def test_the_number_of_further_faults_is_said(rejected):
    networks = body({"layers": [GROUPED]} | {"in_channels": 3})
    assert rejected("predict", "-", "--task", TASK, stdin=json.dumps(networks)).endswith("(and 1 more)")


def test_networks_that_cannot_be_trained_are_named_before_anything_is(rejected, file, tmp_path):
    protocol = PROTOCOLS["digits-mini"]
    rest = ("--protocol", protocol.name, "--out", tmp_path / "own.parquet")
    path = file(json.dumps([NETWORK, {"layers": [{"type": "linear", "out_features": 8}, CONV]}]))
    said = "conv cannot read a flat vector, which linear and flatten make"
    assert rejected("train", path, *rest) == f"{path}: /1/layers/1/type: {said}"
    path = file(json.dumps([NETWORK, NETWORK | {"in_channels": 3}]))
    assert rejected("train", path, *rest) == f"{path}: /1/in_channels: the images of digits-mini have 1 channels"
    assert not (tmp_path / "own.parquet").exists()
