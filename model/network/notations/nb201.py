"""NAS-Bench-201: a cell with one of five operations on each of its six edges."""

from collections.abc import Sequence

from ..schema import Layer
from .builder import IMAGE_INDEX, Builder, NotationError
from .edge_cells import EDGES, NONE, SKIP, checked_ops, write_cell

OPS = (NONE, SKIP, "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
_KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}
STAGES = 3


def nasbench201(cell: str | Sequence[str], *, channels: int = 16, cells: int = 5) -> list[Layer]:
    """Return the network of a cell (Dong and Yang, NAS-Bench-201, 2020, section 2.1).

    A stem, three stages of cells at `channels`, twice and four times as many, a residual block that halves the
    resolution between two stages, mean over all positions.

    Args:
        cell: `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...|`, or the operations on the edges 0->1, 0->2, 1->2, 0->3,
            1->3, 2->3.
        channels: of the first stage.
        cells: of a stage.

    Raises:
        NotationError: naming the operation that is none of the space.
    """
    ops = checked_ops(_ops_of(cell) if isinstance(cell, str) else cell, OPS)
    net = Builder()
    made = net.conv_bn(IMAGE_INDEX, 3, channels)
    for stage in range(STAGES):
        if stage:
            made = _reduce(net, made, channels << stage)
        first = made + 1
        _cell(net, made, ops, channels << stage)
        made = net.repeat(first, cells)
    net.add("relu", net.add("batch_norm", made))
    net.add("global_avg_pool")
    return net.layers()


def _ops_of(text: str) -> list[str]:
    """Return the operations of a string, in the order of `EDGES`; it gives each as `op~node`."""
    nodes = [[op for op in node.split("|") if op] for node in text.strip().split("+")]
    parts = [part.rpartition("~") for node in nodes for part in node]
    if [(int(start), end) for end, node in enumerate(nodes, 1) for start in _starts(node)] != list(EDGES):
        raise NotationError("a cell is written |op~0|+|op~0|op~1|+|op~0|op~1|op~2|")
    return [op for op, _, _ in parts]


def _starts(node: Sequence[str]) -> list[str]:
    starts = [part.rpartition("~")[2] for part in node]
    return [start if start in {"0", "1", "2"} else "-1" for start in starts]


def _cell(net: Builder, read: int, ops: Sequence[str], channels: int) -> int:
    def write(op: str, source: int, _: int) -> int:
        if op == SKIP:
            return source
        if op == "avg_pool_3x3":
            return net.add("avg_pool", source, kernel_size=3, stride=1)
        return net.relu_conv_bn(source, _KERNELS[op], channels)

    return write_cell(net, read, ops, write, lambda: net.add("zero", read), lambda op, _: op in _KERNELS)


def _reduce(net: Builder, read: int, channels: int) -> int:
    """Append the residual block between two stages."""
    branch = net.relu_conv_bn(net.relu_conv_bn(read, 3, channels, 2), 3, channels)
    pooled = net.add("avg_pool", read, kernel_size=2, stride=2, padding=0)
    return net.add("add", branch, net.conv(pooled, 1, channels, bias=False))
