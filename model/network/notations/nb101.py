"""NAS-Bench-101: a cell with an operation on each node, up to seven nodes and nine edges."""

from collections.abc import Sequence

from ..schema import Layer
from .builder import IMAGE_INDEX, Builder, NotationError

_KERNELS = {"conv1x1": 1, "conv3x3": 3}
OPS = (*_KERNELS, "maxpool3x3")
_ENDS = ("input", "output")

Edges = list[tuple[int, int]]


def nasbench101(
    ops: Sequence[str],
    edges: Sequence[Sequence[int]],
    *,
    channels: int = 128,
    stacks: int = 3,
    modules: int = 3,
) -> list[Layer]:
    """Return the network of a cell (Ying et al., NAS-Bench-101, 2019, section 2.1 and appendix).

    A stem, stacks of modules, max pooling and twice the channels between two stacks, mean over all positions. The
    output is the concatenation of the nodes that lead to it; a 1x1 convolution projects what the input leads to.

    Args:
        ops: of the nodes between the input and the output, or of all nodes; the benchmark's `conv3x3-bn-relu` is
            `conv3x3`.
        edges: pairs `[from, to]`, where node 0 is the input and the last one the output; or the adjacency matrix.
        channels: of the first stack.
        stacks: number of stacks.
        modules: number of modules in a stack.

    Raises:
        NotationError: naming the node or edge at fault.
    """
    inner, found = _pruned(_inner(ops), edges)
    net = Builder()
    made = net.conv_bn_relu(IMAGE_INDEX, 3, channels)
    for stack in range(stacks):
        if stack:
            made = net.add("max_pool", made, kernel_size=2, stride=2)
        widths = vertex_channels(len(inner) + 2, found, channels << stack)
        first = made + 1
        _module(net, made, inner, found, widths)
        made = net.repeat(first, modules)
    net.add("global_avg_pool", made)
    return net.layers()


def _inner(ops: Sequence[str]) -> list[str]:
    """Return the operations between the input and the output."""
    if len(ops) > 1 and (ops[0], ops[-1]) == _ENDS:
        ops = ops[1:-1]
    short = [op.removesuffix("-bn-relu") for op in ops]
    for place, op in enumerate(short):
        if op not in OPS:
            raise NotationError(f"ops/{place}: must be one of {', '.join(OPS)}")
    return short


def _edges(rows: Sequence[Sequence[int]], nodes: int) -> Edges:
    """Return pairs of nodes, which may be given as a matrix."""
    is_matrix = len(rows) == nodes and all(len(row) == nodes and set(row) <= {0, 1} for row in rows)
    if is_matrix:
        return [(start, end) for start, row in enumerate(rows) for end, one in enumerate(row) if one]
    if not all(len(row) == 2 for row in rows):
        raise NotationError(f"edges: must be pairs [from, to], or a matrix of {nodes} rows for {nodes - 2} operations")
    return [(start, end) for start, end in rows]


def _pruned(ops: list[str], rows: Sequence[Sequence[int]]) -> tuple[list[str], Edges]:
    """Return the nodes that lie between the input and the output, and the edges between them."""
    last = len(ops) + 1
    edges = sorted(set(_edges(rows, last + 1)))
    for start, end in edges:
        if not 0 <= start < end <= last:
            raise NotationError(f"edges: [{start}, {end}] must lead from a node to a later one, the last is {last}")
    ahead, back = {0}, {last}
    for start, end in edges:  # sorted by their start
        if start in ahead:
            ahead.add(end)
    for start, end in sorted(edges, key=lambda edge: -edge[1]):
        if end in back:
            back.add(start)
    kept = sorted(ahead & back)
    if 0 not in kept:
        raise NotationError("edges: the input leads to no output")
    number = {node: place for place, node in enumerate(kept)}
    found = [(number[start], number[end]) for start, end in edges if start in number and end in number]
    return [ops[node - 1] for node in kept[1:-1]], found


def vertex_channels(nodes: int, edges: Edges, channels: int) -> list[int]:
    """Return the channels of each node: the output's, divided among the nodes that lead to it.

    Those that lead to others only have the most that these have. The input's are not used.
    """
    last = nodes - 1
    widths = [0] * last + [channels]
    leading = [start for start, end in edges if end == last and start]
    for place, node in enumerate(leading):
        share, rest = divmod(channels, len(leading))
        widths[node] = share + (place < rest)
    for node in range(last - 1, 0, -1):
        if node not in leading:
            widths[node] = max(widths[end] for start, end in edges if start == node)
    return widths


def _module(net: Builder, read: int, ops: list[str], edges: Edges, widths: list[int]) -> int:
    last = len(ops) + 1
    made = [read]
    for node in range(1, last):
        width = widths[node]
        parts = [
            made[start] if widths[start] == width else net.add("slice", made[start], start=0, end=width)
            for start, end in edges
            if end == node and start
        ]
        if (0, node) in edges:
            parts.append(net.conv_bn_relu(read, 1, width))
        source, op = net.sum(parts), ops[node - 1]
        if op in _KERNELS:
            made.append(net.conv_bn_relu(source, _KERNELS[op], width))
        else:
            made.append(net.add("max_pool", source, kernel_size=3, stride=1))
    leading = [made[start] for start, end in edges if end == last and start]
    parts = [net.add("concat", *leading) if len(leading) > 1 else leading[0]] if leading else []
    if (0, last) in edges:
        parts.append(net.conv_bn_relu(read, 1, widths[last]))
    return net.sum(parts)
