"""How long the scores of a network take: what would block the others is rejected before."""

from collections.abc import Sequence

from model.network.graph import costs, resolve
from model.network.schema import Layer
from model.network.shapes import Shape

# Measured on one core: a few passes forward and back with 64 images, and copies of all weights.
SECONDS_OF_A_LAYER = 0.004
SECONDS_OF_A_FLOP = 1 / 20e6
SECONDS_OF_A_PARAMETER = 7e-7
SECONDS_OF_AN_ACTIVATION = 1e-5


def expected_seconds(layers: Sequence[Layer], image: Shape) -> float:
    """Return the seconds that a core needs to measure a network's scores, within a factor of about two.

    It bounds the memory too: a second stands for 1.5 million parameters or 100,000 activations of an image.
    """
    nodes = resolve(layers, image)
    whole = costs(nodes)
    activations = sum(node.after.size for node in nodes)
    return (
        SECONDS_OF_A_LAYER * len(nodes)
        + SECONDS_OF_A_FLOP * whole.flops
        + SECONDS_OF_A_PARAMETER * whole.params
        + SECONDS_OF_AN_ACTIVATION * activations
    )
