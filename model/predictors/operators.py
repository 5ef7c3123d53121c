"""Operators that ONNX has as one, and PyTorch's exporter would make several of; each costs a microsecond or two."""

import torch
from torch.nn import functional as F


@torch.library.custom_op("peephole::running_maximum", mutates_args=())
def running_maximum(values: torch.Tensor, window: int) -> torch.Tensor:
    """Return, at each place of the last dimension, the largest of the `window` values that end there.

    Args:
        values: float32 [batch, rows, layers].
        window: how many, at least 1. Before the first value there are none.
    """
    padded = F.pad(values, (window - 1, 0), value=-torch.inf)
    return F.max_pool1d(padded, window, stride=1)


@running_maximum.register_fake
def _maximum_shape(values: torch.Tensor, window: int) -> torch.Tensor:
    del window
    return torch.empty_like(values)


@torch.library.custom_op("peephole::sum_of_squares", mutates_args=())
def sum_of_squares(values: torch.Tensor, dim: int, keepdim: bool) -> torch.Tensor:
    """Return the sum of squares along a dimension, as `torch.sum` of the squares does."""
    return (values * values).sum(dim, keepdim)


@sum_of_squares.register_fake
def _sum_shape(values: torch.Tensor, dim: int, keepdim: bool) -> torch.Tensor:
    return values.new_empty(values.sum(dim, keepdim).shape)
