"""An endless population of distinct networks, in an order that a seed fixes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..network.graph import costs, resolve
from ..network.hashing import canonical_hash
from ..network.schema import Layer
from ..network.shapes import Shape
from .blocks import sample_block
from .skeleton import assemble

POPULATION_SEED = 2017


@dataclass(frozen=True)
class SampledNetwork:
    """One network of a population: its id, the sampled block and the whole network."""

    network_id: str
    block: list[Layer]
    layers: list[Layer]


def population(
    image: Shape, width: int, *, max_flops: int | None = None, seed: int = POPULATION_SEED
) -> Iterator[SampledNetwork]:
    """Yield distinct networks, always in the same order.

    Args:
        image: shape of the images.
        width: output channels of the stem and of the first stage.
        max_flops: networks above this forward cost are left out.
        seed: fixes the networks and their order.
    """
    seen: set[str] = set()
    index = 0
    while True:
        block = sample_block(np.random.default_rng([seed, index]))
        index += 1
        layers = assemble(block, image, width)
        if max_flops is not None and costs(resolve(layers, image)).flops > max_flops:
            continue
        network_id = canonical_hash(layers, image)
        if network_id not in seen:
            seen.add(network_id)
            yield SampledNetwork(network_id, block, layers)
