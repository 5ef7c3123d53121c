"""An endless population of distinct networks, in an order that a seed fixes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ..network.graph import NetworkError, costs, resolve
from ..network.hashing import canonical_hash
from ..network.schema import Layer
from ..network.shapes import Shape
from .blocks import sample_block
from .families import sample_family
from .skeleton import assemble

POPULATION_SEED = 2017
SearchSpace = Literal["paper", "families"]


@dataclass(frozen=True)
class SampledNetwork:
    """One network of a population.

    Attributes:
        network_id: its canonical hash.
        layers: the whole network.
        block: what the paper's skeleton repeats; none in networks of families.
    """

    network_id: str
    layers: list[Layer]
    block: list[Layer] = field(default_factory=list)


def population(
    image: Shape,
    width: int,
    *,
    max_flops: int | None = None,
    seed: int = POPULATION_SEED,
    space: SearchSpace = "paper",
) -> Iterator[SampledNetwork]:
    """Yield distinct networks, always in the same order.

    Args:
        image: shape of the images.
        width: output channels of the stem and of the first stage, in the paper's space.
        max_flops: networks above this forward cost are left out.
        seed: fixes the networks and their order.
        space: the paper's blocks in its skeleton, or families of networks that people use.
    """
    seen: set[str] = set()
    index = 0
    while True:
        rng = np.random.default_rng([seed, index])
        index += 1
        block = sample_block(rng) if space == "paper" else []
        layers = assemble(block, image, width) if space == "paper" else sample_family(rng)
        try:
            nodes = resolve(layers, image)
        except NetworkError:  # too small an image for so many stages
            continue
        if max_flops is not None and costs(nodes).flops > max_flops:
            continue
        network_id = canonical_hash(layers, image)
        if network_id not in seen:
            seen.add(network_id)
            yield SampledNetwork(network_id, layers, block)
