"""Whether a signal survives a deep stack: runs of layers between batch normalisations.

Under He's initialisation a convolution and a ReLU together keep the signal's variance; a sigmoid all but flattens it, a
tanh saturates, convolutions alone amplify it, and batch normalisation brings it back to unit variance (He et al., arXiv
1502.01852; Schoenholz et al., arXiv 1611.01232). Most networks that never train lose their signal in such a run.
"""

import torch

from .layer_features import Quantities
from .layer_flags import RUNS
from .operators import running_maximum

WINDOW = 32  # layers that a reset is remembered for; further behind it, a run counts from the network's first layer
# Change of the signal's log standard deviation at one layer: half of log 2 and, for the saturating two, a round guess.
GAINS = {"conv": 0.35, "relu": -0.35, "sigmoid": -3.0, "tanh": -1.0}


def signal_runs(q: Quantities) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how long the runs are that each layer is in, and the walks of the signal there.

    Float32 [batch, len(RUNS) + 1, layers]: `RUNS` since the last normalisation, convolutions since the last activation;
    and [batch, 2, layers]: the change of the signal's log standard deviation since the last normalisation, up and down.
    """
    # Counts never fall: the largest at a reset, of those in the window, is the one at the last reset.
    runs = q.runs - running_maximum(q.flags.resets * q.runs, WINDOW)
    gains = torch.tensor([*(GAINS.get(name, 0.0) for name in RUNS), 0.0])
    return runs, torch.stack([gains, -gains]) @ runs
