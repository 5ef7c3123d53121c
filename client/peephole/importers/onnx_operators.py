"""The table of ONNX's operators: what each becomes, of its inputs and attributes."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

from . import operations as op
from . import shaping
from .activations import affine, clamp
from .graph import Constant, Graph, Tensor, constant, shape_of_value
from .unmapped import Unmapped

Inputs = Sequence[Any]
Attributes = Mapping[str, Any]
Handler = Callable[[Graph, Inputs, Attributes], Any]


def _numbers(inputs: Inputs, place: int, attributes: Attributes, name: str) -> list[int] | None:
    """Return integers that are an input, or an attribute in older models."""
    value = inputs[place] if len(inputs) > place else None
    if value is None:
        return list(attributes[name]) if name in attributes else None
    if not isinstance(value, Constant) or value.array is None:
        raise Unmapped(f"its {name} depends on the input")
    return [int(number) for number in value.array.reshape(-1)]


def _number(inputs: Inputs, place: int, attributes: Attributes, name: str) -> float | None:
    value = inputs[place] if len(inputs) > place else None
    if value is None:
        return attributes.get(name)
    if not isinstance(value, Constant) or value.number is None:
        raise Unmapped(f"its {name} is no constant")
    return value.number


def _weight(value: Any) -> Constant:
    if not isinstance(value, Constant):
        raise Unmapped("its weight depends on the input")
    return value


def _pads(
    shape: Sequence[int], kernel: Sequence[int], attributes: Attributes, steps: op.Pair, spread: op.Pair
) -> op.Pads:
    mode = attributes.get("auto_pad", b"NOTSET")
    if mode == b"NOTSET":
        top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
        return left, right, top, bottom
    pads: list[int] = []
    for size, side, step, dilation in zip(shape[2:], kernel, steps, spread, strict=True):
        total = max(0, (-(-size // step) - 1) * step + dilation * (side - 1) + 1 - size) if mode != b"VALID" else 0
        halves = [total // 2, total - total // 2]
        pads = (halves if mode == b"SAME_UPPER" else halves[::-1]) + pads
    return pads[0], pads[1], pads[2], pads[3]


def _window(x: Any, kernel: Sequence[int], attributes: Attributes) -> tuple[op.Pair, op.Pads, op.Pair]:
    """Return stride, padding and dilation of a window."""
    if len(kernel) != 2 or len(shape_of_value(x)) != 4:
        raise Unmapped("windows over one or three dimensions cannot be expressed")
    steps, spread = (tuple(attributes.get(name, [1, 1])) for name in ("strides", "dilations"))
    return steps, _pads(shape_of_value(x), kernel, attributes, steps, spread), spread


def _conv(graph: Graph, inputs: Inputs, attributes: Attributes) -> Tensor:
    x, weight = inputs[0], _weight(inputs[1])
    steps, pads, spread = _window(x, weight.shape[2:], attributes)
    has_bias = len(inputs) > 2 and inputs[2] is not None
    groups = attributes.get("group", 1)
    return op.convolve(graph, x, weight, has_bias=has_bias, stride=steps, pads=pads, dilation=spread, groups=groups)


def _pool(kind: str) -> Handler:
    def pool(graph: Graph, inputs: Inputs, attributes: Attributes) -> Tensor:
        kernel = tuple(attributes["kernel_shape"])
        steps, pads, spread = _window(inputs[0], kernel, attributes)
        if spread != (1, 1):
            raise Unmapped("dilated pools cannot be expressed")
        ceil_mode, counts = (bool(attributes.get(name, 0)) for name in ("ceil_mode", "count_include_pad"))
        return op.pool(graph, kind, inputs[0], kernel, steps, pads, ceil_mode=ceil_mode, counts_padding=counts)

    return pool


def _gemm(graph: Graph, inputs: Inputs, attributes: Attributes) -> Tensor:
    weight = _weight(inputs[1])
    if attributes.get("transA") or len(weight.shape) != 2:
        raise Unmapped("only products with weights can be expressed")
    features = weight.shape[0 if attributes.get("transB") else 1]
    return op.linear(graph, inputs[0], features, has_bias=len(inputs) > 2 and inputs[2] is not None)


def _matmul(graph: Graph, inputs: Inputs, _: Attributes) -> Tensor:
    weight = _weight(inputs[1])
    if len(weight.shape) != 2:
        raise Unmapped("only products with weights can be expressed")
    return op.linear(graph, inputs[0], weight.shape[1], has_bias=False)


def _instance_norm(graph: Graph, inputs: Inputs, _: Attributes) -> Tensor:
    """Normalise each channel, or, where channels are split by a reshape, each group: group norm in older models."""
    x = inputs[0]
    channels = graph.shape(x.layer).channels
    groups = shape_of_value(x)[1]
    if groups == channels:
        return op.normalise(graph, "group_norm", x, num_groups=channels)
    (part, *others) = x.layout[1]
    if others or part.axis != "C" or part.size * part.stride != channels:
        raise Unmapped("it normalises other dimensions than the channels")
    return Tensor(graph.emit("_group_norm", x.layer, num_groups=groups), x.layout)


def _layer_norm(graph: Graph, inputs: Inputs, attributes: Attributes) -> Tensor:
    axis = attributes.get("axis", -1)
    if shaping.dims_of(inputs[0], axis) != [len(shape_of_value(inputs[0])) - 1]:
        raise Unmapped("layer norm over other dimensions than the channels cannot be expressed")
    return op.normalise(graph, "layer_norm", inputs[0], dim=-1)


def _prelu(graph: Graph, inputs: Inputs, _: Attributes) -> Tensor:
    fields = {"per_channel": True} if prod(_weight(inputs[1]).shape) > 1 else {}
    return op.normalise(graph, "prelu", inputs[0], **fields)


def _clip(graph: Graph, inputs: Inputs, attributes: Attributes) -> Tensor:
    return clamp(graph, inputs[0], _number(inputs, 1, attributes, "min"), _number(inputs, 2, attributes, "max"))


def _softmax(kind: str) -> Handler:
    def softmax(graph: Graph, inputs: Inputs, attributes: Attributes) -> Tensor:
        (dim,) = shaping.dims_of(inputs[0], attributes.get("axis", -1))
        return op.softmax(graph, inputs[0], dim, kind=kind)

    return softmax


def _reduce_mean(graph: Graph, inputs: Inputs, attributes: Attributes) -> Tensor:
    dims = shaping.dims_of(inputs[0], _numbers(inputs, 1, attributes, "axes"))
    return op.mean(graph, inputs[0], dims, keeps=bool(attributes.get("keepdims", 1)))


def _reduce_max(graph: Graph, inputs: Inputs, attributes: Attributes) -> Tensor:
    if shaping.dims_of(inputs[0], _numbers(inputs, 1, attributes, "axes")) != [2, 3]:
        raise Unmapped("maxima over other dimensions than height and width cannot be expressed")
    found = op.whole_max(graph, inputs[0])
    return found if attributes.get("keepdims", 1) else shaping.squeeze(found, [2, 3])


def _sub(graph: Graph, inputs: Inputs, _: Attributes) -> Tensor:
    left, right = inputs
    if not isinstance(left, Tensor) or isinstance(right, Tensor):
        raise Unmapped("differences of tensors cannot be expressed")
    return affine(graph, left, 1.0, None if right.number is None else -right.number)


def _div(graph: Graph, inputs: Inputs, _: Attributes) -> Tensor:
    left, right = inputs
    if not isinstance(left, Tensor) or isinstance(right, Tensor):
        raise Unmapped("quotients of tensors cannot be expressed")
    return affine(graph, left, 1 / right.number if right.number else None, 0.0)


def _sum(graph: Graph, inputs: Inputs, _: Attributes) -> Any:
    total = inputs[0]
    for one in inputs[1:]:
        total = op.add(graph, total, one)
    return total


def _product(graph: Graph, inputs: Inputs, _: Attributes) -> Any:
    return op.multiply(graph, *inputs)


def _concat(graph: Graph, inputs: Inputs, attributes: Attributes) -> Tensor:
    (dim,) = shaping.dims_of(inputs[0], attributes["axis"])
    return shaping.concatenate(graph, inputs, dim)


def _split(graph: Graph, inputs: Inputs, attributes: Attributes) -> list[Tensor]:
    (dim,) = shaping.dims_of(inputs[0], attributes.get("axis", 0))
    lengths = _numbers(inputs, 1, attributes, "split")
    if lengths is None:
        length, count = shape_of_value(inputs[0])[dim], attributes["outputs"]
        size = -(-length // count)
        lengths = [min(size, length - start) for start in range(0, length, size)]
    return shaping.split(graph, inputs[0], dim, lengths)


def _slice(graph: Graph, inputs: Inputs, attributes: Attributes) -> Any:
    starts, ends, axes, steps = (
        _numbers(inputs, place, attributes, name) for place, name in enumerate(("starts", "ends", "axes", "steps"), 1)
    )
    if starts is None or ends is None or any(step != 1 for step in steps or []):
        raise Unmapped("slices with steps cannot be expressed")
    found = inputs[0]
    for dim, start, end in zip(axes or range(len(starts)), starts, ends, strict=True):
        found = shaping.narrow(graph, found, shaping.dims_of(found, dim)[0], start, end)
    return found


def _gather(graph: Graph, inputs: Inputs, attributes: Attributes) -> Tensor:
    index = inputs[1]
    if not isinstance(index, Constant) or index.array is None or index.array.ndim:
        raise Unmapped("only one element of a dimension can be selected")
    (dim,) = shaping.dims_of(inputs[0], attributes.get("axis", 0))
    start = int(index.array) % shape_of_value(inputs[0])[dim]
    return shaping.squeeze(shaping.narrow(graph, inputs[0], dim, start, start + 1), [dim])


def _reshape(graph: Graph, inputs: Inputs, attributes: Attributes) -> Tensor:
    shape = _numbers(inputs, 1, attributes, "shape") or []
    before = shape_of_value(inputs[0])
    if not attributes.get("allowzero"):
        shape = [before[place] if size == 0 else size for place, size in enumerate(shape)]
    return shaping.reshape(graph, inputs[0], shape)


def _flatten(graph: Graph, inputs: Inputs, attributes: Attributes) -> Tensor:
    axis = attributes.get("axis", 1)
    before = shape_of_value(inputs[0])
    return shaping.reshape(graph, inputs[0], [prod(before[:axis]), prod(before[axis:])])


def _transpose(_: Graph, inputs: Inputs, attributes: Attributes) -> Tensor:
    return shaping.permute(inputs[0], attributes.get("perm", range(len(shape_of_value(inputs[0])))[::-1]))


def _squeeze(_: Graph, inputs: Inputs, attributes: Attributes) -> Tensor:
    return shaping.squeeze(inputs[0], shaping.dims_of(inputs[0], _numbers(inputs, 1, attributes, "axes")))


def _unsqueeze(_: Graph, inputs: Inputs, attributes: Attributes) -> Tensor:
    dims = _numbers(inputs, 1, attributes, "axes") or []
    count = len(shape_of_value(inputs[0])) + len(dims)
    return shaping.unsqueeze(inputs[0], [dim % count for dim in dims])


def _pad(graph: Graph, inputs: Inputs, attributes: Attributes) -> Any:
    if attributes.get("mode", b"constant") != b"constant":
        raise Unmapped(f"{attributes['mode'].decode()} padding cannot be expressed")
    count = len(shape_of_value(inputs[0]))
    given = _numbers(inputs, 1, attributes, "pads") or []
    axes = shaping.dims_of(inputs[0], _numbers(inputs, 3, attributes, "axes"))
    before, after = [0] * count, [0] * count
    for place, axis in enumerate(axes):
        before[axis], after[axis] = given[place], given[place + len(axes)]
    return op.pad(graph, inputs[0], before, after, _number(inputs, 2, attributes, "value") or 0.0)


def _resize(graph: Graph, inputs: Inputs, attributes: Attributes) -> Tensor:
    if attributes.get("mode", b"nearest") != b"nearest":
        raise Unmapped("only upsampling that repeats positions can be expressed")
    sizes = _numbers(inputs, 3, attributes, "sizes")
    if sizes is None:
        place = 2 if len(inputs) > 2 else 1
        value = inputs[place] if len(inputs) > place else None
        if not isinstance(value, Constant) or value.array is None:
            raise Unmapped("its scales depend on the input")
        before = shape_of_value(inputs[0])
        sizes = [int(size * scale) for size, scale in zip(before, value.array.tolist(), strict=True)]
    return op.upsample(graph, inputs[0], sizes[-2:])


def _shape(_: Graph, inputs: Inputs, attributes: Attributes) -> Constant:
    shape = shape_of_value(inputs[0])
    return constant(list(shape[attributes.get("start", 0) : attributes.get("end", len(shape))]))


def _dropout(graph: Graph, inputs: Inputs, attributes: Attributes) -> Any:
    ratio = _number(inputs, 1, attributes, "ratio")
    ratio = 0.5 if ratio is None else ratio
    return op.elementwise(graph, "dropout", inputs[0], p=ratio) if 0 < ratio < 1 else inputs[0]


def _same(_: Graph, inputs: Inputs, __: Attributes) -> Any:
    return inputs[0]


def _plain(kind: str) -> Handler:
    return lambda graph, inputs, _: op.elementwise(graph, kind, inputs[0])


OPERATORS: dict[str, Handler] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": lambda graph, inputs, _: op.normalise(graph, "batch_norm", inputs[0]),
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "GroupNormalization": lambda graph, inputs, attributes: op.normalise(
        graph, "group_norm", inputs[0], num_groups=attributes["num_groups"]
    ),
    "MaxPool": _pool("max_pool"),
    "AveragePool": _pool("avg_pool"),
    "GlobalAveragePool": lambda graph, inputs, _: op.adaptive_mean(graph, inputs[0], (1, 1)),
    "GlobalMaxPool": lambda graph, inputs, _: op.whole_max(graph, inputs[0]),
    "ReduceMean": _reduce_mean,
    "ReduceMax": _reduce_max,
    "Relu": _plain("relu"),
    "LeakyRelu": _plain("leaky_relu"),
    "Elu": _plain("elu"),
    "Gelu": _plain("gelu"),
    "Swish": _plain("silu"),
    "Sigmoid": _plain("sigmoid"),
    "Tanh": _plain("tanh"),
    "HardSwish": _plain("hard_swish"),
    "HardSigmoid": _plain("hard_sigmoid"),
    "Erf": _plain("_erf"),
    "PRelu": _prelu,
    "Clip": _clip,
    "Softmax": _softmax("softmax"),
    "LogSoftmax": _softmax("_log_softmax"),
    "Dropout": _dropout,
    "Add": _sum,
    "Sum": _sum,
    "Sub": _sub,
    "Mul": _product,
    "Div": _div,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Pad": _pad,
    "Resize": _resize,
    "Upsample": _resize,
    "Shape": _shape,
    "Identity": _same,
    "Cast": _same,
    "Expand": _same,
}
