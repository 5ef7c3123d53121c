"""PyTorch modules to ONNX, and the proof that both say the same."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any, ClassVar

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import nn

from ..encoding.layer_code import pad
from ..onnx_network import OnnxNetwork
from ..runtime import CurvePredictor

OPSET = 18  # below 22, whose LSTM the CUDA execution provider has no kernel for
TOLERANCE = 1e-5


class ExportedModule(nn.Module):
    """A module that is exported. It returns a tensor, or a tuple of them.

    Attributes:
        INPUTS: names of the inputs, in order, and of the leading dimensions of each that stay dynamic.
        OUTPUTS: names of the outputs, in order.
        HAS_LSTM: whether an LSTM is in it: `torch.export` unrolls one to the number of steps of its example.
    """

    INPUTS: ClassVar[dict[str, tuple[str, ...]]]
    OUTPUTS: ClassVar[tuple[str, ...]]
    HAS_LSTM: ClassVar[bool] = False

    def example(self) -> tuple[torch.Tensor, ...]:
        """Return inputs of the right shapes and types, in order."""
        raise NotImplementedError


class TorchNetwork:
    """Runs a module as ONNX Runtime runs its export."""

    def __init__(self, module: ExportedModule) -> None:
        self.module = module.eval()

    @torch.no_grad()
    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the outputs in order."""
        outputs = self.module(*(torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in self.module.INPUTS))
        return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]


def to_onnx(module: ExportedModule) -> bytes:
    """Export a module; weights are inside the file."""
    if module.HAS_LSTM:
        return _to_onnx_by_tracing(module)
    dims = {name: torch.export.Dim(name, min=1) for names in module.INPUTS.values() for name in names}
    shapes = ({axis: dims[name] for axis, name in enumerate(names)} for names in module.INPUTS.values())
    program = torch.onnx.export(
        module.eval(),
        module.example(),
        dynamo=True,
        opset_version=OPSET,
        input_names=list(module.INPUTS),
        output_names=list(module.OUTPUTS),
        dynamic_shapes=tuple(shapes),
        optimize=True,
        verbose=False,
    )
    assert program is not None  # noqa: S101 - it is None only for the legacy exporter
    ClearMetadataAndDocStringPass()(program.model)  # the exporter notes which files the code is in
    return bytes(program.model_proto.SerializeToString())


def _to_onnx_by_tracing(module: ExportedModule) -> bytes:
    file = BytesIO()
    torch.onnx.export(
        module.eval(),
        module.example(),
        file,  # type: ignore[arg-type]  # the annotation leaves out file objects
        dynamo=False,
        opset_version=OPSET,
        input_names=list(module.INPUTS),
        output_names=list(module.OUTPUTS),
        dynamic_axes={name: dict(enumerate(dims)) for name, dims in module.INPUTS.items()},
    )
    return file.getvalue()


def opset(model: bytes) -> int:
    """Return the version of the default operator set that a model uses."""
    imports = onnx.load_model_from_string(model).opset_import
    return next(int(entry.version) for entry in imports if not entry.domain)


def largest_difference(
    predictor: CurvePredictor, model: bytes, encodings: Sequence[NDArray[np.int32]], epochs: int, batch: int = 64
) -> float:
    """Return the largest absolute difference in accuracy when ONNX Runtime runs a predictor's networks.

    Every network is predicted in mixed-length batches and alone.
    """
    network = OnnxNetwork(model, "the export", predictor.family.INPUTS, predictor.family.OUTPUTS)
    exported = replace(predictor, run=network)
    groups = [list(encodings[start : start + batch]) for start in range(0, len(encodings), batch)]
    groups += [[codes] for codes in encodings]
    worst = 0.0
    for group in groups:
        codes, lengths = pad(group)
        expected, found = (one.predict(codes, lengths, range(1, epochs + 1)) for one in (predictor, exported))
        worst = max(worst, float(np.abs(expected.accuracy - found.accuracy).max()))
    return worst
