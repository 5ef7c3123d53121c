"""DCLP: a graph encoder that learns by contrast first, in a curriculum (Zheng et al., AAAI 2024, arXiv 2302.13020).

As in the paper and its code: two views of a network, in which some layers are replaced by others, are to be alike, and
unlike the views in a queue (momentum contrast; He et al., CVPR 2020). No accuracies are needed. Pairs of views are
ranked by how hard they are and learnt in that order. The encoder, a graph isomorphism network, then gets a new head and
learns from the networks that were trained: Adam, batches of 10, 200 passes.

Where it differs: nodes are a network's layers with their attributes, where the paper's are the operations of a cell.
The code replaces one operation and changes its views at fixed passes; here up to an eighth of the layers is replaced,
and a pair is the harder the more its nodes change, by layer. The targets are shares of worse networks, where the code
sets a sigmoid against standardised accuracies. Sizes are those of a processor: thousands of networks for pretraining, a
short queue, a key encoder that follows faster, 2,000 steps of fitting at most. The rate falls to 0 as a cosine: at the
code's constant one, where a fit ends is a matter of chance.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from model.network.shapes import Shape
from training.baselines import Floats
from training.baselines.gin import WIDTH, GraphIsomorphismNetwork
from training.baselines.layer_graphs import Batch, LayerGraphs, parts_of, places
from training.baselines.shares import accuracies, shares

SLOPE = 0.025  # of the leaky activations
PROJECTION = 128
TEMPERATURE, MOMENTUM, QUEUE = 0.07, 0.99, 2048
PAIRS = 16  # of views of each network
PRETRAINING_BATCH, PRETRAINING_RATE, PRETRAINING_DECAY = 256, 0.015, 1e-4
LEAST_KEPT = 8  # of so many layers one may be replaced
BATCH, PASSES, STEPS, RATE = 10, 200, 2000, 0.005


@dataclass(frozen=True)
class _Edits:
    """Layers that are replaced in views.

    Attributes:
        counts: of each view [views].
        place: in the network, of a layer that is replaced [edits of all].
        by: the place among all nodes of what replaces it [edits of all].
        difficulty: mean square of the change [views].
    """

    counts: NDArray[np.intp]
    place: NDArray[np.intp]
    by: NDArray[np.intp]
    difficulty: Floats

    @classmethod
    def draw(cls, graphs: LayerGraphs, networks: NDArray[np.intp], rng: np.random.Generator) -> "_Edits":
        """Draw a view of each of some networks."""
        lengths = graphs.lengths[networks]
        counts = rng.integers(1, 1 + np.maximum(lengths // LEAST_KEPT, 1))
        view = np.repeat(np.arange(len(networks)), counts)
        place = (rng.random(len(view)) * lengths[view]).astype(np.intp)
        by = rng.integers(len(graphs.nodes), size=len(view))
        replaced = (np.cumsum(graphs.lengths) - graphs.lengths)[networks[view]] + place
        change = (graphs.nodes[by] - graphs.nodes[replaced]).square().sum(dim=1).numpy()
        return cls(counts, place, by, np.bincount(view, weights=change, minlength=len(networks)) / lengths)

    def apply(self, graphs: LayerGraphs, batch: Batch, views: NDArray[np.intp]) -> Batch:
        """Return views of the networks of a batch."""
        edits, lengths = places(self.counts, views), batch.lengths[:, 0].numpy().astype(np.intp)
        rows = np.repeat(np.cumsum(lengths) - lengths, self.counts[views]) + self.place[edits]
        nodes = batch.nodes.clone()
        nodes[torch.from_numpy(rows)] = graphs.nodes[torch.from_numpy(self.by[edits])]
        return batch._replace(nodes=nodes)


def _curriculum(graphs: LayerGraphs, rng: np.random.Generator) -> Iterator[tuple[Batch, Batch]]:
    """Yield batches of pairs of views, the easiest first."""
    networks = np.tile(np.arange(len(graphs)), PAIRS)
    one, other = (_Edits.draw(graphs, networks, rng) for _ in range(2))
    order = np.argsort(one.difficulty + other.difficulty, kind="stable")
    for views in np.array_split(order, max(1, len(order) // PRETRAINING_BATCH)):
        batch = graphs.batch(networks[views])
        yield one.apply(graphs, batch, views), other.apply(graphs, batch, views)


def _head(outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(WIDTH, 2 * WIDTH),
        nn.LeakyReLU(SLOPE),
        nn.Linear(2 * WIDTH, WIDTH),
        nn.LeakyReLU(SLOPE),
        nn.Linear(WIDTH, outputs),
    )


def pretrain(codes: NDArray[np.int32], image: Shape, *, seed: int = 0) -> GraphIsomorphismNetwork:
    """Return an encoder that learnt from networks of a space without their accuracies.

    Args:
        codes: extended, int32 [networks, layers, columns].
        image: shape of the task's images.
        seed: of the initial weights and the views.
    """
    torch.manual_seed(seed)
    rng, graphs = np.random.default_rng(seed), LayerGraphs.of(codes, image)
    encoder = GraphIsomorphismNetwork(graphs.features)
    query = nn.Sequential(encoder, _head(PROJECTION))
    key = deepcopy(query).requires_grad_(requires_grad=False)
    queue = F.normalize(torch.randn(QUEUE, PROJECTION), dim=1)
    optimizer = torch.optim.SGD(query.parameters(), PRETRAINING_RATE, momentum=0.9, weight_decay=PRETRAINING_DECAY)
    for one, other in _curriculum(graphs, rng):
        with torch.no_grad():
            for slow, fast in zip(key.parameters(), query.parameters(), strict=True):
                slow.lerp_(fast, 1 - MOMENTUM)
            keys = F.normalize(key(other), dim=1)
        queries = F.normalize(query(one), dim=1)
        alike = torch.cat([(queries * keys).sum(dim=1, keepdim=True), queries @ queue.T], dim=1)
        loss = F.cross_entropy(alike / TEMPERATURE, torch.zeros(len(alike), dtype=torch.int64))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        queue = torch.cat([keys, queue])[:QUEUE]
    return encoder


class DCLP:
    """Reads extended codes.

    Args:
        image: shape of the task's images.
        encoder: pretrained; it stays as it is.
        seed: of the head's initial weights and the order of the networks.
        passes: over the networks, but no more than `STEPS` steps.
    """

    model: nn.Module

    def __init__(self, image: Shape, encoder: GraphIsomorphismNetwork, *, seed: int = 0, passes: int = PASSES) -> None:
        self.image, self.encoder, self.seed, self.passes = image, encoder, seed, passes

    def fit(self, curves: Floats, features: NDArray[np.int32]) -> None:
        """Fit a copy of the encoder and a new head to the last epoch."""
        torch.manual_seed(self.seed)
        graphs, self.final = LayerGraphs.of(features, self.image), curves[:, -1]
        targets = torch.from_numpy(shares(self.final).astype(np.float32))
        self.model = nn.Sequential(deepcopy(self.encoder), _head(1), nn.Sigmoid(), nn.Flatten(0)).train()
        optimizer = torch.optim.Adam(self.model.parameters(), RATE, fused=True)
        parts = max(1, len(graphs) // BATCH)
        passes = min(self.passes, STEPS // parts)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, passes * parts)
        for _ in range(passes):
            for chosen in np.array_split(torch.randperm(len(graphs)).numpy(), parts):
                loss = F.mse_loss(self.model(graphs.batch(chosen)), targets[torch.from_numpy(chosen)])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        self.model.eval()

    @torch.no_grad()
    def predict(self, seen: Floats, features: NDArray[np.int32]) -> Floats:
        """Return the prediction for the last epoch; `seen` is not used."""
        del seen
        graphs = LayerGraphs.of(features, self.image)
        found = [self.model(graphs.batch(chosen)).numpy() for chosen in parts_of(len(graphs))]
        return accuracies(np.concatenate(found), self.final)
