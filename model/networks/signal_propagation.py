"""Whether a signal survives a deep stack: runs of layers between batch normalisations.

Under He's initialisation a convolution and a ReLU together keep the signal's variance; a sigmoid all but flattens it, a
tanh saturates, convolutions alone amplify it, and batch normalisation brings it back to unit variance (He et al., arXiv
1502.01852; Schoenholz et al., arXiv 1611.01232). Most networks that never train lose their signal in such a run.
"""

import torch
from torch.nn import functional as F

from model.networks.layer_features import Quantities, log_scale

SIGNAL_FEATURES = 27
WINDOW = 32  # layers that a run may be long
# Change of the signal's log standard deviation at one layer: half of log 2 and, for the saturating two, a round guess.
GAINS = {"conv": 0.35, "relu": -0.35, "sigmoid": -3.0, "tanh": -1.0}
SQUASHING = ("sigmoid", "tanh", "relu")
COUNTED = ("conv", *SQUASHING, "pool")


def _last(positions: torch.Tensor) -> list[torch.Tensor]:
    """Return the largest value so far, within the window, in each column of [batch, layers, columns]."""
    padded = F.pad(positions.transpose(1, 2), (WINDOW - 1, 0)).unsqueeze(2)
    largest = F.max_pool2d(padded, (1, WINDOW), stride=1).squeeze(2)
    return list(largest.transpose(1, 2).long().split(1, dim=-1))


def signal_features(q: Quantities) -> torch.Tensor:
    """Return float32 [batch, SIGNAL_FEATURES]."""
    normal, activations = q.is_kind("batch_norm"), torch.cat([q.is_kind(name) for name in SQUASHING], dim=-1)
    counted = torch.cat([q.is_conv, activations, q.is_pool], dim=-1)
    gain = counted @ torch.tensor([[GAINS.get(name, 0.0)] for name in COUNTED])
    # The last column counts convolutions since the last activation, the others count since the last normalisation.
    steps = torch.cat([counted, gain, q.is_conv], dim=-1)
    so_far = torch.cumsum(steps, dim=1)
    before = F.pad(so_far, (0, 0, 1, 0))
    last_normal, last_activation = _last(torch.cat([normal, activations.sum(2, keepdim=True)], dim=-1) * q.position)
    columns = steps.shape[-1]
    which = torch.cat([last_normal.expand(-1, -1, columns - 1), last_activation], dim=-1)
    runs = (so_far - torch.gather(before, 1, which)) * q.present
    counts, walk, linear = runs.split((len(COUNTED), 1, 1), dim=-1)
    final = (runs * q.is_last).sum(1)
    unnormalised = (torch.cumsum(normal, dim=1) == 0).float()
    following = torch.cat([q.following_kind(name) for name in SQUASHING], dim=-1)
    normalised = activations * q.following_kind("batch_norm")
    sums = torch.cat([counted * unnormalised, activations * following, normalised], dim=-1)
    largest = torch.cat([counts, linear, walk, -walk], dim=-1).amax(1)
    # Every walk starts at zero, so that padding with zeros changes neither its rise nor its fall.
    largest, rise, fall = torch.clamp(largest, min=0).split((len(COUNTED) + 1, 1, 1), dim=1)
    final_counts, final_walk, final_linear = final.split((len(COUNTED), 1, 1), dim=1)
    return torch.cat(
        [
            log_scale(torch.cat([largest, final_counts, final_linear, sums.sum(1)], dim=1)),
            fall,
            rise,
            final_walk,
            walk.sum(1) / q.present.sum(1),
        ],
        dim=1,
    )
