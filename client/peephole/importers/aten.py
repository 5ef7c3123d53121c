"""The table of PyTorch's operators: what each becomes. Arguments are those of the operator's schema."""

from collections.abc import Callable, Sequence
from typing import Any

from . import operations as op
from . import shaping
from .activations import affine, clamp
from .graph import Constant, Graph, Tensor, shape_of_value
from .unmapped import Unmapped

Handler = Callable[..., Any]
_POINT = (0, 0, 0, 0)


def _pair(value: Any) -> tuple[int, int]:
    """Read a size: one number stands for two."""
    numbers = [value] if isinstance(value, int) else list(value)
    if len(numbers) not in {1, 2}:
        raise Unmapped("three dimensions cannot be expressed")
    return numbers[0], numbers[-1]


def _conv2d(
    graph: Graph, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int, *_: Any
) -> Tensor:
    steps, spread = _pair(stride), _pair(dilation)
    pads: op.Pads | None = _POINT
    if padding == "same":
        pads = None  # PyTorch has it for stride 1 only
    elif padding != "valid":
        height, width = _pair(padding)
        pads = (width, width, height, height)
    has_bias = bias is not None
    return op.convolve(graph, x, weight, has_bias=has_bias, stride=steps, pads=pads, dilation=spread, groups=groups)


def _convolution(
    graph: Graph, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool, *rest: Any
) -> Tensor:
    if transposed:
        raise Unmapped("transposed convolutions cannot be expressed")
    return _conv2d(graph, x, weight, bias, stride, padding, dilation, rest[1])


def _linear(graph: Graph, x: Any, weight: Any, bias: Any) -> Tensor:
    if not isinstance(weight, Constant):
        raise Unmapped("its weight depends on the input")
    return op.linear(graph, x, weight.shape[0], has_bias=bias is not None)


def _addmm(graph: Graph, bias: Any, x: Any, weight: Any, beta: float, alpha: float) -> Tensor:
    if not isinstance(weight, Constant) or not isinstance(bias, Constant) or (beta, alpha) != (1, 1):
        raise Unmapped("only products with weights can be expressed")
    return op.linear(graph, x, weight.shape[1], has_bias=True)


def _matmul(graph: Graph, x: Any, weight: Any) -> Tensor:
    if not isinstance(weight, Constant) or len(weight.shape) != 2:
        raise Unmapped("only products with weights can be expressed")
    return op.linear(graph, x, weight.shape[1], has_bias=False)


def _batch_norm(graph: Graph, x: Any, *_: Any) -> Tensor:
    return op.normalise(graph, "batch_norm", x)


def _layer_norm(graph: Graph, x: Any, shape: Sequence[int], *_: Any) -> Tensor:
    if len(shape) != 1:
        raise Unmapped("layer norm over other dimensions than the channels cannot be expressed")
    return op.normalise(graph, "layer_norm", x, dim=-1)


def _max_pool2d(graph: Graph, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Tensor:
    if _pair(dilation) != (1, 1):
        raise Unmapped("dilated pools cannot be expressed")
    return _pool(graph, "max_pool", x, kernel, stride, padding, ceil_mode)


def _avg_pool2d(
    graph: Graph, x: Any, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, counts: bool, divisor: Any
) -> Tensor:
    if divisor is not None:
        raise Unmapped("a pool with a divisor of its own cannot be expressed")
    return _pool(graph, "avg_pool", x, kernel, stride, padding, ceil_mode, counts)


def _pool(
    graph: Graph, kind: str, x: Any, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, counts: bool = False
) -> Tensor:
    size = _pair(kernel)
    steps = _pair(stride) if stride else size
    height, width = _pair(padding)
    pads = (width, width, height, height)
    return op.pool(graph, kind, x, size, steps, pads, ceil_mode=ceil_mode, counts_padding=counts)


def _adaptive_max(graph: Graph, x: Any, size: Any) -> list[Any]:
    if _pair(size) != (1, 1):
        raise Unmapped("adaptive maximum pools cannot be expressed")
    return [op.whole_max(graph, x), None]


def _amax(graph: Graph, x: Any, dims: Any, keeps: bool) -> Tensor:
    if shaping.dims_of(x, dims) != [2, 3]:
        raise Unmapped("maxima over other dimensions than height and width cannot be expressed")
    found = op.whole_max(graph, x)
    return found if keeps else shaping.squeeze(found, [2, 3])


def _mean(graph: Graph, x: Any, dims: Any, keeps: bool, *_: Any) -> Tensor:
    return op.mean(graph, x, shaping.dims_of(x, dims), keeps=keeps)


def _pad(graph: Graph, x: Any, pads: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    if mode != "constant":
        raise Unmapped(f"{mode} padding cannot be expressed")
    count = len(shape_of_value(x)) - len(pads) // 2
    before, after = ([0] * count + list(pads[start::2])[::-1] for start in (0, 1))
    return op.pad(graph, x, before, after, value or 0.0)


def _constant_pad(graph: Graph, x: Any, pads: Sequence[int], value: float) -> Any:
    return _pad(graph, x, pads, value=value)


def _add(graph: Graph, left: Any, right: Any, alpha: float = 1) -> Any:
    if alpha != 1:
        right = right * alpha if isinstance(right, int | float) else op.multiply(graph, right, alpha)
    return op.add(graph, left, right)


def _sub(graph: Graph, left: Any, right: Any, alpha: float = 1) -> Any:
    if isinstance(left, Tensor) and not isinstance(right, Tensor):
        number = right.number if isinstance(right, Constant) and not right.is_learned else right
        if isinstance(number, int | float):
            return affine(graph, left, 1.0, -alpha * number)
        if isinstance(right, Constant) and not right.is_learned:
            return affine(graph, left, 1.0, None)
    raise Unmapped("differences of tensors cannot be expressed")


def _div(graph: Graph, left: Any, right: Any, *_: Any) -> Any:
    if isinstance(left, Tensor) and not isinstance(right, Tensor):
        number = right.number if isinstance(right, Constant) and not right.is_learned else right
        if isinstance(number, int | float) and number != 0:
            return affine(graph, left, 1 / number, 0.0)
        if isinstance(right, Constant) and not right.is_learned:
            return affine(graph, left, None, 0.0)
    raise Unmapped("quotients of tensors cannot be expressed")


def _dropout(graph: Graph, x: Any, p: float, *_: Any) -> Any:
    return op.elementwise(graph, "dropout", x, p=p) if 0 < p < 1 else x


def _prelu(graph: Graph, x: Any, weight: Any) -> Tensor:
    if not isinstance(weight, Constant):
        raise Unmapped("its weight depends on the input")
    fields = {"per_channel": True} if weight.shape != (1,) else {}
    return op.normalise(graph, "prelu", x, **fields)


def _chunk(graph: Graph, x: Any, chunks: int, dim: int) -> list[Tensor]:
    length = shape_of_value(x)[dim]
    return _split(graph, x, -(-length // chunks), dim)


def _split(graph: Graph, x: Any, size: Any, dim: int) -> list[Tensor]:
    (place,) = shaping.dims_of(x, dim)
    length = shape_of_value(x)[place]
    lengths = [min(size, length - start) for start in range(0, length, size)] if isinstance(size, int) else size
    return shaping.split(graph, x, place, lengths)


def _slice(graph: Graph, x: Any, dim: int, start: int | None, end: int | None, step: int) -> Tensor:
    if step != 1:
        raise Unmapped("slices with steps cannot be expressed")
    (place,) = shaping.dims_of(x, dim)
    return shaping.narrow(graph, x, place, start or 0, shape_of_value(x)[place] if end is None else end)


def _select(graph: Graph, x: Any, dim: int, index: int) -> Tensor:
    (place,) = shaping.dims_of(x, dim)
    start = index % shape_of_value(x)[place]
    return shaping.squeeze(shaping.narrow(graph, x, place, start, start + 1), [place])


def _unbind(graph: Graph, x: Any, dim: int) -> list[Tensor]:
    return [_select(graph, x, dim, index) for index in range(shape_of_value(x)[dim])]


def _transpose(_: Graph, x: Any, first: int, second: int) -> Tensor:
    dims = list(range(len(shape_of_value(x))))
    dims[first], dims[second] = dims[second], dims[first]
    return shaping.permute(x, dims)


def _movedim(_: Graph, x: Any, source: Any, destination: Any) -> Tensor:
    before, after = shaping.dims_of(x, source), shaping.dims_of(x, destination)
    rest = iter([dim for dim in range(len(shape_of_value(x))) if dim not in before])
    moved = dict(zip(after, before, strict=True))
    return shaping.permute(x, [moved[dim] if dim in moved else next(rest) for dim in shaping.dims_of(x, None)])


def _flatten(_: Graph, x: Any, start: int, end: int) -> Tensor:
    (first,), (last,) = shaping.dims_of(x, start), shaping.dims_of(x, end)
    return shaping.flatten(x, first, last)


def _unflatten(graph: Graph, x: Any, dim: int, lengths: Sequence[int]) -> Tensor:
    (place,) = shaping.dims_of(x, dim)
    shape = shape_of_value(x)
    return shaping.reshape(graph, x, (*shape[:place], *lengths, *shape[place + 1 :]))


def _concatenate(graph: Graph, values: Sequence[Any], dim: int) -> Tensor:
    (place,) = shaping.dims_of(values[0], dim)
    return shaping.concatenate(graph, values, place)


def _nearest(graph: Graph, x: Any, size: Any, scales: Any = None, *_: Any) -> Tensor:
    shape = shape_of_value(x)[2:]
    wanted = size or [int(side * scale) for side, scale in zip(shape, scales, strict=True)]
    return op.upsample(graph, x, wanted)


def _same(_: Graph, x: Any, *__: Any) -> Any:
    return x


def _plain(kind: str) -> Handler:
    return lambda graph, x, *_: op.elementwise(graph, kind, x)


def _elu(graph: Graph, x: Any, _: float, scale: float, input_scale: float) -> Tensor:
    if (scale, input_scale) != (1, 1):
        raise Unmapped("scaled exponential units cannot be expressed")
    return op.elementwise(graph, "elu", x)


OPERATORS: dict[str, Handler] = {
    "conv2d": _conv2d,
    "convolution": _convolution,
    "linear": _linear,
    "addmm": _addmm,
    "matmul": _matmul,
    "mm": _matmul,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "group_norm": lambda graph, x, groups, *_: op.normalise(graph, "group_norm", x, num_groups=groups),
    "instance_norm": lambda graph, x, *_: op.normalise(graph, "group_norm", x, num_groups=shape_of_value(x)[1]),
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "adaptive_avg_pool2d": lambda graph, x, size: op.adaptive_mean(graph, x, _pair(size)),
    "adaptive_max_pool2d": _adaptive_max,
    "amax": _amax,
    "mean": _mean,
    "pad": _pad,
    "constant_pad_nd": _constant_pad,
    "relu": _plain("relu"),
    "relu6": _plain("relu6"),
    "leaky_relu": _plain("leaky_relu"),
    "gelu": _plain("gelu"),
    "silu": _plain("silu"),
    "sigmoid": _plain("sigmoid"),
    "tanh": _plain("tanh"),
    "hardswish": _plain("hard_swish"),
    "hardsigmoid": _plain("hard_sigmoid"),
    "erf": _plain("_erf"),
    "elu": _elu,
    "prelu": _prelu,
    "hardtanh": clamp,
    "clamp": clamp,
    "clamp_min": clamp,
    "softmax": lambda graph, x, dim, *_: op.softmax(graph, x, dim),
    "_softmax": lambda graph, x, dim, *_: op.softmax(graph, x, dim),
    "log_softmax": lambda graph, x, dim, *_: op.softmax(graph, x, dim, kind="_log_softmax"),
    "dropout": _dropout,
    "feature_dropout": _dropout,
    "add": _add,
    "sub": _sub,
    "mul": op.multiply,
    "div": _div,
    "cat": _concatenate,
    "concat": _concatenate,
    "chunk": _chunk,
    "split": _split,
    "split_with_sizes": _split,
    "slice": _slice,
    "narrow": lambda graph, x, dim, start, length: _slice(graph, x, dim, start, start + length, 1),
    "select": _select,
    "getitem": lambda _, values, index: values[index],
    "view": shaping.reshape,
    "reshape": shaping.reshape,
    "_unsafe_view": shaping.reshape,
    "flatten": _flatten,
    "unflatten": _unflatten,
    "permute": lambda _, x, dims: shaping.permute(x, shaping.dims_of(x, dims)),
    "transpose": _transpose,
    "movedim": _movedim,
    "unbind": _unbind,
    "squeeze": lambda _, x, dims=None: shaping.squeeze(x, shaping.dims_of(x, dims)),
    "unsqueeze": lambda _, x, dim: shaping.unsqueeze(x, [dim % (len(shape_of_value(x)) + 1)]),
    "channel_shuffle": lambda graph, x, groups: op.elementwise(graph, "channel_shuffle", x, groups=groups),
    "upsample_nearest2d": _nearest,
    **dict.fromkeys(
        ("alias", "clone", "contiguous", "detach", "expand", "expand_as", "identity", "lift_fresh_copy", "to"), _same
    ),
}
"""By name, without the underscore of operators in place."""

CREATORS: dict[str, float] = {"zeros": 0, "zeros_like": 0, "ones": 1, "ones_like": 1}
"""Operators whose value is known without data."""

VIEWS = {
    *("alias", "chunk", "detach", "expand", "flatten", "getitem", "narrow", "permute", "reshape", "select", "slice"),
    *("split", "movedim", "split_with_sizes", "squeeze", "transpose", "unbind", "unflatten", "unsqueeze", "view"),
}
"""Operators whose result may share memory with what they read."""
