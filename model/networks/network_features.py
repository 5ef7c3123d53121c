"""Hand features of whole networks, from the quantities of their layers.

Tabular models live on these; they are computed in the predictor's graph, from the codes alone. Most are sums over
layers of a value where a mask holds, so one matrix product gives every such sum and the features pick from it.
"""

import torch
from torch import nn

from model.networks.feature_list import VALUES, factors, picked
from model.networks.layer_features import COUNTS, LayerQuantities, Quantities
from model.networks.layer_masks import LayerMasks
from model.networks.signal_propagation import signal_runs
from model.shapes import Shape


class NetworkFeatures(nn.Module):
    """Computes the hand features of networks of a task with images of one shape, from extended codes."""

    picks: torch.Tensor
    factors: torch.Tensor

    def __init__(self, image: Shape) -> None:
        super().__init__()
        self.quantities = LayerQuantities(image)
        self.masks = LayerMasks(image)
        names = self.masks.names
        picks = [names.index(mask) * len(VALUES) + VALUES.index(value) for part in picked() for mask, value in part]
        self.register_buffer("picks", torch.tensor(picks))
        self.register_buffer("factors", torch.tensor(factors()))

    def forward(self, codes: torch.Tensor) -> tuple[Quantities, torch.Tensor]:
        """Return the quantities of layers, and float32 [batch, features].

        The first two features are the parameters and the multiply-adds on a log scale.

        Args:
            codes: int [batch, layers, columns], zero-padded.
        """
        q = self.quantities(codes)
        masks, stages = self.masks(q)
        runs, walks = signal_runs(q)
        values = _values(q, runs, walks)
        sums = torch.index_select((masks @ values.transpose(1, 2)).flatten(1), 1, self.picks)
        logs, plain, above, below = sums.split([len(part) for part in picked()], dim=1)
        means = above / torch.clamp(below, min=1.0)
        means, mean_square = means.split([means.shape[1] - 1, 1], dim=1)
        mean = means[:, -1:]
        longest_runs, *extremes = _extremes(q, stages, runs, walks)
        logs = torch.log1p(torch.cat([logs, longest_runs], dim=1))
        features = torch.cat([logs, plain, means, mean_square - mean * mean, *extremes], dim=1)
        return q, features * self.factors


def _values(q: Quantities, runs: torch.Tensor, walks: torch.Tensor) -> torch.Tensor:
    """Return `VALUES` of every layer, [batch, values, layers]."""
    log_channels = q.log("channels")
    change = log_channels - q.log("channels_in")
    wider = torch.relu(change)
    return torch.cat(
        [
            *(q.flags.sizes, q.flags.counted, q.params, q.flops, q.logs, log_channels * log_channels),
            *(q.plain, wider, wider - change, q.summed("conv", "pool"), runs, walks),
        ],
        dim=1,
    )


def _extremes(q: Quantities, stages: torch.Tensor, runs: torch.Tensor, walks: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return the longest runs [batch, len(RUNS) + 1], and `EXTREMES` in parts, [batch, ...]."""
    wide = stages * q.log("channels")  # at most 1.4
    narrow = stages * 2 - wide
    first, last = COUNTS.index("flops"), COUNTS.index("reach")
    rows = [wide, narrow, runs, q.logs[:, first : last + 1], q.plain[:, -1:], walks]
    # Every walk starts at zero, so that padding with zeros changes neither its rise nor its fall.
    found = torch.relu(torch.cat(rows, dim=1).amax(2))
    widest, from_two, longest_runs, others = found.split([stages.shape[1]] * 2 + [runs.shape[1], 5], dim=1)
    narrowest = (2 - from_two) * torch.clamp(2 * from_two, max=1.0)  # zero where there is no convolution
    return longest_runs, widest, narrowest, others
