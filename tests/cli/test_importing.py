"""`peephole import` prints requests; `peephole predict` reads ONNX models as they are."""

import json
import sys

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the extra `training`")
pytest.importorskip("torch", reason="needs the extra `training`")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

LAYERS = [{"type": "conv", "kernel_size": 3, "out_channels": 8}, {"type": "relu"}, {"type": "global_avg_pool"}]


@pytest.fixture
def onnx_file(tmp_path):
    """A model of one convolution and a classifier; `odd` has an operator that the form lacks."""

    def write(name="net.onnx", *, odd=False):
        nodes = [
            helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("LRN" if odd else "Relu", ["c"], ["r"], **({"size": 3} if odd else {})),
            helper.make_node("GlobalAveragePool", ["r"], ["p"]),
            helper.make_node("Flatten", ["p"], ["f"]),
            helper.make_node("Gemm", ["f", "v"], ["y"], transB=1),
        ]
        sizes = {"w": (8, 1, 3, 3), "b": (8,), "v": (10, 8)}
        weights = [numpy_helper.from_array(np.zeros(size, np.float32), key) for key, size in sizes.items()]
        given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 1, 14, 14))
        made = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        onnx.save(helper.make_model(helper.make_graph(nodes, "net", [given], [made], weights)), tmp_path / name)
        return tmp_path / name

    return write


def test_an_onnx_model_is_printed_as_a_request(peephole, onnx_file):
    found = peephole("import", onnx_file())
    assert (found.status, found.err) == (0, "")
    assert json.loads(found.out) == {"input": [1, 14, 14], "architectures": [{"id": "net", "layers": LAYERS}]}


def test_predict_reads_an_onnx_model(peephole, onnx_file, tmp_path):
    found = peephole("predict", onnx_file("mine.ONNX"), "--task", "mnist-mini", "--json")
    (prediction,) = json.loads(found.out)["predictions"]
    assert prediction["id"] == "mine"
    (tmp_path / "net.json").write_text(json.dumps(LAYERS))
    found = peephole("predict", tmp_path / "net.json", "--task", "mnist-mini", "--json")
    assert json.loads(found.out)["predictions"][0]["accuracy"] == prediction["accuracy"]


MODULES = """
import torch
from torch import nn
print("loading")
class Net(nn.Sequential):
    def __init__(self):
        layers = nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)
        super().__init__(*layers)
net = Net()
class Scaled(nn.Module):
    def forward(self, x):
        return (x * 0.5).relu()
class Odd(nn.Module):
    def forward(self, x):
        return torch.cumsum(x, 1)
number = 3
def function():
    return number
def fails():
    raise KeyError("no such variant")
"""


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A module of PyTorch modules in the present folder; its name is new in each test."""
    name = f"modules_of_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODULES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    return name


@pytest.mark.parametrize("name", ["Net", "net"])
def test_a_module_is_printed_as_a_request_whatever_its_code_prints(name, peephole, modules):
    found = peephole("import", f"{modules}:{name}", "--input", "1,14,14")
    assert (found.status, found.err) == (0, "loading\n")
    assert json.loads(found.out) == {"input": [1, 14, 14], "architectures": [{"id": name, "layers": LAYERS}]}


def test_notes_go_to_standard_error(peephole, modules):
    found = peephole("import", f"{modules}:Scaled", "--input", "1,14,14")
    assert json.loads(found.out)["architectures"][0]["layers"] == [{"type": "relu"}]
    assert found.err.splitlines()[-1] == "peephole: note: constant factors and terms are left out (1)"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Odd", "the network form cannot express aten.cumsum (1 time, in the model itself): no layer type says that"),
        ("function", "is no PyTorch module, and returns none but a int"),
        ("fails", "KeyError: 'no such variant'"),
        ("nothing", "AttributeError: module"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named(name, said, peephole, modules):
    found = peephole("import", f"{modules}:{name}", "--input", "1,14,14")
    assert (found.status, found.out) == (1, "")
    assert found.err.splitlines()[-1].startswith(f"peephole: {modules}:{name}")
    assert said in found.err


def test_sources_that_cannot_be_read_are_named(rejected, onnx_file, tmp_path):
    odd = onnx_file("odd.onnx", odd=True)
    assert rejected("import", odd).startswith(f"{odd}: the network form cannot express LRN (1 time, ")
    assert rejected("predict", odd, "--task", "mnist-mini") == rejected("import", odd)
    missing = tmp_path / "missing.onnx"
    assert rejected("import", missing) == f"{missing}: no such file or directory"
    assert rejected("import", "no_such_package.models:net", "--input", "1,8,8").startswith(
        "no_such_package.models:net: ModuleNotFoundError: No module named 'no_such_package'"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("package:net",), "needed for a PyTorch module, as in 3,224,224"),
        (("package:net", "--input", "3,224"), "'3,224' is not CHANNELS,HEIGHT,WIDTH"),
        (("package:net", "--input", "3,0,224"), "'3,0,224' has a size below 1"),
    ],
)
def test_usage_errors_end_with_status_2(arguments, said, peephole, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    found = peephole("import", *arguments)
    assert found.status == 2
    assert said in found.err
