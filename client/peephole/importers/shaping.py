"""Operators that arrange tensors in another way, and those that put them together or take them apart.

Dimensions are counted from 0. All raise `Unmapped` for what the network form cannot express.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

from .graph import Graph, Tensor, shape_of_value
from .layout import Dim, Layout, LayoutError, Part, joined, reshaped, sizes, whole
from .unmapped import Unmapped


def usual(graph: Graph, value: Tensor) -> Tensor:
    """Return a map with its channels in order: where they are shuffled, a layer says so."""
    shape = graph.shape(value.layer)
    if whole("C", shape.channels) in value.layout:
        return value
    for place, dim in enumerate(value.layout):
        if {part.axis for part in dim} == {"C"} and len(dim) == 2 and dim[0].stride == 1:
            groups = dim[1].size
            if dim == (Part("C", shape.channels // groups, 1), Part("C", groups, shape.channels // groups)):
                layer = graph.emit_once("channel_shuffle", value.layer, groups=groups)
                return Tensor(layer, _replaced(value.layout, place, whole("C", shape.channels)))
    return value


def as_map(graph: Graph, value: Any) -> int:
    """Return the layer whose output is this tensor [batch, channels, height, width]."""
    tensor = usual(graph, tensor_of(value))
    if tensor.layout != graph.layout_of(graph.shape(tensor.layer)):
        raise Unmapped("it reads no map [batch, channels, height, width]")
    return tensor.layer


def concatenate(graph: Graph, values: Sequence[Any], dim: int) -> Tensor:
    """Concatenate tensors along their channels."""
    if not all(isinstance(value, Tensor) for value in values):
        raise Unmapped("constants cannot be concatenated")
    if len(values) == 1:
        return tensor_of(values[0])
    tensors = [usual(graph, value) for value in values]
    rest = {_replaced(tensor.layout, dim, ()) for tensor in tensors}
    if len(rest) > 1:
        raise Unmapped("the axes of its inputs do not correspond")
    if any(tensor.layout[dim] != whole("C", graph.shape(tensor.layer).channels) for tensor in tensors):
        if any(prod(sizes((tensor.layout[dim],))) != graph.shape(tensor.layer).size for tensor in tensors):
            raise Unmapped("only channels can be concatenated")
        tensors = [Tensor(graph.emit("flatten", tensor.layer), tensor.layout) for tensor in tensors]
    layers = [tensor.layer for tensor in tensors]
    if len({graph.shape(layer).is_flat for layer in layers}) > 1:
        layers = [layer if graph.shape(layer).is_flat else graph.emit("flatten", layer) for layer in layers]
    layer = graph.emit("concat", *layers)
    return Tensor(layer, _replaced(tensors[0].layout, dim, whole("C", graph.shape(layer).channels)))


def narrow(graph: Graph, value: Any, dim: int, start: int, end: int) -> Tensor:
    """Return the elements from `start` up to `end` of a dimension that holds channels."""
    tensor = usual(graph, tensor_of(value))
    length = sizes(tensor.layout)[dim]
    start, end = (max(0, min(length, place + length * (place < 0))) for place in (start, end))
    if (start, end) == (0, length):
        return tensor
    if start >= end:
        raise Unmapped("an empty slice cannot be expressed")
    (part, *others) = tensor.layout[dim]
    channels = graph.shape(tensor.layer).channels
    if others or part.axis != "C" or part.size * part.stride != channels:
        raise Unmapped("only channels can be sliced")
    layer = graph.emit("slice", tensor.layer, start=start * part.stride, end=end * part.stride)
    left = (Part("C", end - start, part.stride),) if end - start > 1 else ()
    return Tensor(layer, _replaced(tensor.layout, dim, left))


def split(graph: Graph, value: Any, dim: int, lengths: Sequence[int]) -> list[Tensor]:
    """Split a dimension that holds channels."""
    starts = [sum(lengths[:place]) for place in range(len(lengths))]
    return [narrow(graph, value, dim, start, start + size) for start, size in zip(starts, lengths, strict=True)]


def reshape(graph: Graph, value: Any, shape: Sequence[int]) -> Tensor:
    """Give a tensor another shape; it may hold one -1."""
    value = tensor_of(value)
    for tensor in (value, usual(graph, value)):
        try:
            return Tensor(tensor.layer, reshaped(tensor.layout, shape))
        except LayoutError as error:
            reason = f"a reshape that mixes axes cannot be expressed: {error}"
    raise Unmapped(reason)


def flatten(value: Any, start: int, end: int) -> Tensor:
    """Join the dimensions from `start` to `end`, `end` included."""
    layout = tensor_of(value).layout
    return Tensor(value.layer, (*layout[:start], joined(layout[start : end + 1]), *layout[end + 1 :]))


def permute(value: Any, dims: Sequence[int]) -> Tensor:
    """Reorder dimensions."""
    return Tensor(tensor_of(value).layer, tuple(value.layout[dim] for dim in dims))


def squeeze(value: Any, dims: Sequence[int]) -> Tensor:
    """Remove those of some dimensions that have one element."""
    layout = tensor_of(value).layout
    return Tensor(value.layer, tuple(dim for place, dim in enumerate(layout) if dim or place not in dims))


def unsqueeze(value: Any, dims: Sequence[int]) -> Tensor:
    """Insert dimensions of one element; `dims` are places in the result."""
    rest = iter(tensor_of(value).layout)
    count = len(value.layout) + len(dims)
    return Tensor(value.layer, tuple(() if place in dims else next(rest) for place in range(count)))


def dims_of(value: Any, dims: Sequence[int] | int | None) -> list[int]:
    """Return dimensions of a value counted from 0; `None` or none are all."""
    count = len(shape_of_value(value))
    given = [dims] if isinstance(dims, int) else dims
    return [dim % count for dim in given] if given else list(range(count))


def tensor_of(value: Any) -> Tensor:
    """Return a value that depends on the image."""
    if not isinstance(value, Tensor):
        raise Unmapped("it reads no output of a layer")
    return value


def _replaced(layout: Layout, place: int, dim: Dim) -> Layout:
    return (*layout[:place], dim, *layout[place + 1 :])
