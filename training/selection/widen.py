"""A selected network at another width and resolution, as a layer list and as a PyTorch module of its own."""

import inspect
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model.network.hashing import canonical_hash
from model.network.schema import Architecture, Layer
from model.network.shapes import Shape
from model.sampling.skeleton import assemble
from training.measuring.cnn import AvgPoolSame, Call, calls, initialise
from training.protocols import PROTOCOLS, TrainingProtocol

_SOURCE = '''"""{title}

Maps images [batch, {channels}, {height}, {width}] to logits [batch, {classes}]. Needs nothing but torch.
"""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F


{functions}

class Network(nn.Sequential):
    """The network with its head."""

    def __init__(self) -> None:
        super().__init__(
            OrderedDict(
                [
{modules}
                ]
            )
        )
        initialise(self)


if __name__ == "__main__":
    network = Network()
    print(sum(weights.numel() for weights in network.parameters()), "parameters")
    print("logits", tuple(network(torch.zeros(2, {channels}, {height}, {width})).shape))
'''


@dataclass(frozen=True)
class Widened:
    """A network on images of a given shape."""

    layers: list[Layer]
    image: Shape
    classes: int

    @property
    def architecture(self) -> Architecture:
        """The layer list in the one JSON form, named by its hash."""
        channels = self.image.channels
        return Architecture(id=canonical_hash(self.layers, channels), in_channels=channels, layers=self.layers)


def full_image(protocol: TrainingProtocol) -> Shape:
    """Return the shape of the data set's images before a protocol shrinks them."""
    return max((one.image for one in PROTOCOLS.values() if one.dataset == protocol.dataset), key=lambda one: one.height)


def widen(block: Sequence[Layer], protocol: TrainingProtocol, *, width: int, full_resolution: bool = False) -> Widened:
    """Assemble a block into the protocol's skeleton at another width.

    Args:
        block: of the selected network; its channel ratios stay what they are.
        protocol: whose images and classes.
        width: output channels of the stem and the first stage.
        full_resolution: whether to take the data set's images as they are instead of the protocol's shrunken ones.
    """
    image = full_image(protocol) if full_resolution else protocol.image
    return Widened(assemble(block, image, width), image, protocol.classes)


def to_source(network: Widened, title: str) -> str:
    """Return a Python file whose `Network` has the parameters and the output of `training.measuring.cnn.build`'s.

    Args:
        network: layers and image.
        title: the first line of the file's docstring.
    """
    made = calls(network.layers, network.image, network.classes)
    return _SOURCE.format(
        title=title,
        channels=network.image.channels,
        height=network.image.height,
        width=network.image.width,
        classes=network.classes,
        functions="\n\n".join([inspect.getsource(AvgPoolSame), inspect.getsource(initialise)]),
        modules="\n".join(f"{' ' * 20}({json.dumps(name)}, {_written(call)})," for name, call in made.items()),
    )


def _written(call: Call) -> str:
    """Return a constructor call as Python."""
    module, arguments = call
    name = module.__name__ if module is AvgPoolSame else f"nn.{module.__name__}"
    return f"{name}({', '.join(map(_argument, arguments))})"


def _argument(value: Any) -> str:
    return "-torch.inf" if value == -math.inf else repr(value)
