"""DARTS: a normal and a reduction cell, each of four nodes that add up two operations."""

import ast
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ..schema import Layer
from .builder import IMAGE_INDEX, Builder, NotationError

_SEPARABLE = {"sep_conv_3x3": 3, "sep_conv_5x5": 5, "sep_conv_7x7": 7}
_DILATED = {"dil_conv_3x3": 3, "dil_conv_5x5": 5}
_POOLS = {"max_pool_3x3": "max_pool", "avg_pool_3x3": "avg_pool"}
OPS = (*_POOLS, "skip_connect", *_SEPARABLE, *_DILATED, "conv_7x1_1x7")
_CELLS = ("normal", "reduce")
_FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
STEM_RATIO = 3  # of the stem's channels to the first cells'

Cell = tuple[list[tuple[str, int]], list[int]]
"""Operations with the node that each reads, two for each node in turn; the nodes that are concatenated."""


def darts(
    genotype: str | Mapping[str, Any],
    *,
    cells: int = 20,
    channels: int = 36,
    stem: Literal["cifar", "imagenet"] = "cifar",
) -> list[Layer]:
    """Return the network of a genotype (Liu et al., DARTS, 2019, section 3 and appendix A).

    Cells read the two before them; those at a third and two thirds of the depth are reduction cells, at twice the
    channels. The auxiliary head and drop-path of training are left out.

    Args:
        genotype: an object with `normal`, `normal_concat`, `reduce` and `reduce_concat`, or the text
            `Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), ...)`.
        cells: number of cells; 14 for ImageNet.
        channels: of the first cells; 48 for ImageNet.
        stem: `cifar` keeps the resolution, `imagenet` divides it by eight.

    Raises:
        NotationError: naming the cell and the place at fault.
    """
    given = _parsed(genotype) if isinstance(genotype, str) else genotype
    normal, reduction = (_cell_of(given, name) for name in _CELLS)
    net = Builder()
    width = channels
    if stem == "cifar":
        older = newer = net.conv_bn(IMAGE_INDEX, 3, STEM_RATIO * channels)
    else:
        half = net.add("relu", net.conv_bn(IMAGE_INDEX, 3, channels // 2, 2))
        older = net.conv_bn(half, 3, channels, 2)
        newer = net.relu_conv_bn(older, 3, channels, 2)
    is_older_larger = stem == "imagenet"
    for place in range(cells):
        is_reduction = place in {cells // 3, 2 * cells // 3}
        width *= 2 if is_reduction else 1
        first = net.factorized_reduce(older, width, 2) if is_older_larger else net.relu_conv_bn(older, 1, width)
        nodes = [first, net.relu_conv_bn(newer, 1, width)]
        made = _write_cell(net, nodes, reduction if is_reduction else normal, width, 2 if is_reduction else 1)
        older, newer, is_older_larger = newer, made, is_reduction
    net.add("global_avg_pool", newer)
    return net.layers()


def _parsed(text: str) -> dict[str, Any]:
    """Read `Genotype(...)`: literals, and `range` with literals."""
    wrong = NotationError("a genotype is an object, or Genotype(normal=[...], normal_concat=[...], reduce=[...], ...)")
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call):
            raise wrong
        values = [_literal(value) for value in call.args]
        named = {one.arg: _literal(one.value) for one in call.keywords if one.arg}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        raise wrong from None
    return dict(zip(_FIELDS, values, strict=False)) | named


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        bounds = [ast.literal_eval(one) for one in node.args]
        if max(bounds) > len(bounds) * 100:
            raise ValueError(bounds)
        return list(range(*bounds))
    return ast.literal_eval(node)


def _cell_of(genotype: Mapping[str, Any], name: str) -> Cell:
    for field in (name, f"{name}_concat"):
        if not isinstance(genotype.get(field), Sequence):
            raise NotationError(f"{field}: must be a list")
    edges: list[tuple[str, int]] = []
    for place, edge in enumerate(genotype[name]):
        if not isinstance(edge, Sequence) or len(edge) != 2 or edge[0] not in OPS:
            raise NotationError(
                f"{name}/{place}: must be a pair of an operation and a node; operations: {', '.join(OPS)}"
            )
        node = 2 + place // 2
        if edge[1] not in range(node):
            raise NotationError(f"{name}/{place}: node {node} reads nodes 0 to {node - 1}")
        edges.append((edge[0], edge[1]))
    if not edges or len(edges) % 2:
        raise NotationError(f"{name}: must be two pairs for each node")
    concat = list(genotype[f"{name}_concat"])
    if not concat or not set(concat) <= set(range(2, 2 + len(edges) // 2)) or len(set(concat)) < len(concat):
        raise NotationError(f"{name}_concat: must be some of the nodes 2 to {1 + len(edges) // 2}, each once")
    return edges, concat


def _write_cell(net: Builder, nodes: list[int], cell: Cell, channels: int, stride: int) -> int:
    edges, concat = cell
    read = {node for _, node in edges}
    unread = set(range(2, 2 + len(edges) // 2)) - set(concat) - read
    if unread:
        raise NotationError(f"node {min(unread)} leads to no output")
    unused = [nodes[node] for node in (0, 1) if node not in read]  # their convolutions are in DARTS's module too
    if stride > 1:
        unused = [net.add("max_pool", node, kernel_size=1, stride=stride) for node in unused]
    zeros = [net.add("zero", node) for node in unused]
    for first, second in zip(edges[::2], edges[1::2], strict=True):
        parts = [_write_op(net, op, nodes[node], channels, stride if node < 2 else 1) for op, node in (first, second)]
        nodes.append(net.add("add", *parts, *zeros))
        zeros = []
    made = [nodes[node] for node in concat]
    return net.add("concat", *made) if len(made) > 1 else made[0]


def _write_op(net: Builder, op: str, read: int, channels: int, stride: int) -> int:
    if op == "skip_connect":
        return read if stride == 1 else net.factorized_reduce(read, channels, stride)
    if op in _POOLS:
        padding = {"padding": 1} if stride > 1 else {}
        return net.add(_POOLS[op], read, kernel_size=3, stride=stride, **padding)
    if op in _SEPARABLE:
        made = _depthwise(net, read, _SEPARABLE[op], channels, stride)
        return _depthwise(net, made, _SEPARABLE[op], channels, 1)
    if op in _DILATED:
        return _depthwise(net, read, _DILATED[op], channels, stride, dilation=2)
    made = net.add("relu", read)
    for size, step in (((1, 7), (1, stride)), ((7, 1), (stride, 1))):
        fields = {"padding": (size[0] // 2, size[1] // 2)} if stride > 1 else {}
        made = net.add("conv", made, kernel_size=size, out_channels=channels, stride=step, bias=False, **fields)
    return net.add("batch_norm", made)


def _depthwise(net: Builder, read: int, kernel: int, channels: int, stride: int, **fields: int) -> int:
    """Append an activation, a depthwise convolution, a 1x1 convolution and its normalisation."""
    made = net.add("relu", read)
    made = net.conv(made, kernel, channels, stride, groups="depthwise", bias=False, **fields)
    return net.conv_bn(made, 1, channels)
