"""The largest of the last few values along the layers: one operator of ONNX, four of PyTorch's exporter."""

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
def _shape(values: torch.Tensor, window: int) -> torch.Tensor:
    del window
    return torch.empty_like(values)
