"""TransNAS-Bench-101: a macro space of residual blocks and a micro space of cells, in one code."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..schema import Layer
from .builder import IMAGE_INDEX, Builder, NotationError
from .edge_cells import NONE, SKIP, checked_ops, write_cell

OPS = (NONE, SKIP, "conv_1x1", "conv_3x3")  # by their digit
_KERNELS = {"conv_1x1": 1, "conv_3x3": 3}
_CODE = re.compile(r"(\d+)-([1-4]+)-(?:basic|([0-3])_([0-3]{2})_([0-3]{3}))")
MICRO_SKELETON = "41414"
CELLS = 2  # of a module

Block = Mapping[str, Any]


def transnas101(network: str | Sequence[str] | Sequence[Block], *, channels: int = 64) -> list[Layer]:
    """Return a network of the macro or the micro space (Duan et al., TransNAS-Bench-101, 2021, section 3.1).

    Two convolutions of stride 2, modules of two blocks or cells, mean over all positions. A module of 2 or 4 doubles
    the channels, one of 3 or 4 halves the resolution.

    Args:
        network: the benchmark's code, `64-41414-3_33_332` or `64-1232-basic`; or the six operations of a cell, on the
            skeleton of the micro space; or residual blocks, objects with `out` and `stride`.
        channels: of the second convolution, where there is no code.

    Raises:
        NotationError: naming the place at fault.
    """
    blocks: list[tuple[int, int]]
    ops: tuple[str, ...] | None = None
    if isinstance(network, str):
        code = _CODE.fullmatch(network.strip())
        if code is None:
            raise NotationError("a code is CHANNELS-MODULES-CELL, such as 64-41414-3_33_332 or 64-1232-basic")
        channels = int(code[1])
        blocks = _skeleton(channels, code[2])
        ops = tuple(OPS[int(digit)] for digit in code[3] + code[4] + code[5]) if code[3] else None
    elif all(isinstance(one, str) for one in network):
        ops = checked_ops([str(one) for one in network], OPS)
        blocks = _skeleton(channels, MICRO_SKELETON)
    else:
        blocks = [_checked(block, place) for place, block in enumerate(network)]
    net = Builder()
    made = net.conv_bn(IMAGE_INDEX, 3, channels // 2, 2)
    made, width = net.relu_conv_bn(made, 3, channels, 2), channels
    for out, stride in blocks:
        write = _residual if ops is None else _cell
        made, width = write(net, made, ops or (), width, out, stride), out
    net.add("global_avg_pool", made)
    return net.layers()


def _skeleton(channels: int, code: str) -> list[tuple[int, int]]:
    """Return channels and stride of each block."""
    found = []
    for kind in map(int, code):
        channels *= 1 if kind % 2 else 2
        found += [(channels, 2 if kind > 2 else 1)] + [(channels, 1)] * (CELLS - 1)
    return found


def _checked(block: Any, place: int) -> tuple[int, int]:
    if not isinstance(block, Mapping) or block.get("op", "basic_block") != "basic_block":
        raise NotationError(f"blocks/{place}: must be a basic_block with `out` and `stride`")
    out, stride = block.get("out"), block.get("stride", 1)
    if not isinstance(out, int) or not isinstance(stride, int) or out < 1 or stride < 1:
        raise NotationError(f"blocks/{place}: `out` and `stride` must be integers of at least 1")
    return out, stride


def _residual(net: Builder, read: int, _: Sequence[str], before: int, channels: int, stride: int) -> int:
    branch = net.relu_conv_bn(net.relu_conv_bn(read, 3, channels, stride), 3, channels)
    is_same = stride == 1 and before == channels
    return net.add("add", read if is_same else net.conv_bn(read, 1, channels, stride), branch)


def _cell(net: Builder, read: int, ops: Sequence[str], before: int, channels: int, stride: int) -> int:
    def is_changing(node: int) -> bool:
        return node == 0 and (stride != 1 or before != channels)

    def write(op: str, source: int, node: int) -> int:
        step = stride if node == 0 else 1
        if op != SKIP:
            return net.relu_conv_bn(source, _KERNELS[op], channels, step)
        return net.factorized_reduce(source, channels, step) if is_changing(node) else source

    def zeros() -> int:
        """Append zeros of the output's shape; the form has them of an input's shape only."""
        small = net.add("max_pool", read, kernel_size=1, stride=stride) if stride > 1 else read
        made = net.add("zero", small)
        return net.add("concat", *[made] * (channels // before)) if channels > before else made

    return write_cell(net, read, ops, write, zeros, lambda op, node: op in _KERNELS or is_changing(node))
