"""A network of two parents."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import ValidationError

from ..model.network.graph import NetworkError, resolve
from ..model.network.hashing import canonical_hash
from ..model.network.schema import Layer
from ..model.sampling.blocks import is_block
from .mutation import MOST_TRIES
from .space import Layers, Rng, Space, assemble_or_none, is_within, read
from .wiring import cuts, renamed, tidy, wired


def crossover(
    first: Layers | Mapping[str, Any], second: Layers | Mapping[str, Any], space: Space, *, seed: int | Rng = 0
) -> list[Layer]:
    """Return a network that begins like the first and ends like the second, within the space.

    Networks are cut where one layer is all that the rest reads, at maps of the same size. In the paper's space blocks
    are cut.

    Args:
        first: layers or an architecture.
        second: the same.
        space: of the result.
        seed: fixes the cuts; or a generator.

    Raises:
        RequestError: when layers make no network.
        ValueError: when no cuts give another network than the parents within the space.
    """
    rng = np.random.default_rng(seed)
    parents = [read(one, space.input) for one in (first, second)]
    identities = {canonical_hash(one, space.image) for one in parents}
    blocks = [space.block_of(one) for one in parents] if space.kind == "paper" else []
    for _ in range(MOST_TRIES):
        if blocks:
            found = _join_blocks(blocks[0] or [], blocks[1] or [], space, rng)
        else:
            found = _join(parents[0], parents[1], space, rng)
        if found is not None and is_within(found, space) and canonical_hash(found, space.image) not in identities:
            return found
    raise ValueError("no cuts give another network within the space")


def _join_blocks(first: Sequence[Layer], second: Sequence[Layer], space: Space, rng: Rng) -> list[Layer] | None:
    block = [*first[: int(rng.integers(len(first) + 1))], *second[int(rng.integers(len(second) + 1)) :]]
    return assemble_or_none(space, block) if block and is_block(block) else None


def _join(first: Sequence[Layer], second: Sequence[Layer], space: Space, rng: Rng) -> list[Layer] | None:
    shapes = [[node.after for node in resolve(one, space.image)] for one in (first, second)]
    ends = cuts(first)
    end = ends[int(rng.integers(len(ends)))] if ends else None
    size = None if end is None else (shapes[0][end].height, shapes[0][end].width)
    starts = [place for place in cuts(second) if (shapes[1][place].height, shapes[1][place].width) == size]
    if end is None or not starts:
        return None
    start = starts[int(rng.integers(len(starts)))]
    head, tail = wired(first[: end + 1], "a"), wired(second, "b")
    names = {tail[start]["name"]: head[-1]["name"]}
    try:
        found = tidy([*head, *renamed(tail[start + 1 :], [one["name"] for one in head], **names)])
        resolve(found, space.image)
    except (ValidationError, NetworkError):
        return None
    return found
