"""Small real predictors of the family `lstm`; their predictions can be checked by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from model.artifact import ARRAYS_FILE, MEMBERS_FILE, Card, digests, pack_arrays, write_artifact
from model.calibration import Calibration, CurveScale
from model.encoding.layer_code import CODES

EPOCHS = 5
POISON_KERNEL = 11
NAN_KERNEL = 10
FAR_LAYERS = 40


def expected_logit(codes: np.ndarray, epoch: int) -> float:
    """What `graph` computes for one network [layers, columns] before the sigmoid."""
    return float(codes.sum()) * 0.001 - 1.0 + 0.1 * epoch


def graph(code: str = "extended", *, loops: int = 0, bias: float = -1.0, opset: int = 17) -> bytes:
    """The network of a predictor: accuracy = sigmoid(sum(codes) / 1000 + bias + epoch / 10), one structural feature.

    The feature is the number of layers, and so is the distance, as `arrays` compares it with 0.

    A kernel of `POISON_KERNEL` makes the run fail, one of `NAN_KERNEL` gives NaN for that network alone; `loops`
    repeats a matrix product to take time.
    """
    columns = len(CODES[code].columns)
    guard = np.zeros(POISON_KERNEL, dtype=np.float32)  # index 11 is out of bounds
    guard[NAN_KERNEL] = np.nan
    constants: dict[str, Any] = {
        "k_milli": np.float32(0.001),
        "k_bias": np.float32(bias),
        "k_tenth": np.float32(0.1),
        "axis_layers": np.array([1, 2], dtype=np.int64),
        "axis_column": np.array([2], dtype=np.int64),
        "axis_one": np.array([1], dtype=np.int64),
        "axis_zero": np.array([0], dtype=np.int64),
        "guard": guard,
        "kernel_column": np.array(1, dtype=np.int64),
        "loops": np.array(loops, dtype=np.int64),
        "go_on": np.array(True),
        "square": np.eye(256, dtype=np.float32),
        "k_zero": np.float32(0.0),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["codes"], ["floats"], to=TensorProto.FLOAT),
        node("ReduceSum", ["floats", "axis_layers"], ["total"], keepdims=0),
        node("Gather", ["codes", "kernel_column"], ["kernels"], axis=2),
        node("Gather", ["guard", "kernels"], ["guards"], axis=0),
        node("ReduceSum", ["guards", "axis_one"], ["guarded"], keepdims=0),
        node("Mul", ["total", "k_milli"], ["small"]),
        node("Add", ["small", "guarded"], ["sum"]),
        node("Add", ["sum", "k_bias"], ["biased"]),
        node("Unsqueeze", ["biased", "axis_one"], ["column"]),
        node("Cast", ["epochs"], ["epoch_floats"], to=TensorProto.FLOAT),
        node("Mul", ["epoch_floats", "k_tenth"], ["epoch_terms"]),
        node("Unsqueeze", ["epoch_terms", "axis_zero"], ["row"]),
        node("Add", ["column", "row"], ["logits"]),
        node("Sigmoid", ["logits"], ["curves"]),
        node("Cast", ["lengths"], ["length_floats"], to=TensorProto.FLOAT),
    ]
    if loops:
        body = helper.make_graph(
            [node("MatMul", ["x_in", "square"], ["x_out"]), node("Identity", ["go_in"], ["go_out"])],
            "body",
            [
                helper.make_tensor_value_info("i", TensorProto.INT64, []),
                helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
                helper.make_tensor_value_info("x_in", TensorProto.FLOAT, [256, 256]),
            ],
            [
                helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
                helper.make_tensor_value_info("x_out", TensorProto.FLOAT, [256, 256]),
            ],
        )
        nodes += [
            node("Loop", ["loops", "go_on", "square"], ["spun"], body=body),
            node("ReduceMean", ["spun"], ["mean"], keepdims=0),
            node("Mul", ["mean", "k_zero"], ["nothing"]),
            node("Add", ["length_floats", "nothing"], ["depth"]),
        ]
    else:
        nodes.append(node("Identity", ["length_floats"], ["depth"]))
    nodes.append(node("Unsqueeze", ["depth", "axis_one"], ["structures"]))
    tensor = helper.make_tensor_value_info
    made = helper.make_graph(
        nodes,
        "tiny",
        [
            tensor("codes", TensorProto.INT32, ["batch", "layers", columns]),
            tensor("lengths", TensorProto.INT32, ["batch"]),
            tensor("epochs", TensorProto.INT64, ["epochs"]),
        ],
        [
            tensor("curves", TensorProto.FLOAT, ["batch", "epochs"]),
            tensor("structures", TensorProto.FLOAT, ["batch", 1]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return model.SerializeToString()


def arrays(epochs: int = EPOCHS, **changed: Any) -> dict[str, Any]:
    """The other half: the interval is the accuracy plus and minus 0.1."""
    scale = Calibration.without(CurveScale.unchanged(epochs)).arrays()
    return scale | {"margins": np.full(epochs, 0.1), "structures": np.zeros((1, 1))} | changed


def artifact(
    folder: Path,
    task: str = "tiny",
    model: bytes | None = None,
    code: str = "extended",
    numbers: dict[str, Any] | None = None,
    **fields: Any,
) -> Path:
    """Write an artifact folder; return it."""
    if model is None:
        model = graph(code)
        onnx.checker.check_model(onnx.load_from_string(model))
    files = {MEMBERS_FILE: model, ARRAYS_FILE: pack_arrays(numbers or arrays(fields.get("epochs", EPOCHS)))}
    values: dict[str, Any] = {
        "files": digests(files),
        "task": task,
        "version": "1",
        "description": "sums its codes",
        "family": "lstm",
        "code": code,
        "epochs": EPOCHS,
        "in_channels": 3,
        "resolution": 32,
        "training": {},
        "metrics": {},
        "interval_level": 0.9,
        "distance_threshold": FAR_LAYERS,
        "layers": (2, 60),
        "opset": 17,
        "created_at": "2026-01-01T00:00:00Z",
    }
    write_artifact(folder, Card(**values | fields), files)
    return folder
