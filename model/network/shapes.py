"""The size of a feature map, and what convolutions and pools make of it."""

from dataclasses import dataclass
from math import ceil

MAX_CHANNELS = 1_000_000


@dataclass(frozen=True, slots=True)
class Shape:
    """Channels, height and width of a feature map; a flat vector is features, 1, 1."""

    channels: int
    height: int
    width: int
    is_flat: bool = False

    @property
    def positions(self) -> int:
        """Height times width."""
        return self.height * self.width

    @property
    def size(self) -> int:
        """Number of values."""
        return self.channels * self.positions

    def __str__(self) -> str:
        return f"{self.channels} features" if self.is_flat else f"{self.channels}x{self.height}x{self.width}"


class ShapeError(ValueError):
    """A layer that does not fit what it reads; `field` is the field of the layer to change."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def slid(
    size: int, kernel: int, stride: int, padding: int | None, *, dilation: int = 1, ceil_mode: bool = False
) -> int:
    """Return how many positions a sliding window makes of `size`, as PyTorch does.

    Args:
        size: positions of the input.
        kernel: of the window.
        stride: between two windows.
        padding: on each side; `None` is "same": `size` divided by `stride`, rounded up.
        dilation: distance between the kernel's elements.
        ceil_mode: whether a last window may begin inside the input and end outside.

    Raises:
        ShapeError: when the kernel is larger than its padded input.
    """
    if padding is None:
        return ceil(size / stride)
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    steps = -(-room // stride) if ceil_mode else room // stride
    if steps < 0:
        reach = dilation * (kernel - 1) + 1
        raise ShapeError("kernel_size", f"spans {reach} positions, but its padded input has {size + 2 * padding}")
    begins_outside = ceil_mode and steps * stride >= size + padding
    return steps if begins_outside else steps + 1
