"""A sliding window makes as many positions as PyTorch's does."""

import pytest
import torch
from torch.nn import functional as F

from model.network.shapes import Shape, ShapeError, slid


def pytorch(size: int, kernel: int, stride: int, padding: int, *, ceil_mode: bool) -> int | None:
    """Return the positions of a max pool, `None` where PyTorch rejects it."""
    try:
        return F.max_pool2d(torch.zeros(1, 1, size, size), kernel, stride, padding, ceil_mode=ceil_mode).shape[-1]
    except RuntimeError:
        return None


def ours(size: int, kernel: int, stride: int, padding: int, *, ceil_mode: bool) -> int | None:
    try:
        return slid(size, kernel, stride, padding, ceil_mode=ceil_mode)
    except ShapeError:
        return None


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_positions_are_pytorchs(ceil_mode: bool) -> None:
    """Of all small sizes; with `ceil_mode` a last window may end outside, but not begin there."""
    for size in range(1, 8):
        for kernel in range(1, 7):
            for stride in range(1, 5):
                for padding in range(kernel // 2 + 1):
                    window = size, kernel, stride, padding
                    assert ours(*window, ceil_mode=ceil_mode) == pytorch(*window, ceil_mode=ceil_mode), window


@pytest.mark.parametrize(("size", "stride", "positions"), [(7, 1, 7), (7, 2, 4), (8, 2, 4), (2, 3, 1), (1, 8, 1)])
def test_same_divides_by_the_stride_and_rounds_up(size: int, stride: int, positions: int) -> None:
    assert slid(size, 5, stride, None) == positions


def test_a_dilated_kernel_spans_more() -> None:
    assert slid(9, 3, 1, 0, dilation=3) == 3
    with pytest.raises(ShapeError, match="spans 9 positions, but its padded input has 7") as caught:
        slid(5, 3, 1, 1, dilation=4)
    assert caught.value.field == "kernel_size"


def test_a_shape_is_said_in_one_way() -> None:
    assert [str(Shape(3, 4, 5)), str(Shape(8, 1, 1)), str(Shape(8, 1, 1, is_flat=True))] == [
        "3x4x5",
        "8x1x1",
        "8 features",
    ]
