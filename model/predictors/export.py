"""PyTorch predictor to one ONNX file, and the proof that both say the same."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from onnxscript import opset18
from torch import nn

from ..encoding.layer_code import LayerCode, pad
from ..runtime import INPUTS, OUTPUTS
from . import operators  # noqa: F401 - registers what is translated below
from .lstm import LSTM

OPSET = 18  # below 22, whose LSTM the CUDA execution provider has no kernel for
TOLERANCE = 1e-5
op: Any = opset18  # onnxscript's own annotations refuse the constants it accepts


def _translate_lstm(inputs: Any, lengths: Any, w: Any, r: Any, b: Any) -> tuple[Any, Any]:
    """ONNX's LSTM is time-major: [layers, batch, features] in, [layers, directions, batch, hidden] out."""
    directions, hidden = w.shape[0], r.shape[2]
    outputs, last, _ = op.LSTM(
        op.Transpose(inputs, perm=[1, 0, 2]),
        w,
        r,
        b,
        op.Cast(lengths, to=onnx.TensorProto.INT32),
        hidden_size=hidden,
        direction="bidirectional" if directions == 2 else "forward",
    )
    outputs = op.Reshape(op.Transpose(outputs, perm=[2, 0, 1, 3]), op.Constant(value_ints=[0, 0, -1]))
    last = op.Reshape(op.Transpose(last, perm=[1, 0, 2]), op.Constant(value_ints=[0, -1]))
    return outputs, last


def _translate_running_maximum(values: Any, window: int) -> Any:
    largest, _ = op.MaxPool(values, kernel_shape=[window], pads=[window - 1, 0])
    return largest


def _translate_sum_of_squares(values: Any, dim: int, keepdim: bool) -> Any:
    return op.ReduceSumSquare(values, op.Constant(value_ints=[dim]), keepdims=int(keepdim))


def to_onnx(predictor: nn.Module, code: LayerCode, epochs: int) -> bytes:
    """Export a predictor module that returns accuracy, lower, upper and distance (`model.runtime`).

    Batch, layers and epochs stay dynamic; weights are inside the file.
    """
    predictor.eval()
    for module in predictor.modules():
        if isinstance(module, LSTM):
            module.freeze()
    codes = torch.ones(2, 3, len(code.columns), dtype=torch.int32)
    example = (codes, torch.tensor([3, 2], dtype=torch.int32), torch.arange(1, min(3, epochs + 1)))
    batch, layers, count = (torch.export.Dim(name, min=1) for name in ("batch", "layers", "epochs"))
    program = torch.onnx.export(
        predictor,
        example,
        dynamo=True,
        opset_version=OPSET,
        input_names=INPUTS,
        output_names=OUTPUTS,
        dynamic_shapes=({0: batch, 1: layers}, {0: batch}, {0: count}),
        custom_translation_table={
            torch.ops.peephole.lstm.default: _translate_lstm,
            torch.ops.peephole.running_maximum.default: _translate_running_maximum,
            torch.ops.peephole.sum_of_squares.default: _translate_sum_of_squares,
        },
        optimize=True,
        verbose=False,
    )
    return serialised(program)


def serialised(program: torch.onnx.ONNXProgram | None) -> bytes:
    """Return an exported program without the notes of the exporter, which name files of the exporting machine."""
    assert program is not None  # noqa: S101 - it is None only for the legacy exporter
    ClearMetadataAndDocStringPass()(program.model)
    return bytes(program.model_proto.SerializeToString())


def opset(model: bytes) -> int:
    """Return the version of the default operator set that a model uses."""
    imports = onnx.load_model_from_string(model).opset_import
    return next(int(entry.version) for entry in imports if not entry.domain)


@torch.no_grad()
def largest_difference(
    predictor: nn.Module, model: bytes, encodings: Sequence[NDArray[np.int32]], epochs: int, batch: int = 64
) -> float:
    """Return the largest absolute difference in accuracy between PyTorch and ONNX Runtime on a table of networks.

    Every network is predicted in mixed-length batches and alone.
    """
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    ticks = np.arange(1, epochs + 1, dtype=np.int64)
    groups = [list(encodings[start : start + batch]) for start in range(0, len(encodings), batch)]
    groups += [[codes] for codes in encodings]
    worst = 0.0
    predictor.eval()
    for group in groups:
        codes, lengths = pad(group)
        expected = predictor(torch.from_numpy(codes), torch.from_numpy(lengths), torch.from_numpy(ticks))
        (accuracy,) = session.run([OUTPUTS[0]], {"codes": codes, "lengths": lengths, "epochs": ticks})
        worst = max(worst, float(np.abs(expected[0].numpy() - accuracy).max()))
    return worst
