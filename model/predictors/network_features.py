"""Hand features of whole networks, from the quantities of their layers.

Tabular models live on these; they are computed in the predictor's graph, from the codes alone. Most are sums over
layers of a value where a mask holds, so one matrix product gives every such sum and the features pick from it.
"""

import torch
from torch import nn
from torch.nn import functional as F

from ..network.shapes import Shape
from .feature_list import VALUES, factors, picked
from .layer_features import COUNTS, LayerQuantities, Quantities
from .layer_masks import LayerMasks
from .signal_propagation import signal_runs

ABOVE = 20.0  # what no logarithm of a width reaches


class NetworkFeatures(nn.Module):
    """Computes the hand features of networks of a task with images of one shape, from extended codes."""

    picks: torch.Tensor
    change: torch.Tensor
    factors: torch.Tensor

    def __init__(self, image: Shape) -> None:
        super().__init__()
        self.quantities = LayerQuantities(image)
        self.masks = LayerMasks(image)
        names = self.masks.names
        picks = [names.index(mask) * len(VALUES) + VALUES.index(value) for part in picked() for mask, value in part]
        self.register_buffer("picks", torch.tensor(picks))
        wider = torch.tensor([{"channels": 1.0, "channels_in": -1.0}.get(name, 0.0) for name in COUNTS])
        self.register_buffer("change", torch.stack([wider, -wider]).unsqueeze(2))
        self.register_buffer("factors", torch.tensor(factors()))

    def forward(self, codes: torch.Tensor) -> tuple[Quantities, torch.Tensor]:
        """Return the quantities of layers, and float32 [batch, features].

        The first two features are the parameters and the multiply-adds on a log scale.

        Args:
            codes: int [batch, layers, columns], zero-padded.
        """
        q, features = self.unscaled(codes)
        return q, features * self.factors

    def unscaled(self, codes: torch.Tensor) -> tuple[Quantities, torch.Tensor]:
        """Return the same, features before they are multiplied with `factors`."""
        q = self.quantities(codes)
        masks, stages = self.masks(q)
        runs, walks = signal_runs(q)
        log_channels = q.log("channels")
        values = self._values(q, log_channels, runs, walks)
        sums = torch.index_select((masks @ values.transpose(1, 2)).flatten(1), 1, self.picks)
        logs, plain, above, below = sums.split([len(part) for part in picked()], dim=1)
        means = above / torch.clamp(below, min=1.0)
        others, mean, mean_square = means.split([means.shape[1] - 2, 1, 1], dim=1)
        longest_runs, *extremes = _extremes(q, stages, log_channels, runs, walks)
        logs = torch.log1p(torch.cat([logs, longest_runs], dim=1))
        return q, torch.cat([logs, plain, others, mean, mean_square - mean * mean, *extremes], dim=1)

    def _values(
        self, q: Quantities, log_channels: torch.Tensor, runs: torch.Tensor, walks: torch.Tensor
    ) -> torch.Tensor:
        """Return `VALUES` of every layer, [batch, values, layers]."""
        wider_and_narrower = torch.relu(F.conv1d(q.logs, self.change))
        return torch.cat(
            [
                *(q.flags.sizes, q.flags.counted, q.params, q.flops, q.logs, log_channels * log_channels),
                *(q.plain, q.dropout_and_stride, wider_and_narrower, q.runs, runs, walks),
            ],
            dim=1,
        )


def _extremes(
    q: Quantities, stages: torch.Tensor, log_channels: torch.Tensor, runs: torch.Tensor, walks: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Return the longest runs [batch, len(RUNS) + 1], and `EXTREMES` in parts, [batch, ...]."""
    wide = stages * log_channels
    narrow = stages * ABOVE - wide
    # Every walk starts at zero, so that padding with zeros changes neither its rise nor its fall.
    found = torch.relu(torch.cat([wide, narrow, runs, q.logs, q.dropout_and_stride, walks], dim=1).amax(2))
    first, last = COUNTS.index("flops"), COUNTS.index("reach") + 1
    sizes = [stages.shape[1], stages.shape[1], runs.shape[1], first, last - first, len(COUNTS) - last, 1, 1, 2]
    widest, from_above, longest_runs, _, largest, _, dropout, _, signal = found.split(sizes, dim=1)
    narrowest = (ABOVE - from_above) * torch.clamp(from_above, max=1.0)  # zero where there is no convolution
    return longest_runs, widest, narrowest, largest, dropout, signal
