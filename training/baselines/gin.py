"""The graph isomorphism network (Xu et al., How Powerful are Graph Neural Networks?, ICLR 2019) that rivals share."""

import torch
from torch import nn

from training.baselines.layer_graphs import Batch

WIDTH, DEPTH = 32, 3


class GraphIsomorphismNetwork(nn.Module):
    """Three layers that add up what a node reads and itself, an MLP and batch normalisation each; mean over nodes.

    Args:
        features: of a node.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_layer(WIDTH if number else features) for number in range(DEPTH))

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return an embedding of each network, float32 [networks, width]."""
        states = batch.nodes
        for layer in self.layers:
            states = layer(states.index_add(0, batch.target, states[batch.source]))
        return states.new_zeros(len(batch.lengths), WIDTH).index_add(0, batch.network, states) / batch.lengths


def _layer(features: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(features, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.BatchNorm1d(WIDTH)
    )
