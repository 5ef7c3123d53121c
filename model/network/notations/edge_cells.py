"""Cells with an operation on each edge, as NAS-Bench-201 and TransNAS-Bench-101 have them: six edges, four nodes."""

from collections.abc import Callable, Sequence

from .builder import Builder, NotationError

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
NONE, SKIP = "none", "skip_connect"
OUTPUT = 3

WriteOp = Callable[[str, int, int], int]
"""Appends an operation that reads a layer; the last argument is the number of the node that it reads."""


def checked_ops(ops: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the operations on `EDGES`.

    Raises:
        NotationError: when they are not six known ones.
    """
    if len(ops) != len(EDGES):
        raise NotationError(f"ops: a cell has {len(EDGES)} operations, not {len(ops)}")
    for place, op in enumerate(ops):
        if op not in known:
            raise NotationError(f"ops/{place}: must be one of {', '.join(known)}")
    return tuple(ops)


def write_cell(
    net: Builder,
    read: int,
    ops: Sequence[str],
    write_op: WriteOp,
    zeros: Callable[[], int],
    has_params: Callable[[str, int], bool],
) -> int:
    """Append a cell: each node is the sum of what its edges make; return the last node's layer.

    An edge of `none` is left out, and so is one without parameters that leads to no output. Operations with parameters
    stay even there, so that the parameters are those of the benchmark's module: their result is added as zeros.

    Args:
        net: to append to.
        read: layer that is node 0.
        ops: on `EDGES`.
        write_op: appends an operation.
        zeros: appends a map of zeros of a node's shape.
        has_params: whether an operation that reads a node has parameters.
    """
    is_used = {OUTPUT: True}  # by the output, or by an operation with parameters
    kept: list[tuple[int, int, str]] = []
    for (start, end), op in sorted(zip(EDGES, ops, strict=True), reverse=True):
        if op != NONE and (is_used.get(end) or has_params(op, start)):
            kept.append((start, end, op))
            is_used[start] = True
    nodes: list[int | None] = [read]  # None: zeros
    dead_ends: list[int] = []
    for node in range(1, OUTPUT + 1):
        incoming = [(start, op) for start, end, op in reversed(kept) if end == node]
        parts = []
        for start, op in incoming:
            source = nodes[start]
            if source is None and has_params(op, start):
                source = nodes[start] = zeros()
            if source is not None:
                parts.append(write_op(op, source, start))
        if node == OUTPUT:
            parts += [net.add("zero", end) for end in dead_ends]
        made = net.sum(parts) if parts else None
        nodes.append(made)
        if made is not None and not is_used.get(node):
            dead_ends.append(made)
    return zeros() if made is None else made
