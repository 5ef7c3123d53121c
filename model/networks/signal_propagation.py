"""Whether a signal survives a deep stack: runs of layers between batch normalisations.

Under He's initialisation a convolution and a ReLU together keep the signal's variance; a sigmoid all but flattens it, a
tanh saturates, convolutions alone amplify it, and batch normalisation brings it back to unit variance (He et al., arXiv
1502.01852; Schoenholz et al., arXiv 1611.01232). Most networks that never train lose their signal in such a run.
"""

import torch
from torch.nn import functional as F

from model.networks.layer_features import Quantities, log_scale, repeated
from model.networks.layer_tables import RESETS, SQUASHING, STEPS

SIGNAL_FEATURES = 27
WINDOW = 32  # layers that a run may be long
COUNTED = STEPS[: STEPS.index("pool") + 1]


def _last(positions: torch.Tensor) -> torch.Tensor:
    """Return the largest value so far, within the window, of each column of [batch, layers, columns]."""
    padded = F.pad(positions.transpose(1, 2), (WINDOW - 1, 0)).unsqueeze(2)
    largest = F.max_pool2d(padded, (1, WINDOW), stride=1).squeeze(2)
    return largest.transpose(1, 2)


def signal_features(q: Quantities) -> torch.Tensor:
    """Return float32 [batch, SIGNAL_FEATURES]."""
    counted = q.traits_between(COUNTED[0], COUNTED[-1])
    # The last column counts convolutions since the last activation, the others count since the last normalisation.
    so_far = q.summed_between(STEPS[0], STEPS[-1])
    before = F.pad(so_far, (0, 0, 1, 0))
    resets = _last(q.traits_between(RESETS[0], RESETS[-1]) * q.position)
    which = repeated(resets, [0] * (len(STEPS) - 1) + [1]).long()
    runs = (so_far - torch.gather(before, 1, which)) * q.present
    counts, walk, linear = runs.split((len(COUNTED), 1, 1), dim=-1)
    final = (runs * q.is_last).sum(1)
    unnormalised = (q.summed_between("batch_norm", "batch_norm") == 0).float()
    followed = q.pairs_between(f"{SQUASHING[0]} again", f"{SQUASHING[-1]} then normalised").sum(1)
    largest = torch.cat([counts, linear, walk, -walk], dim=-1).amax(1)
    # Every walk starts at zero, so that padding with zeros changes neither its rise nor its fall.
    largest, rise, fall = torch.clamp(largest, min=0).split((len(COUNTED) + 1, 1, 1), dim=1)
    final_counts, final_walk, final_linear = final.split((len(COUNTED), 1, 1), dim=1)
    sums = [largest, final_counts, final_linear, (counted * unnormalised).sum(1), followed]
    return torch.cat([log_scale(torch.cat(sums, dim=1)), fall, rise, final_walk, walk.sum(1) / q.present.sum(1)], dim=1)
