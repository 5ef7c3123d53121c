"""ONNX models become the networks that their modules are; exporters' arithmetic is read as what it was."""

import warnings
from itertools import pairwise

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import peephole
from model.network.graph import costs, resolve
from model.network.shapes import Shape
from tests.client.networks import MODULES

INPUT = (3, 16, 16)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Export a module by the exporter that traces, its batch norm kept."""

    def export(module, *, opset=17, **options):
        file = tmp_path_factory.mktemp("onnx") / "net.onnx"
        training = torch.onnx.TrainingMode.PRESERVE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            images = (torch.zeros(1, *INPUT),)
            given = {"dynamo": False, "opset_version": opset, "training": training, "do_constant_folding": True}
            torch.onnx.export(module.eval(), images, file, **given, **options)
        return file

    return export


def layers_of(file, **options):
    """Import a model without a note, and return its layers."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", peephole.ImportNote)
        return peephole.from_onnx(file, **options)["architectures"][0]["layers"]


def unnamed(layers):
    """Return layers without the names, which modules and ONNX nodes give in their own ways."""
    return [{key: value for key, value in layer.items() if key not in {"name", "inputs"}} for layer in layers]


@pytest.mark.parametrize(
    ("kind", "opset"),
    [*((kind, 17) for kind in MODULES), *((kind, 13) for kind in MODULES if kind.__name__ != "ConvNext")],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_model_is_the_network_that_its_module_is(kind, opset, exported):
    """Dropout is absent from models that are exported in eval mode; layer norm is an operator from opset 17 on."""
    module = kind()
    found = layers_of(exported(module, opset=opset))
    expected = peephole.from_torch(module, INPUT)["architectures"][0]["layers"]
    assert unnamed(found) == [layer for layer in unnamed(expected) if layer["type"] != "dropout"]
    assert costs(resolve(found, Shape(*INPUT))) == costs(resolve(expected, Shape(*INPUT)))


def test_the_exporter_of_today_is_read_too(tmp_path):
    pytest.importorskip("onnxscript")
    file = tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(MODULES[1]().eval(), (torch.zeros(1, *INPUT),), file, dynamo=True, verbose=False)
    expected = peephole.from_torch(MODULES[1](), INPUT)["architectures"][0]["layers"]
    assert unnamed(layers_of(file)) == unnamed(expected)


def test_what_the_model_leaves_open_is_given(exported):
    file = exported(MODULES[0](), input_names=["images"], dynamic_axes={"images": {0: "n", 2: "h", 3: "w"}})
    with pytest.raises(ValueError, match="the model leaves the size of its input open"):
        peephole.from_onnx(file)
    request = peephole.from_onnx(file, input_shape=(3, 32, 32), name="mine")
    assert (request["input"], request["architectures"][0]["id"]) == ([3, 32, 32], "mine")
    with pytest.raises(ValueError, match=r"the model's input is \[3, 32, 32\], not \[1, 32, 32\]"):
        peephole.from_onnx(file, input_shape=(1, 32, 32))


def model(tmp_path, *nodes, shape=(1, 4, 8, 8), weights=()):
    """Write a model of nodes from `x` to `y`."""
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in dict(weights).items()]
    graph = helper.make_graph(list(nodes), "net", [given], [made], tensors)
    file = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), file)
    return file


KERNEL = {"w": np.zeros((6, 4, 3, 3), np.float32)}


@pytest.mark.parametrize(
    ("attributes", "layer"),
    [
        ({"auto_pad": "SAME_UPPER"}, {}),
        ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, {"stride": 2}),
        ({"auto_pad": "VALID"}, {"padding": 0}),
        ({"pads": [1, 1, 1, 1], "strides": [2, 1]}, {"stride": [2, 1], "padding": 1}),
        ({"pads": [0, 0, 1, 1], "strides": [2, 2]}, {"stride": 2}),
        ({"dilations": [2, 2], "pads": [2, 2, 2, 2]}, {"dilation": 2}),
    ],
)
def test_windows(attributes, layer, tmp_path):
    file = model(tmp_path, helper.make_node("Conv", ["x", "w"], ["y"], **attributes), weights=KERNEL)
    assert layers_of(file) == [{"type": "conv", "kernel_size": 3, "out_channels": 6, **layer, "bias": False}]


def test_padding_at_the_lower_side_stays_a_pad(tmp_path):
    node = helper.make_node("Conv", ["x", "w"], ["y"], auto_pad="SAME_LOWER", strides=[2, 2])
    pad, conv = layers_of(model(tmp_path, node, weights=KERNEL))
    assert pad == {"type": "pad", "padding": [1, 0, 1, 0]}
    assert (conv["padding"], conv["stride"]) == (0, 2)


def test_shapes_that_are_computed_are_folded(tmp_path):
    """Group norm as older exporters write it, its shapes computed from the input's."""
    nodes = [
        helper.make_node("Reshape", ["x", "three"], ["a"]),
        helper.make_node("InstanceNormalization", ["a", "ones", "zeros"], ["b"]),
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Reshape", ["b", "s"], ["c"]),
        helper.make_node("Mul", ["c", "scale"], ["d"]),
        helper.make_node("Add", ["d", "shift"], ["e"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Unsqueeze", ["n", "axis"], ["m"]),
        helper.make_node("Concat", ["m", "rest"], ["t"], axis=0),
        helper.make_node("Reshape", ["e", "t"], ["f"]),
        helper.make_node("Transpose", ["f"], ["g"], perm=[0, 2, 1, 3, 4]),
        helper.make_node("Reshape", ["g", "s"], ["h"]),
        helper.make_node("Relu", ["h"], ["i"]),
        helper.make_node("Conv", ["i", "w"], ["y"]),
    ]
    weights = {
        **KERNEL,
        "three": np.array([0, 2, -1]),
        **{"ones": np.ones(2, np.float32), "zeros": np.zeros(2, np.float32)},
        **{"scale": np.ones((4, 1, 1), np.float32), "shift": np.ones((4, 1, 1), np.float32)},
        **{"zero": np.array(0), "axis": np.array([0]), "rest": np.array([2, 2, 8, 8])},
    }
    assert layers_of(model(tmp_path, *nodes, weights=weights)) == [
        {"type": "group_norm", "num_groups": 2},
        {"type": "relu"},
        {"type": "channel_shuffle", "groups": 2},
        {"type": "conv", "kernel_size": 3, "out_channels": 6, "padding": 0, "bias": False},
    ]


def test_everything_unmapped_is_reported_at_once(tmp_path):
    nodes = [
        helper.make_node("LRN", ["x"], ["a"], size=3, name="first"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("LRN", ["b"], ["c"], size=3, name="second"),
        helper.make_node("DepthToSpace", ["c"], ["d"], blocksize=2),
        helper.make_node("Conv", ["d", "v"], ["e"]),
        helper.make_node("ReduceMean", ["e"], ["y"], axes=[1], name="last"),
    ]
    file = model(tmp_path, *nodes, weights={"v": np.zeros((6, 1, 3, 3), np.float32)})
    with pytest.raises(peephole.UnmappedError) as caught:
        peephole.from_onnx(file)
    assert {one.operator: list(one.places) for one in caught.value.operators} == {
        "LRN": ["first", "second"],
        "DepthToSpace": ["d"],
        "ReduceMean": ["last"],
    }


def test_operators_in_unexpected_use_are_reported(tmp_path):
    """A pool whose kernel is missing is no model that the standard allows."""
    with pytest.raises(peephole.UnmappedError, match="in a way that the importer does not know"):
        peephole.from_onnx(model(tmp_path, helper.make_node("MaxPool", ["x"], ["y"])))


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "it is no ONNX model"), (b"\x80\x93\xff", "it is no ONNX model"), (b"{}", "no ONNX")]
)
def test_a_file_that_is_no_model_is_rejected(content, said, tmp_path):
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        peephole.from_onnx(tmp_path / "net.onnx")


def test_a_network_beyond_the_limits_of_the_form_is_rejected(tmp_path):
    names = ["x", *map(str, range(2048)), "y"]
    nodes = [helper.make_node("Relu", [one], [other]) for one, other in pairwise(names)]
    with pytest.raises(ValueError, match="/layers: has more elements than the limit of 2048"):
        peephole.from_onnx(model(tmp_path, *nodes))


def test_a_model_of_no_images_is_rejected(tmp_path):
    file = model(tmp_path, helper.make_node("Relu", ["x"], ["y"]), shape=(1, 4))
    with pytest.raises(ValueError, match="is no batch of images"):
        peephole.from_onnx(file)
