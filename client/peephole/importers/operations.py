"""What PyTorch's and ONNX's operators have in common: each function appends layers and returns their output.

Dimensions are counted from 0. All raise `Unmapped` for what the network form cannot express.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

from peephole.model.network.shapes import Shape

from .activations import affine, gated
from .graph import Constant, Graph, Tensor
from .layout import Layout, joined, whole
from .shaping import as_map, tensor_of, usual
from .unmapped import Unmapped

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
"""Left, right, top, bottom."""


def convolve(
    graph: Graph,
    value: Any,
    weight: Any,
    *,
    has_bias: bool,
    stride: Pair,
    pads: Pads | None,
    dilation: Pair,
    groups: int,
) -> Tensor:
    """Convolve with a weight [out, in / groups, height, width]; without `pads`, padding is "same"."""
    if not isinstance(weight, Constant):
        raise Unmapped("its weight depends on the input")
    if len(weight.shape) != 4:
        raise Unmapped("convolutions over one or three dimensions cannot be expressed")
    source = as_map(graph, value)
    width, _, *kernel = weight.shape
    fields: dict[str, Any] = {"kernel_size": _short(tuple(kernel)), "out_channels": width}
    fields |= {} if stride == (1, 1) else {"stride": _short(stride)}
    fields |= {} if dilation == (1, 1) else {"dilation": _short(dilation)}
    if groups > 1:
        fields["groups"] = "depthwise" if groups == graph.shape(source).channels else groups
    source, padding = _padded(graph, source, kernel, stride, dilation, pads, filling=0.0)
    return graph.emit_map("conv", source, **fields, **padding, bias=has_bias)


def pool(
    graph: Graph,
    kind: str,
    value: Any,
    kernel: Pair,
    stride: Pair,
    pads: Pads | None,
    *,
    ceil_mode: bool = False,
    counts_padding: bool = False,
) -> Tensor:
    """Pool maps; `kind` is a layer type."""
    source = as_map(graph, value)
    fields: dict[str, Any] = {"kernel_size": _short(kernel)} | ({} if stride == kernel else {"stride": _short(stride)})
    if kind == "max_pool" and not ceil_mode:
        source, padding = _padded(graph, source, kernel, stride, (1, 1), pads, filling=float("-inf"))
        return graph.emit_map(kind, source, **fields, **padding)
    margins = _margins(pads or (0, 0, 0, 0))
    if pads is None or margins is None:
        raise Unmapped("a pool's padding differs between sides")
    fields |= {"padding": _short(margins)} | ({"ceil_mode": True} if ceil_mode else {})
    counts = counts_padding and kind == "avg_pool" and margins != (0, 0)
    return graph.emit_map(kind, source, **fields, **({"count_include_pad": True} if counts else {}))


def _padded(
    graph: Graph,
    source: int,
    kernel: Sequence[int],
    stride: Pair,
    dilation: Pair,
    pads: Pads | None,
    *,
    filling: float,
) -> tuple[int, dict[str, Any]]:
    """Return what a window reads and its padding; a `pad` before it that it can express becomes part of it."""
    if pads is None:
        return source, {}
    before = graph.operation(source)
    if before is not None and before.type in {"pad", "_pad"} and before.fields.get("value", 0.0) == filling:
        left, right, top, bottom = before.fields["padding"]
        together = (pads[0] + left, pads[1] + right, pads[2] + top, pads[3] + bottom)
        field = _padding(graph.shape(before.sources[0]), kernel, stride, dilation, together)
        if field is not None:
            return before.sources[0], field
    field = _padding(graph.shape(source), kernel, stride, dilation, pads)
    if field is None:
        if filling != 0:
            raise Unmapped("a pool's padding differs between sides")
        return graph.emit("pad", source, padding=list(pads)), {"padding": 0}
    return source, field


def _padding(shape: Shape, kernel: Sequence[int], stride: Pair, dilation: Pair, pads: Pads) -> dict[str, Any] | None:
    """Return the `padding` of a window: nothing where it is "same", `None` where it cannot be expressed."""
    same: list[int] = []
    for size, side, step, spread in zip((shape.height, shape.width), kernel, stride, dilation, strict=True):
        total = max(0, (-(-size // step) - 1) * step + spread * (side - 1) + 1 - size)
        same = [total // 2, total - total // 2, *same]
    margins = _margins(pads)
    is_point = tuple(kernel) == (1, 1)
    if tuple(same) == pads and (margins is None or stride == (1, 1) or is_point):
        return {}  # where sides are equal, so for images of any size
    return None if margins is None else {"padding": _short(margins)}


def _margins(pads: Pads) -> Pair | None:
    """Return vertical and horizontal padding; `None` where it differs between sides."""
    left, right, top, bottom = pads
    return (top, left) if (top, left) == (bottom, right) else None


def pad(graph: Graph, value: Any, before: Sequence[int], after: Sequence[int], filling: float) -> Any:
    """Pad a tensor; `before` and `after` hold a size for each dimension."""
    if not any((*before, *after)):
        return value
    source = as_map(graph, value)
    if any((*before[:2], *after[:2])):
        raise Unmapped("padding of channels cannot be expressed")
    pads = (before[3], after[3], before[2], after[2])
    if min(pads) < 0:
        raise Unmapped("cropping cannot be expressed")
    if filling == 0:
        return graph.emit_map("pad", source, padding=list(pads))
    read = graph.shape(source)
    shape = Shape(read.channels, read.height + pads[2] + pads[3], read.width + pads[0] + pads[1])
    return graph.emit_map("_pad", source, padding=pads, value=filling, shape=shape)


def mean(graph: Graph, value: Any, dims: Sequence[int], *, keeps: bool) -> Tensor:
    """Average over dimensions; over height and width it is a pool."""
    value = tensor_of(value)
    shape = graph.shape(value.layer)
    parts = joined([value.layout[dim] for dim in sorted(dims)])
    height, width = whole("H", shape.height), whole("W", shape.width)
    after = [() if place in dims else dim for place, dim in enumerate(value.layout)]
    layout = tuple(dim for place, dim in enumerate(after) if keeps or place not in dims)
    if not parts:
        return Tensor(value.layer, layout)
    if parts in {height + width, width + height}:
        return Tensor(graph.emit("global_avg_pool", value.layer), layout)
    if parts in {height, width}:
        size = (1, shape.width) if parts == height else (shape.height, 1)
        return Tensor(graph.emit("adaptive_avg_pool", value.layer, output_size=list(size)), layout)
    raise Unmapped("means over other dimensions than height and width cannot be expressed")


def adaptive_mean(graph: Graph, value: Any, size: Pair) -> Tensor:
    """Average maps to a size."""
    source = as_map(graph, value)
    if size == (1, 1):
        return graph.emit_map("global_avg_pool", source)
    return graph.emit_map("adaptive_avg_pool", source, output_size=_short(size))


def whole_max(graph: Graph, value: Any) -> Tensor:
    """Return the maximum over all positions."""
    source = as_map(graph, value)
    shape = graph.shape(source)
    return pool(graph, "max_pool", value, (shape.height, shape.width), (shape.height, shape.width), (0, 0, 0, 0))


def linear(graph: Graph, value: Any, features: int, *, has_bias: bool) -> Tensor:
    """Connect the last dimension fully; where it holds channels only, that is a convolution of 1 x 1."""
    value = tensor_of(value)
    shape = graph.shape(value.layer)
    *outer, last = value.layout
    made = (*outer, whole("C", features))
    if prod(part.size for part in last) == shape.size:
        return Tensor(graph.emit("linear", value.layer, out_features=features, bias=has_bias), made)
    value = usual(graph, value)
    if value.layout[-1] != whole("C", shape.channels):
        raise Unmapped("a linear layer over positions cannot be expressed")
    return Tensor(graph.emit("conv", value.layer, kernel_size=1, out_channels=features, bias=has_bias), made)


def normalise(graph: Graph, kind: str, value: Any, *, dim: int = 1, **fields: Any) -> Tensor:
    """Normalise a tensor whose channels are in a dimension; `kind` is a layer type."""
    value = usual(graph, tensor_of(value))
    if value.layout[dim] != whole("C", graph.shape(value.layer).channels):
        raise Unmapped("it normalises other dimensions than the channels")
    return Tensor(graph.emit(kind, value.layer, **fields), value.layout)


def elementwise(graph: Graph, kind: str, value: Any, **fields: Any) -> Tensor:
    """Apply a function to each element; `kind` is a layer type."""
    return Tensor(graph.emit(kind, tensor_of(value).layer, **fields), value.layout)


def softmax(graph: Graph, value: Any, dim: int, *, kind: str = "softmax") -> Tensor:
    """Apply softmax over the channels."""
    try:
        return normalise(graph, kind, value, dim=dim)
    except Unmapped:
        raise Unmapped("softmax over other dimensions than the channels cannot be expressed") from None


def add(graph: Graph, left: Any, right: Any) -> Any:
    """Add tensors, or a constant."""
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        left, right, layout = _aligned(graph, left, right)
        if graph.shape(left.layer).size != graph.shape(right.layer).size:
            raise Unmapped("sums of tensors of two sizes cannot be expressed")
        return Tensor(graph.emit("add", left.layer, right.layer), layout)
    value, other = (left, right) if isinstance(left, Tensor) else (right, left)
    if not isinstance(other, Constant):
        return affine(graph, value, 1.0, other)
    if not other.is_learned and other.number is not None:
        return affine(graph, value, 1.0, other.number)
    before = graph.operation(value.layer)
    if (
        _is_per_channel(graph, value, other)
        and before is not None
        and before.type in {"conv", "linear"}
        and not before.fields["bias"]
    ):
        return Tensor(graph.emit(before.type, *before.sources, **before.fields | {"bias": True}), value.layout)
    if before is not None and before.type == "_group_norm" and before.fields.get("is_scaled"):
        return Tensor(graph.emit("group_norm", *before.sources, num_groups=before.fields["num_groups"]), value.layout)
    if other.is_learned:
        raise Unmapped("adding parameters cannot be expressed")
    return affine(graph, value, 1.0, None)


def multiply(graph: Graph, left: Any, right: Any) -> Any:
    """Multiply tensors, or by a constant; parameters, one for each channel, are a `scale`."""
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        left, right, layout = _aligned(graph, left, right)
        return gated(graph, left, right, layout)
    value, other = (left, right) if isinstance(left, Tensor) else (right, left)
    if not isinstance(other, Constant):
        return affine(graph, value, other, 0.0)
    if not other.is_learned:
        return affine(graph, value, other.number, 0.0)
    value = usual(graph, value)
    before = graph.operation(value.layer)
    if before is not None and before.type == "_group_norm":
        return Tensor(graph.emit("_group_norm", *before.sources, **before.fields | {"is_scaled": True}), value.layout)
    if not _is_per_channel(graph, value, other):
        raise Unmapped("only factors with one parameter a channel can be expressed")
    return Tensor(graph.emit("scale", value.layer), value.layout)


def _is_per_channel(graph: Graph, value: Tensor, other: Constant) -> bool:
    """Whether a constant holds one parameter for each channel of a tensor."""
    axis = whole("C", graph.shape(value.layer).channels)
    wide = [len(value.layout) - len(other.shape) + place for place, size in enumerate(other.shape) if size > 1]
    return other.is_learned and wide == [place for place, dim in enumerate(value.layout) if dim and dim == axis]


def _aligned(graph: Graph, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor, Layout]:
    """Return tensors whose axes stand in the same dimensions, and the layout of both together."""
    for one, other in ((left, right), (usual(graph, left), usual(graph, right))):
        length = max(len(one.layout), len(other.layout))
        dims = [((),) * (length - len(tensor.layout)) + tensor.layout for tensor in (one, other)]
        if all(not a or not b or a == b for a, b in zip(*dims, strict=True)):
            return one, other, tuple(a or b for a, b in zip(*dims, strict=True))
    raise Unmapped("the axes of its inputs do not correspond")


def upsample(graph: Graph, value: Any, size: Sequence[int]) -> Tensor:
    """Repeat positions up to a size."""
    source = as_map(graph, value)
    shape = graph.shape(source)
    factors = {target / before for target, before in zip(size, (shape.height, shape.width), strict=True)}
    factor = factors.pop()
    if factors or factor != int(factor):
        raise Unmapped("only upsampling by one integer factor can be expressed")
    return graph.emit_map("upsample", source, scale_factor=int(factor)) if factor > 1 else tensor_of(value)


def _short(pair: Sequence[int]) -> Any:
    return pair[0] if pair[0] == pair[1] else list(pair)
