"""FR-NAS: two graph encoders, one along the edges and one against them (Zhang and Cheng, IJCNN 2024, arXiv 2404.15622).

As in the paper and its code: two graph isomorphism networks, each with a head and a sigmoid; the loss of each is the
squared error and, with a weight of 0.8, how much the distances between the embeddings of a batch differ from the other
encoder's (the instance relationship graph), which count as fixed. Predictions are the means of both. Adam without
momentum, biases at twice the rate and without decay, batches of 16, a rate that falls to 0 as a cosine.

Where it differs: nodes are a network's layers with their attributes, where the paper's are the operations of a cell;
the targets are shares of worse networks, where the paper's are errors; both encoders take a step on the same batch,
where the code lets the second see the first one's; an activation precedes each normalisation; 200 passes, the code's
shorter schedule, and 2,000 steps at most.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from model.network.shapes import Shape
from training.baselines import Floats
from training.baselines.gin import WIDTH, GraphIsomorphismNetwork
from training.baselines.layer_graphs import Batch, LayerGraphs, parts_of
from training.baselines.shares import accuracies, shares

HEAD_WIDTH, DROPOUT = 16, 0.1
SCALE = 20  # of shares
AGREEMENT = 0.8  # weight of the embeddings in the loss
BATCH, PASSES, STEPS, RATE, DECAY, BETAS = 16, 200, 2000, 0.005, 1e-4, (0.0, 0.9)
TINY = 1e-12  # under a root, whose slope at 0 is endless


class _Encoder(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.encoder = GraphIsomorphismNetwork(features)
        self.head = nn.Sequential(
            nn.Linear(WIDTH, HEAD_WIDTH), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(HEAD_WIDTH, 1), nn.Sigmoid()
        )

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return distances between the embeddings [networks, networks], and shares [networks]."""
        embedded = self.encoder(batch)
        apart = (embedded.unsqueeze(1) - embedded).square().sum(2)
        return (apart + TINY).sqrt(), self.head(embedded).squeeze(1)


class FRNAS:
    """Reads extended codes.

    Args:
        image: shape of the task's images.
        seed: of the initial weights and the order of the networks.
        passes: over the networks, but no more than `STEPS` steps.
    """

    encoders: nn.ModuleList

    def __init__(self, image: Shape, *, seed: int = 0, passes: int = PASSES) -> None:
        self.image, self.seed, self.passes = image, seed, passes

    def fit(self, curves: Floats, features: NDArray[np.int32]) -> None:
        """Fit both encoders to the last epoch."""
        torch.manual_seed(self.seed)
        graphs = LayerGraphs.of(features, self.image)
        self.final = curves[:, -1]
        targets = SCALE * torch.from_numpy(shares(self.final).astype(np.float32))
        self.encoders = nn.ModuleList([_Encoder(graphs.features), _Encoder(graphs.features)])
        named = list(self.encoders.named_parameters())
        biases = {"params": [one for name, one in named if "bias" in name], "lr": 2 * RATE}
        others = {"params": [one for name, one in named if "bias" not in name], "weight_decay": DECAY}
        optimizer = torch.optim.Adam([biases, others], RATE, BETAS, fused=True)
        parts = max(1, len(graphs) // BATCH)
        passes = min(self.passes, STEPS // parts)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, passes * parts)
        for _ in range(passes):
            for chosen in np.array_split(torch.randperm(len(graphs)).numpy(), parts):
                loss = self._loss(graphs.batch(chosen), targets[torch.from_numpy(chosen)])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        self.encoders.eval()

    def _loss(self, batch: Batch, targets: torch.Tensor) -> torch.Tensor:
        (apart, forward), (reverse_apart, reverse) = self._run(batch)
        wrong = F.mse_loss(SCALE * forward, targets) + F.mse_loss(SCALE * reverse, targets)
        differ = F.mse_loss(apart, reverse_apart.detach()) + F.mse_loss(reverse_apart, apart.detach())
        return (1 - AGREEMENT) * wrong + AGREEMENT * differ

    def _run(self, batch: Batch) -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
        forward, reverse = self.encoders
        return forward(batch), reverse(batch.reverse())

    @torch.no_grad()
    def predict(self, seen: Floats, features: NDArray[np.int32]) -> Floats:
        """Return the mean of both encoders; `seen` is not used."""
        del seen
        graphs, found = LayerGraphs.of(features, self.image), []
        for chosen in parts_of(len(graphs)):
            (_, forward), (_, reverse) = self._run(graphs.batch(chosen))
            found.append((forward + reverse).numpy() / 2)
        return accuracies(np.concatenate(found), self.final)
