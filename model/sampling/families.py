"""Networks like those that people use: VGG, ResNet, ResNeXt, MobileNet, EfficientNet, DenseNet and ConvNeXt in small.

Each family is a function that draws the choices its papers made by hand: depth and width of the stages, kernel,
activation, where to halve the resolution, squeeze-and-excite.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..network.schema import LAYERS, Layer

Rng = np.random.Generator
ACTIVATIONS = ("relu", "relu", "relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "hard_swish", "tanh")
MAX_STAGES = 3
MIN_WIDTH, MAX_WIDTH = 4, 48
GROWTH = (1.0, 1.4, 2.0)  # of the width from stage to stage


@dataclass
class Network:
    """Layers as they are written down, one after another; a step returns the name of what it made."""

    layers: list[dict[str, Any]] = field(default_factory=list)
    last: str = "input"

    def add(self, kind: str, read: str | Sequence[str] | None = None, **fields: Any) -> str:
        """Add a layer that reads the last one, or those named."""
        inputs = [self.last] if read is None else [read] if isinstance(read, str) else list(read)
        self.last = f"{kind}_{len(self.layers)}"
        self.layers.append({"type": kind, "name": self.last, "inputs": inputs, **fields})
        return self.last

    def conv(self, channels: int, kernel: int, read: str | None = None, *, stride: int = 1, groups: Any = 1) -> str:
        """Add a convolution."""
        given = {name: value for name, value in (("stride", stride), ("groups", groups)) if value != 1}
        return self.add("conv", read, kernel_size=kernel, out_channels=channels, **given)

    def tidy(self) -> list[Layer]:
        """Return the layers with names and inputs where something but the next layer reads them."""
        named = {
            name
            for index, layer in enumerate(self.layers)
            for name in layer["inputs"]
            if len(layer["inputs"]) > 1 or name != (self.layers[index - 1]["name"] if index else "input")
        }
        tidied = []
        for index, layer in enumerate(self.layers):
            before = self.layers[index - 1]["name"] if index else "input"
            kept = {name: value for name, value in layer.items() if name not in {"name", "inputs"}}
            if layer["inputs"] != [before]:
                kept["inputs"] = layer["inputs"]
            if layer["name"] in named:
                kept["name"] = layer["name"]
            tidied.append(kept)
        return LAYERS.validate_python(tidied, strict=False)


@dataclass(frozen=True)
class Plan:
    """What the families have in common.

    Attributes:
        widths: channels of each stage.
        depths: blocks of each stage.
        kernel: of the convolutions that look around.
        activation: behind most convolutions.
        norm: `batch_norm`, rarely `group_norm` or none.
        excite: reduction of squeeze-and-excite; 0 is none.
        pools: whether pooling halves the resolution between stages; else a stride does.
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    kernel: int
    activation: str
    norm: str | None
    excite: int
    pools: bool

    def normalise(self, network: Network, channels: int) -> None:
        """Add the normalisation, if there is one."""
        if self.norm == "group_norm":
            groups = max(count for count in (1, 2, 4, 8) if channels % count == 0)
            network.add("group_norm", num_groups=groups)
        elif self.norm is not None:
            network.add(self.norm)


def draw_plan(rng: Rng, deepest: int) -> Plan:
    """Draw a plan of at most `deepest` blocks a stage."""
    stages = int(rng.integers(2, MAX_STAGES + 1))
    width = float(np.exp(rng.uniform(np.log(MIN_WIDTH), np.log(MAX_WIDTH))))
    growth = float(rng.choice(GROWTH))
    return Plan(
        widths=tuple(max(4, 4 * round(width * growth**stage / 4)) for stage in range(stages)),
        depths=tuple(int(rng.integers(1, deepest + 1)) for _ in range(stages)),
        kernel=int(rng.choice((3, 3, 3, 5, 7))),
        activation=str(rng.choice(ACTIVATIONS)),
        norm=(None, "group_norm", *["batch_norm"] * 8)[int(rng.integers(10))],
        excite=int(rng.choice((0, 0, 4, 8))),
        pools=bool(rng.random() < 0.3),
    )


def excite(network: Network, channels: int, reduction: int, activation: str) -> None:
    """Weigh channels by what all positions say (squeeze-and-excite, arXiv 1709.01507); nothing for reduction 0."""
    if not reduction:
        return
    before = network.last
    network.add("global_avg_pool")
    network.conv(max(1, channels // reduction), 1)
    network.add(activation)
    network.conv(channels, 1)
    network.add("mul", [before, network.add("sigmoid")])


def _stem(network: Network, plan: Plan, rng: Rng) -> None:
    network.conv(plan.widths[0], 3, stride=int(rng.choice((1, 1, 2))))
    plan.normalise(network, plan.widths[0])
    network.add(plan.activation)


def _stages(network: Network, plan: Plan, block: Callable[[int, int, int], None], channels: int) -> int:
    """Add the blocks of all stages; each is given its input and output channels and its stride."""
    for stage, (width, depth) in enumerate(zip(plan.widths, plan.depths, strict=True)):
        if stage and plan.pools:
            network.add("max_pool", kernel_size=2)
        for place in range(depth):
            block(channels, width, 2 if stage and not plan.pools and place == 0 else 1)
            channels = width
    return channels


def _shortcut(network: Network, plan: Plan, read: str, channels: int, width: int, stride: int) -> str:
    """Return what a block's output is added to: its input, or a 1x1 convolution of it where the shape changes."""
    branch = network.last
    if channels == width and stride == 1:
        return read
    network.conv(width, 1, read, stride=stride)
    plan.normalise(network, width)
    shortcut, network.last = network.last, branch
    return shortcut


def vgg(rng: Rng) -> Network:
    """Draw a chain of convolutions and pools (arXiv 1409.1556), sometimes with dropout and a hidden linear layer."""
    network, plan = Network(), draw_plan(rng, 2)
    for stage, (width, depth) in enumerate(zip(plan.widths, plan.depths, strict=True)):
        if stage:
            network.add("max_pool" if rng.random() < 0.8 else "avg_pool", kernel_size=2)
        for _ in range(depth):
            network.conv(width, plan.kernel)
            plan.normalise(network, width)
            network.add(plan.activation)
        excite(network, width, plan.excite, plan.activation)
    if rng.random() < 0.3:
        network.add("dropout", p=float(rng.choice((0.1, 0.3, 0.5))))
    if rng.random() < 0.3:
        network.add("global_avg_pool")
        network.add("linear", out_features=int(rng.choice((32, 64, 128))))
        network.add(plan.activation)
    return network


def resnet(rng: Rng) -> Network:
    """Draw a residual network of basic or bottleneck blocks, some with groups (arXiv 1512.03385, 1611.05431)."""
    network, plan = Network(), draw_plan(rng, 2)
    bottleneck = int(rng.choice((0, 0, 2, 4)))
    groups = int(rng.choice((1, 1, 2, 4))) if bottleneck else 1

    def block(channels: int, width: int, stride: int) -> None:
        read = network.last
        inner = max(groups, width // bottleneck // groups * groups) if bottleneck else width
        if bottleneck:
            network.conv(inner, 1)
            plan.normalise(network, inner)
            network.add(plan.activation)
        network.conv(inner, plan.kernel, stride=stride, groups=groups)
        plan.normalise(network, inner)
        network.add(plan.activation)
        network.conv(width, 1 if bottleneck else plan.kernel)
        plan.normalise(network, width)
        excite(network, width, plan.excite, plan.activation)
        network.add("add", [network.last, _shortcut(network, plan, read, channels, width, stride)])
        network.add(plan.activation)

    _stem(network, plan, rng)
    _stages(network, plan, block, plan.widths[0])
    return network


def mobile(rng: Rng) -> Network:
    """Draw inverted residual blocks with depthwise convolutions (arXiv 1801.04381, 1905.11946)."""
    network, plan = Network(), draw_plan(rng, 2)
    expand = int(rng.choice((1, 2, 3, 4, 6)))

    def block(channels: int, width: int, stride: int) -> None:
        read, inner = network.last, channels * expand
        if expand > 1:
            network.conv(inner, 1)
            plan.normalise(network, inner)
            network.add(plan.activation)
        network.conv(inner, plan.kernel, stride=stride, groups="depthwise")
        plan.normalise(network, inner)
        network.add(plan.activation)
        excite(network, inner, plan.excite, plan.activation)
        network.conv(width, 1)
        plan.normalise(network, width)
        if channels == width and stride == 1:
            network.add("add", [network.last, read])

    _stem(network, plan, rng)
    channels = _stages(network, plan, block, plan.widths[0])
    if rng.random() < 0.5:
        head = 2 * channels
        network.conv(head, 1)
        plan.normalise(network, head)
        network.add(plan.activation)
    return network


def separable(rng: Rng) -> Network:
    """Draw a chain of depthwise-separable convolutions (arXiv 1704.04861), some with shuffled groups (1707.01083)."""
    network, plan = Network(), draw_plan(rng, 3)
    groups = int(rng.choice((1, 1, 2)))

    def block(_: int, width: int, stride: int) -> None:
        network.conv(network_channels[0], plan.kernel, stride=stride, groups="depthwise")
        plan.normalise(network, network_channels[0])
        if rng.random() < 0.7:
            network.add(plan.activation)
        network.conv(width, 1, groups=groups)
        plan.normalise(network, width)
        network.add(plan.activation)
        if groups > 1:
            network.add("channel_shuffle", groups=groups)
        network_channels[0] = width

    network_channels = [plan.widths[0]]
    _stem(network, plan, rng)
    _stages(network, plan, block, plan.widths[0])
    return network


def dense(rng: Rng) -> Network:
    """Draw blocks in which each layer reads all before it (arXiv 1608.06993)."""
    network, plan = Network(), draw_plan(rng, 3)
    growth = 4 * int(rng.integers(1, 5))
    _stem(network, plan, rng)
    channels = plan.widths[0]
    for stage, depth in enumerate(plan.depths):
        if stage:
            channels = max(4, channels // 2)
            plan.normalise(network, 2 * channels)
            network.add(plan.activation)
            network.conv(channels, 1)
            network.add("avg_pool", kernel_size=2)
        for _ in range(depth):
            read = network.last
            plan.normalise(network, channels)
            network.add(plan.activation)
            network.conv(growth, plan.kernel)
            network.add("concat", [read, network.last])
            channels += growth
    plan.normalise(network, channels)
    network.add(plan.activation)
    return network


def convnext(rng: Rng) -> Network:
    """Draw blocks of a large depthwise kernel, layer norm and an inverted bottleneck (arXiv 2201.03545)."""
    network, plan = Network(), draw_plan(rng, 2)
    kernel, expand, patch = int(rng.choice((3, 5, 7))), int(rng.choice((2, 3, 4))), int(rng.choice((1, 2, 2)))
    has_scale = bool(rng.random() < 0.5)
    network.conv(plan.widths[0], max(2, patch) if patch > 1 else 3, stride=patch)
    network.add("layer_norm")
    channels = plan.widths[0]
    for stage, (width, depth) in enumerate(zip(plan.widths, plan.depths, strict=True)):
        if stage:
            network.add("layer_norm")
            network.conv(width, 2, stride=2)
            channels = width
        for _ in range(depth):
            read = network.last
            network.conv(channels, kernel, groups="depthwise")
            network.add("layer_norm")
            network.conv(channels * expand, 1)
            network.add("gelu" if plan.activation == "relu" else plan.activation)
            network.conv(channels, 1)
            if has_scale:
                network.add("scale")
            network.add("add", [read, network.last])
    return network


FAMILIES: dict[str, Callable[[Rng], Network]] = {
    "vgg": vgg,
    "resnet": resnet,
    "mobile": mobile,
    "separable": separable,
    "dense": dense,
    "convnext": convnext,
}


def sample_family(rng: Rng) -> list[Layer]:
    """Draw a network of a family, all equally likely."""
    name = str(rng.choice(list(FAMILIES)))
    return FAMILIES[name](rng).tidy()
