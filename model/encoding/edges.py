"""The edges of networks, as a graph encoder reads them: what differs from chains.

An encoder treats the rows of a network as a chain, which most of them are, and adds corrections: an edge that a chain
lacks, or minus one that only a chain has. A chain needs none.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .layer_code import EDGES


def corrections(codes: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return what to add to a chain to get the graph.

    A row passes its state on to the rows that read it, and back to those that it reads. What arrives is averaged, so
    that an edge has a share for either direction; a chain's is 1.

    Args:
        codes: extended, int32 [batch, rows, columns], zero-padded.

    Returns:
        Edges [edges, (network, row that is read, row that reads)], and their shares [edges, (forward, backward)]. There
        is always one, if of shares 0: ONNX Runtime is fastest without empty tensors.
    """
    back = codes[:, :, -len(EDGES) :]
    batch, rows = back.shape[:2]
    if not (back > (1, 0)).any():
        return np.zeros((1, 3), dtype=np.int64), np.zeros((1, 2), dtype=np.float32)
    network, reader, place = np.nonzero(back)
    read = reader - back[network, reader, place]
    known = read >= 0  # the image is no row
    network, reader, read = network[known], reader[known], read[known]
    inputs = np.bincount(network * rows + reader, minlength=batch * rows)
    outputs = np.bincount(network * rows + read, minlength=batch * rows)
    shares = np.stack([1 / inputs[network * rows + reader], 1 / outputs[network * rows + read]], axis=1)
    later, next_row = np.nonzero(back[:, 1:, 0])  # a chain would have an edge to each row but the first
    chain = np.stack([later, next_row, next_row + 1], axis=1)
    edges = np.concatenate([np.stack([network, read, reader], axis=1), chain])
    shares = np.concatenate([shares, np.full((len(chain), 2), -1.0)])
    return _merged(edges, shares, rows)


def _merged(
    edges: NDArray[np.int64], shares: NDArray[np.floating[Any]], rows: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Add up the shares of equal edges, and leave out those that come to nothing."""
    keys, inverse = np.unique((edges[:, 0] * rows + edges[:, 1]) * rows + edges[:, 2], return_inverse=True)
    totals = np.stack([np.bincount(inverse, weights=column) for column in shares.T], axis=1)
    kept = np.abs(totals).max(axis=1) > 0
    kept[0] |= not kept.any()
    keys = keys[kept]
    return np.stack([keys // rows**2, keys // rows % rows, keys % rows], axis=1), totals[kept].astype(np.float32)
