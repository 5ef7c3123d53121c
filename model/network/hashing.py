"""The identity of a network: a hash of its canonical form, the same for every way to write the network."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from .schema import Layer, dropout_of, pair, stride_of
from .shapes import Shape, trace


def canonical_layers(layers: Sequence[Layer], in_channels: int) -> list[dict[str, Any]]:
    """Return a network with all choices resolved: strides filled in, channels instead of ratios, sizes as pairs.

    Stored hashes depend on this form. A field that a layer type gains later is left out where it has its default.

    Args:
        layers: of the network.
        in_channels: of its image; channel ratios count from it.
    """
    resolved = []
    for layer, _, after in trace(layers, Shape(in_channels, 1, 1)):
        fields: dict[str, Any] = {"type": layer["type"]}
        if layer["type"] == "conv" or layer["type"] == "max_pool" or layer["type"] == "avg_pool":
            fields |= {"kernel_size": pair(layer["kernel_size"]), "stride": stride_of(layer)}
        if layer["type"] == "conv":
            fields["out_channels"] = after.channels
        if layer["type"] == "linear":
            fields["out_features"] = layer["out_features"]
        if layer["type"] == "dropout":
            fields["p"] = dropout_of(layer)
        resolved.append(fields)
    return resolved


def canonical_hash(layers: Sequence[Layer], in_channels: int) -> str:
    """Return the first 16 hexadecimal digits of the sha256 of a network's canonical form."""
    text = json.dumps(canonical_layers(layers, in_channels), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
