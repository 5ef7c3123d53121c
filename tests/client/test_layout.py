"""Layouts follow reshapes and transposes as numpy does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peephole.importers.layout import LayoutError, joined, of_map, reshaped, sizes, whole

SHAPE = (2, 12, 4, 6)


def elements(layout):
    """Return a tensor in a layout whose elements are their places in the usual one."""
    axes = dict(zip("NCHW", SHAPE, strict=True))
    parts = [part for dim in layout for part in dim]
    grids = np.meshgrid(*(np.arange(part.size) for part in parts), indexing="ij")
    place = dict.fromkeys(axes, 0)
    for part, grid in zip(parts, grids, strict=True):
        place[part.axis] = place[part.axis] + grid * part.stride
    flat = np.ravel_multi_index([np.broadcast_to(place[axis], grids[0].shape) for axis in axes], SHAPE)
    return flat.reshape(sizes(layout))


STEPS = st.lists(
    st.one_of(
        st.permutations(range(6)).map(lambda order: ("permute", order)),
        st.sampled_from([(2, 3, 4, 4, 6), (-1, 12, 24), (24, 24), (2, 2, 6, -1), (2, 12, 2, 2, 6), (576,)]).map(
            lambda shape: ("reshape", shape)
        ),
    ),
    max_size=5,
)


@given(STEPS)
def test_a_layout_is_where_numpy_puts_the_elements(steps):
    layout, array = of_map(*SHAPE), np.arange(np.prod(SHAPE)).reshape(SHAPE)
    for step, argument in steps:
        if step == "permute":
            order = [place for place in argument if place < len(layout)]
            layout, array = tuple(layout[place] for place in order), array.transpose(order)
            continue
        try:
            layout = reshaped(layout, argument)
        except LayoutError:
            continue
        array = array.reshape(argument)
    assert (elements(layout) == array).all()


def test_what_is_split_and_joined_again_is_whole():
    layout = reshaped(reshaped(of_map(*SHAPE), (2, 3, 2, 2, 4, 6)), (2, 12, 24))
    assert layout[:2] == (whole("N", 2), whole("C", 12))
    assert layout[2] == joined([whole("H", 4), whole("W", 6)])


def test_dimensions_that_mix_parts_have_no_layout():
    with pytest.raises(LayoutError, match="6 elements cannot be split into 4"):
        reshaped((whole("C", 6), whole("H", 2)), (4, 3))
    with pytest.raises(LayoutError, match="has no shape"):
        reshaped(of_map(*SHAPE), (2, 12, 4))
