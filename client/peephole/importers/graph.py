"""The network under construction: layers as they are read, and the request that they become."""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypedDict, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from peephole.model.network.faults import faults_of
from peephole.model.network.graph import NetworkError, normalised_convs, resolve
from peephole.model.network.layer_types import shape_of
from peephole.model.network.schema import ARCHITECTURE, IMAGE, MAX_NAME, Architecture
from peephole.model.network.shapes import Shape, ShapeError

from .layout import Layout, of_map, sizes, whole
from .unmapped import ImportNote, Unmapped, UnmappedError, UnmappedOperator

THE_IMAGE = -1
_PLACEHOLDER = "_unknown"
_NO_LAYERS = {"_affine": "constant factors and terms"}  # left out, with a note
_OF_LOGITS = {"softmax", "_log_softmax", "_affine"}  # behind the classifier they belong to it


class Request(TypedDict):
    """The body of a request to `POST /predict`; `input` is channels, height, width."""

    input: list[int]
    architectures: list[Architecture]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value that depends on the image: the output of a layer, in some arrangement of its axes."""

    layer: int
    layout: Layout


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that does not: a weight, a buffer, or what is computed from them.

    Attributes:
        shape: of the value.
        is_learned: whether parameters are in it.
        array: the value itself, where it is at hand.
    """

    shape: tuple[int, ...]
    is_learned: bool = False
    array: NDArray[Any] | None = None

    @property
    def number(self) -> float | None:
        """The value of a constant of one element, where it is at hand."""
        return float(self.array.item()) if self.array is not None and self.array.size == 1 else None


Value: TypeAlias = Any
"""A `Tensor`, a `Constant`, a Python number, or a list of these."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A layer that was read. Types that begin with an underscore are none of the form: they wait for a pattern."""

    type: str
    fields: dict[str, Any]
    sources: tuple[int, ...]
    shape: Shape
    place: str
    is_tainted: bool


class Graph:
    """A network as it is read.

    Args:
        image: shape of the input.
        batch: number of images that the tensors hold.
    """

    def __init__(self, image: Shape, batch: int) -> None:
        self.image, self.batch = image, batch
        self.place = ""  # where in the model the present operator is
        self.operations: list[Operation] = []
        self.classifier_params = 0  # of what `finish` left out
        self._unmapped: dict[tuple[str, str], list[str]] = {}

    def input(self) -> Tensor:
        """Return the images."""
        return Tensor(THE_IMAGE, self.layout_of(self.image))

    def layout_of(self, shape: Shape) -> Layout:
        """Return the usual layout of maps of a shape."""
        return of_map(self.batch, shape.channels, shape.height, shape.width)

    def shape(self, layer: int) -> Shape:
        """Return the shape of a layer's output."""
        return self.image if layer == THE_IMAGE else self.operations[layer].shape

    def operation(self, layer: int) -> Operation | None:
        """Return a layer; `None` is the image."""
        return None if layer == THE_IMAGE else self.operations[layer]

    def emit(self, kind: str, *sources: int, **fields: Any) -> int:
        """Append a layer, and return its index.

        Raises:
            Unmapped: when it does not fit what it reads.
        """
        before = [self.shape(source) for source in sources]
        try:
            is_layer = not kind.startswith("_")
            after = shape_of({"type": kind, **fields}, before) if is_layer else fields.pop("shape", before[0])
        except ShapeError as error:
            raise Unmapped(f"{kind}: {error.field} {error}") from None
        is_tainted = any(self._is_tainted(source) for source in sources)
        self.operations.append(Operation(kind, fields, sources, after, self.place, is_tainted))
        return len(self.operations) - 1

    def emit_once(self, kind: str, source: int, **fields: Any) -> int:
        """Return a layer without parameters, the present one where there is one already."""
        for index in range(len(self.operations) - 1, source, -1):
            operation = self.operations[index]
            if (operation.type, operation.sources, operation.fields) == (kind, (source,), fields):
                return index
        return self.emit(kind, source, **fields)

    def emit_map(self, kind: str, *sources: int, **fields: Any) -> Tensor:
        """Append a layer, and return its output in the usual layout."""
        layer = self.emit(kind, *sources, **fields)
        return Tensor(layer, self.layout_of(self.shape(layer)))

    def report(
        self, operator: str, reason: str, inputs: Sequence[Value], shape: Sequence[int] | None, *, is_known: bool = True
    ) -> Value:
        """Remember that an operator cannot be expressed, and return a value that later operators may read.

        Args:
            operator: as PyTorch or ONNX calls it.
            reason: why not.
            inputs: what it reads. Where that is no map but what took the place of another such operator, nothing is
                wrong with an operator that `is_known`.
            shape: of its output, where that is known.
            is_known: whether the operator can be expressed elsewhere.
        """
        tensors = [value for value in _flat(inputs) if isinstance(value, Tensor)]
        if not is_known or not any(self._is_tainted(tensor.layer) for tensor in tensors):
            self._unmapped.setdefault((operator, reason), []).append(self.place)
        channels, height, width = (*(shape or ())[1:4], 1, 1, 1)[:3]
        image = Shape(channels, height, width)
        layout = self.layout_of(image)[: len(shape or ())]
        is_map = shape is not None and len(shape) in {2, 4} and sizes(layout) == tuple(shape)
        self.operations.append(Operation(_PLACEHOLDER, {}, (), image, self.place, is_tainted=not is_map))
        if not is_map:
            layout = tuple(whole(f"dimension {place}", size) for place, size in enumerate(shape or ()))
        return Tensor(len(self.operations) - 1, layout)

    def _is_tainted(self, layer: int) -> bool:
        return layer != THE_IMAGE and self.operations[layer].is_tainted

    def finish(self, output: Value, name: str | None) -> Request:
        """Return the request of the network that computes a value, its classifier left out.

        Raises:
            UnmappedError: for all operators that cannot be expressed.
            ValueError: when no network is left, or it is beyond the limits of the form.
        """
        if not self._unmapped and not isinstance(output, Tensor):
            raise ValueError("the model returns no tensor that depends on its input")
        last = self._without_classifier(output.layer) if isinstance(output, Tensor) else THE_IMAGE
        alive = self._alive(last)
        for index in alive:
            operation = self.operations[index]
            if operation.type.startswith("_") and operation.type not in {_PLACEHOLDER, *_NO_LAYERS}:
                self._unmapped.setdefault((operation.type[1:], "no layer type says that"), []).append(operation.place)
        if self._unmapped:
            found = [UnmappedOperator(*what, places) for what, places in self._unmapped.items()]
            raise UnmappedError(found)
        self._note_what_is_left_out(alive)
        layers = self._layers([index for index in alive if self.operations[index].type not in _NO_LAYERS])
        if not layers:
            raise ValueError("the model holds nothing but a classifier")
        architecture = {"layers": layers} if name is None else {"id": name, "layers": layers}
        return {"input": [*_sizes(self.image)], "architectures": [_checked(architecture, self.image)]}

    def _without_classifier(self, last: int) -> int:
        behind = last
        while behind != THE_IMAGE and self.operations[behind].type in _OF_LOGITS:
            behind = self.operations[behind].sources[0]
        if not self.is_linear(behind):
            return last
        classifier = self.operations[behind]
        self.classifier_params = self.shape(classifier.sources[0]).size * classifier.shape.size
        self.classifier_params += classifier.shape.size * classifier.fields["bias"]
        return classifier.sources[0]

    def is_linear(self, layer: int) -> bool:
        """Whether a layer is fully connected: `linear`, or a convolution of one position."""
        operation = self.operation(layer)
        if operation is None or operation.type == "linear":
            return operation is not None
        before = self.shape(operation.sources[0]) if operation.sources else None
        is_point = operation.type == "conv" and before is not None and before.positions == 1
        return is_point and operation.shape.positions == 1 and "groups" not in operation.fields

    def _alive(self, last: int) -> list[int]:
        """Return the layers that the last one depends on, itself included, in order."""
        alive, waiting = set(), [last]
        while waiting:
            index = waiting.pop()
            if index != THE_IMAGE and index not in alive:
                alive.add(index)
                waiting += self.operations[index].sources
        return sorted(alive)

    def _note_what_is_left_out(self, alive: Sequence[int]) -> None:
        counts = Counter(kind for index in alive if (kind := self.operations[index].type) in _NO_LAYERS)
        for kind, count in counts.items():
            warnings.warn(f"{_NO_LAYERS[kind]} are left out ({count})", ImportNote, stacklevel=5)

    def _source(self, layer: int) -> int:
        """Return a layer, or what it stands for where it is left out."""
        while layer != THE_IMAGE and self.operations[layer].type in _NO_LAYERS:
            layer = self.operations[layer].sources[0]
        return layer

    def _layers(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Return layers in the form: named where others than the next one read them."""
        sources = {index: [self._source(one) for one in self.operations[index].sources] for index in indices}
        before = dict(zip(indices, [THE_IMAGE, *indices], strict=False))
        needs_inputs = {index for index in indices if sources[index] != [before[index]]}
        named = {source for index in needs_inputs for source in sources[index]} - {THE_IMAGE}
        names = {THE_IMAGE: IMAGE}
        layers: list[dict[str, Any]] = []
        for index in indices:
            operation = self.operations[index]
            layer: dict[str, Any] = {"type": operation.type, **operation.fields}
            if index in named:
                names[index] = layer["name"] = _unused(operation, set(names.values()))
            if index in needs_inputs:
                layer["inputs"] = [names[source] for source in sources[index]]
            layers.append(layer)
        return layers


def _unused(operation: Operation, taken: set[str]) -> str:
    """Return a name for a layer: its place in the model, with its type and a number where that is taken."""
    base = operation.place[-MAX_NAME + 24 :].strip("./") or operation.type
    numbered = (f"{base}.{operation.type}{number}" for number in range(2, 3 + len(taken)))
    return next(name for name in (base, f"{base}.{operation.type}", *numbered) if name not in taken)


def _checked(architecture: dict[str, Any], image: Shape) -> Architecture:
    """Return an architecture, validated; `bias` is left out where it is what the form assumes."""
    try:
        nodes = resolve(ARCHITECTURE.validate_python(architecture)["layers"], image)
    except ValidationError as error:
        faults = faults_of(error, (), Architecture)
        raise ValueError("; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults)) from None
    except NetworkError as error:
        raise ValueError(f"the imported network is invalid: {error}") from None
    without_bias = normalised_convs(nodes)
    for index, layer in enumerate(architecture["layers"]):
        if "bias" in layer and layer["bias"] == (index not in without_bias):
            del layer["bias"]
    return cast("Architecture", architecture)


def _sizes(shape: Shape) -> tuple[int, int, int]:
    return shape.channels, shape.height, shape.width


def _flat(values: Sequence[Value]) -> list[Value]:
    return [one for value in values for one in (_flat(value) if isinstance(value, list | tuple) else [value])]


def shape_of_value(value: Tensor | Constant) -> tuple[int, ...]:
    """Return the shape of a value."""
    return value.shape if isinstance(value, Constant) else sizes(value.layout)


def constant(array: Any, *, is_learned: bool = False) -> Constant:
    """Return a constant whose value is at hand."""
    array = np.asarray(array)
    return Constant(array.shape, is_learned, array)
