"""A selected network at another width and resolution, as a layer list and as a PyTorch module of its own."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from model.network.hashing import canonical_hash
from model.network.schema import Architecture, Layer
from model.network.shapes import Shape
from model.sampling.skeleton import assemble
from training.measuring.cnn import AvgPoolSame, build
from training.protocols import PROTOCOLS, Protocol

_HEAD = '''"""{title}

Maps images [batch, {channels}, {height}, {width}] to logits [batch, {classes}]. Needs nothing but torch.
"""

from collections import OrderedDict

import torch
from torch import nn
'''
_AVERAGE = '''from torch.nn import functional as F


class AvgPoolSame(nn.Module):
    """Average pooling over maps of one size, padded (left, right, top, bottom); the padding is not averaged in."""

    def __init__(self, height, width, kernel, stride, pads):
        super().__init__()
        self.kernel, self.stride, self.pads = kernel, stride, pads
        inside = F.pad(torch.ones(1, 1, height, width), pads)
        self.register_buffer("divisor", F.avg_pool2d(inside, kernel, stride), persistent=False)

    def forward(self, maps):
        return F.avg_pool2d(F.pad(maps, self.pads), self.kernel, self.stride) / self.divisor
'''
_BODY = '''

class Network(nn.Sequential):
    """The network with its head; weights are initialised after He et al., biases with zeros."""

    def __init__(self):
        super().__init__(
            OrderedDict(
                [
{modules}
                ]
            )
        )
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)


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


def full_image(protocol: Protocol) -> Shape:
    """Return the shape of the data set's images before a protocol shrinks them."""
    return max((one.image for one in PROTOCOLS.values() if one.dataset == protocol.dataset), key=lambda one: one.height)


def widen(block: Sequence[Layer], protocol: Protocol, *, width: int, full_resolution: bool = False) -> Widened:
    """Assemble a block into the protocol's skeleton at another width.

    Args:
        block: of the selected network; its channel ratios stay what they are.
        protocol: whose images and classes.
        width: output channels of the stem and the first stage.
        full_resolution: whether to take the data set's images as they are instead of the protocol's shrunken ones.
    """
    image = full_image(protocol) if full_resolution else protocol.image
    return Widened(assemble(block, image, width), image, protocol.classes)


def _call(module: nn.Module) -> str:
    """Return the constructor call that makes a module again; that is what torch prints of its own layers."""
    if isinstance(module, AvgPoolSame):
        size = f"{module.height}, {module.width}"
        return f"AvgPoolSame({size}, {module.kernel}, {module.stride}, {module.pads})"
    if isinstance(module, nn.BatchNorm2d):  # torch prints arguments here that its older releases do not know
        return f"nn.BatchNorm2d({module.num_features})"
    return "nn." + re.sub(r"-inf\b", 'float("-inf")', repr(module))


def to_source(network: Widened, title: str) -> str:
    """Return a Python file whose `Network` has the parameters and the output of `training.measuring.cnn.build`'s.

    Args:
        network: layers and image.
        title: the first line of the file's docstring.
    """
    module = build(network.layers, network.image, network.classes)
    calls = {name: _call(part) for name, part in module.named_children()}
    head = _HEAD + (_AVERAGE if any("AvgPoolSame" in call for call in calls.values()) else "") + _BODY
    return head.format(
        title=title,
        channels=network.image.channels,
        height=network.image.height,
        width=network.image.width,
        classes=network.classes,
        modules="\n".join(f"{' ' * 20}({json.dumps(name)}, {call})," for name, call in calls.items()),
    )
