"""Networks as graphs of layers, for the baselines that pass messages along edges."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from model.encoding.features import attributes, layer_features
from model.encoding.layer_code import EDGES
from model.network.layer_types import TYPE_IDS
from model.network.shapes import Shape

PART = 256  # networks that are described or predicted at a time


class Batch(NamedTuple):
    """Some networks, one behind the other.

    Attributes:
        nodes: their layers, float32 [layers of all, features].
        source: the layer that an edge leaves, int64 [edges].
        target: the one that reads it, int64 [edges].
        network: of each layer, int64 [layers of all].
        lengths: layers of each network, float32 [networks, 1].
    """

    nodes: torch.Tensor
    source: torch.Tensor
    target: torch.Tensor
    network: torch.Tensor
    lengths: torch.Tensor

    def reverse(self) -> "Batch":
        """Return the networks with their edges turned round."""
        return self._replace(source=self.target, target=self.source)


@dataclass(frozen=True)
class LayerGraphs:
    """Networks; a node is a row of the extended code.

    Attributes:
        nodes: the type of each layer as one of many, and `LAYER_FEATURES` [layers of all, features].
        lengths: layers of each network [networks].
        edges: the layer that is read and the one that reads, as places in the network [edges of all, 2].
        edge_counts: edges of each network [networks].
    """

    nodes: torch.Tensor
    lengths: NDArray[np.intp]
    edges: NDArray[np.intp]
    edge_counts: NDArray[np.intp]

    @classmethod
    def of(cls, codes: NDArray[np.int32], image: Shape) -> "LayerGraphs":
        """Describe networks.

        Args:
            codes: extended, int32 [networks, layers, columns], zero-padded.
            image: shape of the task's images.
        """
        present = codes[:, :, 0] > 0
        lengths = present.sum(axis=1)
        described = []
        for some in parts_of(len(codes)):
            layers = attributes(codes[some], lengths[some].astype(np.int32), image)
            described.append(layer_features(layers)[present[some]])
        kinds = np.eye(1 + len(TYPE_IDS), dtype=np.float32)[codes[:, :, 0][present]]
        back = codes[:, :, -len(EDGES) :]
        network, reader, place = np.nonzero(back)
        read = reader - back[network, reader, place]
        known = read >= 0  # the image is no layer
        edges = np.stack([read[known], reader[known]], axis=1)
        nodes = torch.from_numpy(np.concatenate([kinds, np.concatenate(described)], axis=1))
        return cls(nodes, lengths, edges, np.bincount(network[known], minlength=len(codes)))

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def features(self) -> int:
        """Number of features of a node."""
        return int(self.nodes.shape[1])

    def batch(self, chosen: NDArray[np.intp]) -> Batch:
        """Return the networks at some places."""
        counts, edge_counts = self.lengths[chosen], self.edge_counts[chosen]
        rows = places(self.lengths, chosen)
        first = np.cumsum(counts) - counts
        edges = self.edges[places(self.edge_counts, chosen)] + np.repeat(first, edge_counts)[:, None]
        source, target = torch.from_numpy(edges.T.copy())
        network = torch.from_numpy(np.repeat(np.arange(len(chosen)), counts))
        lengths = torch.from_numpy(counts.astype(np.float32)).unsqueeze(1)
        return Batch(self.nodes[torch.from_numpy(rows)], source, target, network, lengths)


def parts_of(networks: int) -> list[NDArray[np.intp]]:
    """Return the places of networks in parts that fit into the memory."""
    return np.split(np.arange(networks), range(PART, networks, PART))


def places(counts: NDArray[Any], chosen: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the places of what belongs to some networks in a list of what belongs to all.

    Args:
        counts: how much belongs to each network [networks].
        chosen: places of networks.
    """
    some = counts[chosen]
    first = (np.cumsum(counts) - counts)[chosen]
    return np.asarray(np.repeat(first - (np.cumsum(some) - some), some) + np.arange(some.sum()))
