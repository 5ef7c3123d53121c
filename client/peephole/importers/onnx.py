"""Networks that are ONNX models."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper, shape_inference
from onnx.inliner import inline_local_functions
from onnx.reference import ReferenceEvaluator

from peephole.model.network.shapes import Shape

from .graph import Constant, Graph, Request, Tensor, Value, constant
from .onnx_operators import OPERATORS
from .unmapped import UNEXPECTED, Unmapped, reason_of

BATCH = 2  # where the model leaves it open
SMALL = 4096  # elements of constants whose value is read: shapes, sizes, factors


def from_onnx(path: str | Path, *, input_shape: Sequence[int] | None = None, name: str | None = None) -> Request:
    """Return the request of an ONNX model, its final linear layer left out as the classifier.

    Args:
        path: of the file; weights in other files are not read.
        input_shape: channels, height, width, where the model leaves them open.
        name: the network's `id`.

    Raises:
        OSError: when the file cannot be read.
        UnmappedError: when operators cannot be expressed; it lists all of them.
        ValueError: when the file is no ONNX model of images, holds no network, or is beyond the limits of the form.
    """
    model = _loaded(Path(path))
    batch, image = _read_input(model, input_shape)
    if len(model.graph.output) != 1:
        raise ValueError(f"the model has {len(model.graph.output)} outputs, not one")
    reader = _Reader(model, Graph(image, batch))
    return reader.graph.finish(reader.run(), name)


def _loaded(path: Path) -> ModelProto:
    content = path.read_bytes()
    try:
        model = onnx.load_from_string(content)
    except Exception as error:
        raise ValueError("it is no ONNX model") from error
    if not model.graph.node:
        raise ValueError("it is no ONNX model, or an empty one")
    return inline_local_functions(model) if model.functions else model


def _read_input(model: ModelProto, input_shape: Sequence[int] | None) -> tuple[int, Shape]:
    """Return the batch and the image's shape; what the model leaves open is filled in there."""
    known = {one.name for one in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in known]
    if len(inputs) != 1:
        raise ValueError(f"the model has {len(inputs)} inputs, not one")
    dims = inputs[0].type.tensor_type.shape.dim
    if len(dims) != 4:
        raise ValueError("the model's input is no batch of images [batch, channels, height, width]")
    given = (BATCH, *(input_shape or (0, 0, 0)))
    for dim, size in zip(dims, given, strict=True):
        if dim.dim_value == 0:
            dim.dim_value = size
    found = [dim.dim_value for dim in dims]
    if 0 in found:
        raise ValueError("the model leaves the size of its input open: give channels, height and width")
    if input_shape is not None and found[1:] != [*input_shape]:
        raise ValueError(f"the model's input is {found[1:]}, not {[*input_shape]}")
    return found[0], Shape(*found[1:])


class _Reader:
    """Reads the nodes of a model; they are in topological order.

    Attributes:
        graph: the network.
    """

    def __init__(self, model: ModelProto, graph: Graph) -> None:
        self.graph = graph
        self._model = model
        self._inferred: dict[str, tuple[int, ...]] | None = None
        self._values: dict[str, Value] = {"": None}

    def run(self) -> Value:
        """Read all nodes, and return the model's output."""
        for tensor in self._model.graph.initializer:
            self._values[tensor.name] = _initializer(tensor)
        for given in self._model.graph.input:
            self._values.setdefault(given.name, self.graph.input())
        for node in self._model.graph.node:
            made = self._made(node)
            self._values |= zip(node.output, made, strict=False)
        return self._values[self._model.graph.output[0].name]

    def _made(self, node: NodeProto) -> list[Value]:
        inputs = [self._values.get(name) for name in node.input]
        if not any(isinstance(value, Tensor) for value in inputs) and node.op_type not in {"If", "Loop", "Scan"}:
            return self._constants(node, inputs)
        self.graph.place = node.name or node.output[0]
        handler = OPERATORS.get(node.op_type)
        attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        try:
            if handler is None:
                raise Unmapped("no layer type says that")  # noqa: TRY301
            made = handler(self.graph, inputs, {**attributes, "outputs": len(node.output)})
        except (Unmapped, *UNEXPECTED) as error:
            known, reason = handler is not None, reason_of(error)
            return [
                self.graph.report(node.op_type, reason, inputs, self._shape(name), is_known=known)
                for name in node.output
            ]
        return made if isinstance(made, list) else [made]

    def _constants(self, node: NodeProto, inputs: Sequence[Value]) -> list[Value]:
        """Compute what depends on no image, or only its shape where the values are not at hand."""
        is_learned = any(isinstance(value, Constant) and value.is_learned for value in inputs)
        arrays = {name: value.array for name, value in zip(node.input, inputs, strict=True) if value is not None}
        if node.op_type not in {"If", "Loop", "Scan"} and all(array is not None for array in arrays.values()):
            made = ReferenceEvaluator(node).run(None, arrays)
            return [constant(array, is_learned=is_learned) for array in made]
        return [Constant(self._shape(name) or (), is_learned) for name in node.output]

    def _shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape that ONNX infers for a value."""
        if self._inferred is None:
            infos = shape_inference.infer_shapes(self._model, data_prop=True).graph.value_info
            dims = {one.name: one.type.tensor_type.shape.dim for one in infos}
            self._inferred = {key: tuple(dim.dim_value for dim in value) for key, value in dims.items()}
        found = self._inferred.get(name)
        return found if found and all(found) else None


def _initializer(tensor: TensorProto) -> Constant:
    """Return a stored tensor; those of floating point with several elements are taken for parameters."""
    shape = tuple(tensor.dims)
    count = int(np.prod(shape))
    is_float = np.issubdtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type), np.floating)
    is_here = count <= SMALL and tensor.data_location != TensorProto.EXTERNAL
    return Constant(shape, bool(is_float) and count > 1, _array(tensor) if is_here else None)


def _array(tensor: TensorProto) -> Any:
    return numpy_helper.to_array(tensor)
