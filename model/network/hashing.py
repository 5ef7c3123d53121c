"""The identity of a network: a hash of its canonical form, the same for every way to write the network."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from .graph import THE_IMAGE, Node, normalised_convs, resolve
from .layer_types import groups_of, padding_of
from .schema import COMMON, AvgPool, Conv, Layer, MaxPool, dropout_of, pair, stride_of
from .shapes import Shape

IMAGE_HASH = "input"
_COMMUTATIVE = {"add", "mul"}


def canonical_layers(layers: Sequence[Layer], image: Shape) -> list[dict[str, Any]]:
    """Return the layers with all choices resolved: strides filled in, channels instead of ratios, sizes as pairs.

    Names and inputs are left out. Stored hashes depend on this form: a field that a layer type gains later is left out
    where it has its default.

    Args:
        layers: of the network.
        image: its input; channels count, height and width only so far as the layers need some.

    Raises:
        NetworkError: as `resolve`.
    """
    nodes = resolve(layers, image)
    normalised = normalised_convs(nodes)
    return [_canonical(node, has_bias=index not in normalised) for index, node in enumerate(nodes)]


def _canonical(node: Node, *, has_bias: bool) -> dict[str, Any]:
    """Return the type and fields of a layer; `has_bias` is what a convolution without `bias` means there."""
    layer = node.layer
    fields: dict[str, Any] = {"type": layer["type"]}
    if layer["type"] == "conv":
        groups, dilation = groups_of(layer, node.before[0].channels), pair(layer.get("dilation", 1))
        fields |= _window(layer, dilation) | {"out_channels": node.after.channels}
        fields |= {"groups": groups} if groups > 1 else {}
        fields |= {"dilation": dilation} if dilation != (1, 1) else {}
        fields |= {"bias": not has_bias} if layer.get("bias", has_bias) != has_bias else {}
    elif layer["type"] == "max_pool" or layer["type"] == "avg_pool":
        fields |= _window(layer, (1, 1))
        fields |= {"ceil_mode": True} if "padding" in fields and layer.get("ceil_mode") else {}
        fields |= {"count_include_pad": True} if layer.get("count_include_pad") else {}
    elif layer["type"] == "dropout":
        fields["p"] = dropout_of(layer)
    elif layer["type"] == "linear":
        fields |= {"out_features": layer["out_features"]} | ({} if layer.get("bias", True) else {"bias": False})
    elif layer["type"] == "adaptive_avg_pool":
        fields["output_size"] = pair(layer["output_size"])
    elif layer["type"] == "prelu":
        fields |= {"per_channel": True} if layer.get("per_channel") else {}
    else:
        fields |= {name: value for name, value in layer.items() if name not in COMMON}
    return fields


def _window(layer: Conv | MaxPool | AvgPool, dilation: tuple[int, int]) -> dict[str, Any]:
    """Return kernel and stride, and explicit padding, unless it is what "same" means for images of any size."""
    kernel, stride, padding = pair(layer["kernel_size"]), stride_of(layer), padding_of(layer)
    same = all(
        margin is None or (step == 1 and 2 * margin == spread * (size - 1))
        for margin, size, step, spread in zip(padding, kernel, stride, dilation, strict=True)
    )
    return {"kernel_size": kernel, "stride": stride} | ({} if same else {"padding": padding})


def canonical_hash(layers: Sequence[Layer], image: Shape) -> str:
    """Return 16 hexadecimal digits that are equal for equal networks, whatever their layers' names and order.

    Of a chain it is the hash of the canonical layers. Of a graph each layer is hashed with what it reads, then with
    what reads it; the network's hash is that of all layers, sorted.

    Raises:
        NetworkError: as `resolve`.
    """
    nodes = resolve(layers, image)
    written = canonical_layers(layers, image)
    if all(node.sources == (index - 1,) for index, node in enumerate(nodes)):
        return _hash(written)
    behind: dict[int, str] = {THE_IMAGE: IMAGE_HASH}
    for index, (node, fields) in enumerate(zip(nodes, written, strict=True)):
        read = [behind[source] for source in node.sources]
        behind[index] = _hash([fields, sorted(read) if fields["type"] in _COMMUTATIVE else read])
    readers: dict[int, list[tuple[str, int]]] = {index: [] for index in behind}
    before: dict[int, str] = {}
    for index in reversed(range(len(nodes))):
        before[index] = _hash([written[index], sorted(readers[index])])
        for place, source in enumerate(nodes[index].sources):
            is_ordered = written[index]["type"] not in _COMMUTATIVE
            readers[source].append((before[index], place if is_ordered else 0))
    return _hash(sorted([behind[index], before[index]] for index in range(len(nodes))))


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
