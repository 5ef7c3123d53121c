"""How the dimensions of a tensor hold the channels, height and width of a map.

A dimension is a row-major product of parts of the map's axes: `permute` reorders dimensions, `reshape` splits and joins
them, and neither needs a layer. What a network does with reshapes, such as a channel shuffle, shows in the order of the
parts.
"""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple, TypeAlias


class Part(NamedTuple):
    """A part of an axis: index `i` of the axis has index `i // stride % size` of the part."""

    axis: str
    size: int
    stride: int


Dim: TypeAlias = tuple[Part, ...]
"""Row-major product of parts; empty where the dimension has one element."""

Layout: TypeAlias = tuple[Dim, ...]


class LayoutError(ValueError):
    """Dimensions that are no products of parts of axes."""


def whole(axis: str, size: int) -> Dim:
    """Return a dimension that is an axis."""
    return (Part(axis, size, 1),) if size > 1 else ()


def of_map(batch: int, channels: int, height: int, width: int) -> Layout:
    """Return PyTorch's layout of maps: batch, channels, height, width."""
    return whole("N", batch), whole("C", channels), whole("H", height), whole("W", width)


def sizes(layout: Layout) -> tuple[int, ...]:
    """Return the number of elements along each dimension."""
    return tuple(prod(part.size for part in dim) for dim in layout)


def joined(dims: Sequence[Dim]) -> Dim:
    """Return the product of dimensions, neighbouring parts of one axis put together."""
    found: list[Part] = []
    for part in (part for dim in dims for part in dim):
        last = found[-1] if found else None
        if last and last.axis == part.axis and last.stride == part.size * part.stride:
            found[-1] = Part(part.axis, last.size * part.size, part.stride)
        else:
            found.append(part)
    return tuple(found)


def reshaped(layout: Layout, shape: Sequence[int]) -> Layout:
    """Return the layout of the same elements in another shape, which may hold one -1.

    Raises:
        LayoutError: when a new dimension would begin or end within a part that it does not divide.
    """
    total = prod(sizes(layout))
    if -1 in shape:
        known = -prod(shape)
        shape = [total // known if size == -1 else size for size in shape]
    if prod(shape) != total:
        raise LayoutError(f"a tensor of {total} elements has no shape {tuple(shape)}")
    left = [part for dim in layout for part in dim][::-1]  # the next part is the last
    made: list[Dim] = []
    for size in shape:
        taken: list[Part] = []
        while (need := size // prod(part.size for part in taken)) > 1:
            part = left.pop()
            if part.size > need:
                if part.size % need:
                    raise LayoutError(f"{part.size} elements cannot be split into {need}")
                inner = part.size // need
                left.append(Part(part.axis, inner, part.stride))
                part = Part(part.axis, need, part.stride * inner)
            elif need % part.size:
                raise LayoutError(f"{need} elements cannot be joined from {part.size}")
            taken.append(part)
        made.append(joined([tuple(taken)]))
    return tuple(made)
