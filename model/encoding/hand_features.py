"""All hand features by name: those of layers as a list, and those of graphs."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..network.shapes import Shape
from .features import FEATURES, Attributes, attributes, network_features
from .graph_features import GRAPH_FEATURES, graph_features, is_graph
from .layer_code import pad

Floats = NDArray[np.floating[Any]]

ALL_FEATURES = (*FEATURES, *GRAPH_FEATURES)
SIZE = FEATURES[:3]
WIRING = (*SIZE, *GRAPH_FEATURES)
BATCH = 128  # networks of similar length


def feature_sets(codes: NDArray[np.int32]) -> list[tuple[str, ...]]:
    """Return the sets of features that may describe such networks best; of chains the features of lists.

    Args:
        codes: extended, int32 [batch, rows, columns].
    """
    return [ALL_FEATURES, WIRING] if is_graph(codes).any() else [FEATURES]


def hand_features(
    names: Sequence[str],
    codes: NDArray[np.int32],
    lengths: NDArray[np.int32],
    image: Shape,
    layers: Attributes | None = None,
) -> Floats:
    """Return the named features of each network [batch, names].

    Args:
        names: of `ALL_FEATURES`. Features of graphs cost a pass along the rows when one of them is named.
        codes: extended, int32 [batch, rows, columns], zero-padded.
        lengths: rows of each network [batch].
        image: shape of the task's images.
        layers: the attributes of the codes, where they are known.

    Raises:
        ValueError: when there is no feature of a name.
    """
    columns = places(tuple(names))
    found = network_features(layers or attributes(codes, lengths, image))
    if tuple(names) == FEATURES:
        return found
    if columns.max() >= len(FEATURES):
        found = np.concatenate([found, graph_features(codes, lengths, image)], axis=1)
    return np.asarray(found[:, columns])


def every_feature(codes: Sequence[NDArray[np.int32]], image: Shape) -> Floats:
    """Return `ALL_FEATURES` of networks [networks, features], computed for those of similar length at once.

    Args:
        codes: extended, of each network int32 [rows, columns].
        image: shape of the task's images.
    """
    found = np.empty((len(codes), len(ALL_FEATURES)))
    by_length = sorted(range(len(codes)), key=lambda index: len(codes[index]))
    for start in range(0, len(codes), BATCH):
        chosen = by_length[start : start + BATCH]
        found[chosen] = hand_features(ALL_FEATURES, *pad([codes[index] for index in chosen]), image)
    return found


@lru_cache(maxsize=64)
def places(names: tuple[str, ...]) -> NDArray[np.intp]:
    """Return the places of the named features in `ALL_FEATURES`.

    Raises:
        ValueError: when there is no feature of a name.
    """
    known = {name: place for place, name in enumerate(ALL_FEATURES)}
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValueError(f"there is no feature {unknown[0]!r}")
    return np.array([known[name] for name in names], dtype=np.intp)
