"""Writes the layers of a network in order; names are given only where a layer is read out of order."""

from typing import Any, cast

from ..schema import Layer

IMAGE_INDEX = -1


class NotationError(ValueError):
    """A notation that describes no network of its space; the message says where."""


class Builder:
    """Collects layers. A layer is known by its index, the image by -1."""

    def __init__(self) -> None:
        self._layers: list[dict[str, Any]] = []
        self._reads: list[tuple[int, ...]] = []
        self._named: set[int] = set()

    def add(self, kind: str, *reads: int, **fields: Any) -> int:
        """Append a layer that reads others, or the last one when none is given; return its index."""
        index = len(self._layers)
        if not reads:
            reads = (index - 1,)
        elif len(reads) > 1 or reads[0] != index - 1:
            self._named.update(reads)
        self._layers.append({"type": kind, **fields})
        self._reads.append(reads)
        return index

    def conv(self, read: int, kernel: int, channels: int, stride: int = 1, **fields: Any) -> int:
        """Append a convolution, padded on both sides as PyTorch code does: an odd kernel keeps the resolution."""
        if stride > 1:
            fields |= {"stride": stride, "padding": fields.get("dilation", 1) * (kernel - 1) // 2}
        return self.add("conv", read, kernel_size=kernel, out_channels=channels, **fields)

    def conv_bn(self, read: int, kernel: int, channels: int, stride: int = 1, **fields: Any) -> int:
        """Append a convolution without bias and its normalisation."""
        return self.add("batch_norm", self.conv(read, kernel, channels, stride, **fields))

    def relu_conv_bn(self, read: int, kernel: int, channels: int, stride: int = 1) -> int:
        """Append an activation, a convolution and its normalisation."""
        return self.conv_bn(self.add("relu", read), kernel, channels, stride)

    def conv_bn_relu(self, read: int, kernel: int, channels: int) -> int:
        """Append a convolution, its normalisation and an activation."""
        return self.add("relu", self.conv_bn(read, kernel, channels))

    def factorized_reduce(self, read: int, channels: int, stride: int) -> int:
        """Append what DARTS calls FactorizedReduce: two 1x1 convolutions side by side, each of half the channels.

        There the second one reads the map moved by one position; here both read the same positions, since a layer that
        moves a map is not in the form. Shapes, parameters and FLOPs are the same.
        """
        relu = self.add("relu", read)
        halves = [self.conv(relu, 1, half, stride, bias=False) for half in (channels // 2, channels - channels // 2)]
        return self.add("batch_norm", self.add("concat", *halves))

    def sum(self, reads: list[int]) -> int:
        """Append the sum of one layer or more."""
        return self.add("add", *reads) if len(reads) > 1 else reads[0]

    def repeat(self, start: int, times: int) -> int:
        """Copy the layers from `start` on until there are `times` such blocks; return the last layer.

        A block reads the layer before it, and its last layer is its output.
        """
        length = len(self._layers) - start
        block, reads = self._layers[start:], self._reads[start:]
        named = [index for index in self._named if index >= start - 1]
        for copy in range(1, times):
            shift = copy * length
            self._layers += [dict(layer) for layer in block]
            self._reads += [tuple([read + shift for read in one]) for one in reads]
            self._named.update([index + shift for index in named])
        return len(self._layers) - 1

    def layers(self) -> list[Layer]:
        """Return the layers, in the one form."""
        for index in self._named - {IMAGE_INDEX}:
            self._layers[index]["name"] = f"l{index}"
        for index, reads in enumerate(self._reads):
            if len(reads) > 1 or reads[0] != index - 1:
                self._layers[index]["inputs"] = tuple(["input" if read < 0 else f"l{read}" for read in reads])
        return cast("list[Layer]", self._layers)
