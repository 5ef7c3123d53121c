"""A selected network at another width and resolution."""

from collections.abc import Sequence
from dataclasses import dataclass

from model.network.hashing import canonical_hash
from model.network.schema import Architecture, Layer
from model.network.shapes import Shape
from model.sampling.skeleton import assemble
from training.protocols import PROTOCOLS, TrainingProtocol


@dataclass(frozen=True)
class Widened:
    """A network on images of a given shape."""

    layers: list[Layer]
    image: Shape

    @property
    def architecture(self) -> Architecture:
        """The layer list in the one JSON form, named by its hash."""
        channels = self.image.channels
        return Architecture(id=canonical_hash(self.layers, self.image), in_channels=channels, layers=self.layers)


def full_image(protocol: TrainingProtocol) -> Shape:
    """Return the shape of the data set's images before a protocol shrinks them."""
    return max((one.image for one in PROTOCOLS.values() if one.dataset == protocol.dataset), key=lambda one: one.height)


def widen(block: Sequence[Layer], protocol: TrainingProtocol, *, width: int, full_resolution: bool = False) -> Widened:
    """Assemble a block into the protocol's skeleton at another width.

    Args:
        block: of the selected network; its channel ratios stay what they are.
        protocol: whose images.
        width: output channels of the stem and the first stage.
        full_resolution: whether to take the data set's images as they are instead of the protocol's shrunken ones.
    """
    image = full_image(protocol) if full_resolution else protocol.image
    return Widened(assemble(block, image, width), image)
