"""How the layers of a network are connected: names resolved, shapes of all maps, costs, and faults with their place."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .layer_types import LAYER_TYPES, shape_of
from .schema import IMAGE, MAX_LAYERS, Layer
from .shapes import Shape, ShapeError

THE_IMAGE = -1  # as a source
MAX_READS = 4 * MAX_LAYERS  # inputs of all layers together


@dataclass(frozen=True, slots=True)
class LayerFault:
    """What is wrong with one field of one layer."""

    layer: int
    field: str
    message: str

    def __str__(self) -> str:
        return f"/layers/{self.layer}/{self.field}: {self.message}"


class NetworkError(ValueError):
    """A network that makes no sense, or that a layer code cannot express."""

    def __init__(self, faults: Sequence[LayerFault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = list(faults)


@dataclass(frozen=True, slots=True)
class Node:
    """A layer in its place.

    Attributes:
        layer: as it was given.
        sources: indices of the layers that it reads; -1 is the image.
        before: shapes of what it reads, in that order.
        after: shape of what it makes.
    """

    layer: Layer
    sources: tuple[int, ...]
    before: tuple[Shape, ...]
    after: Shape


@dataclass(frozen=True, slots=True)
class Costs:
    """What a network costs, its classifier left out.

    Attributes:
        params: learned parameters.
        flops: of one forward pass of one image, 2 for each multiply-add of convolutions and linear layers.
        activation_bytes: the largest sum of inputs and output of one layer, float32, one image.
    """

    params: int
    flops: int
    activation_bytes: int


def sources_of(layers: Sequence[Layer]) -> list[tuple[int, ...]]:
    """Return the indices of the layers that each layer reads; -1 is the image.

    Raises:
        NetworkError: for the first layer that names what it cannot read, or reads too much or too little; else for the
            first but the last that no layer reads.
    """
    known = {IMAGE: THE_IMAGE}
    found: list[tuple[int, ...]] = []
    reads = 0
    for index, layer in enumerate(layers):
        names = layer.get("inputs")
        is_merge = LAYER_TYPES[layer["type"]].is_merge
        if names is None and is_merge:
            raise _error(index, "inputs", f"{layer['type']} merges two or more layers: give their names")
        if names is not None:
            _check_number(index, layer["type"], len(names), is_merge=is_merge)
        reads += 1 if names is None else len(names)
        if reads > MAX_READS:
            raise _error(index, "inputs", f"the network's layers have more than {MAX_READS} inputs in all")
        found.append((index - 1,) if names is None else tuple(_sources(names, index, known, layers)))
        name = layer.get("name")
        if name is not None and name in known:
            taken = "the image's" if name == IMAGE else f"that of layer {known[name]} too"
            raise _error(index, "name", f"is {taken}; names are unique")
        if name is not None:
            known[name] = index
    read = {source for sources in found for source in sources}
    for index in range(len(layers) - 1):
        if index not in read:
            raise _error(index, "type", "reaches no output: no layer reads it, and the last layer is the output")
    return found


def _check_number(index: int, kind: str, count: int, *, is_merge: bool) -> None:
    if is_merge and count == 1:
        raise _error(index, "inputs", f"{kind} merges two or more layers, this is one")
    if not is_merge and count > 1:
        raise _error(index, "inputs", f"{kind} reads one layer, not {count}; add, mul and concat merge")


def _sources(names: Sequence[str], index: int, known: dict[str, int], layers: Sequence[Layer]) -> Iterable[int]:
    for name in names:
        if name in known:
            yield known[name]
            continue
        is_later = any(layer.get("name") == name for layer in layers[index:])
        what = "is the name of this or a later layer; order the layers so that each reads earlier ones"
        raise _error(index, "inputs", what if is_later else "no layer has this name")


def _error(index: int, field: str, message: str) -> NetworkError:
    return NetworkError([LayerFault(index, field, message)])


def resolve(layers: Sequence[Layer], image: Shape) -> list[Node]:
    """Return the layers in their places.

    Args:
        layers: of a network, in topological order.
        image: channels, height and width of the input.

    Raises:
        NetworkError: with the first fault of the network.
    """
    nodes: list[Node] = []
    for index, (layer, sources) in enumerate(zip(layers, sources_of(layers), strict=True)):
        before = tuple(image if source == THE_IMAGE else nodes[source].after for source in sources)
        try:
            nodes.append(Node(layer, sources, before, shape_of(layer, before)))
        except ShapeError as error:
            raise _error(index, error.field, str(error)) from None
    return nodes


def costs(nodes: Sequence[Node]) -> Costs:
    """Return what a network costs."""
    params = flops = largest = 0
    for node in nodes:
        row = LAYER_TYPES[node.layer["type"]]
        params += row.params(node.layer, node.before, node.after)
        flops += row.flops(node.layer, node.before, node.after)
        largest = max(largest, sum(shape.size for shape in node.before) + node.after.size)
    params -= sum(nodes[index].after.channels for index in normalised_convs(nodes) if "bias" not in nodes[index].layer)
    return Costs(params, flops, 4 * largest)


def normalised_convs(nodes: Sequence[Node]) -> set[int]:
    """Return the convolutions that only `batch_norm` reads: they have no bias where they do not say otherwise."""
    by_norm: set[int] = set()
    otherwise: set[int] = set()
    for node in nodes:
        (by_norm if node.layer["type"] == "batch_norm" else otherwise).update(node.sources)
    return {index for index in by_norm - otherwise if index >= 0 and nodes[index].layer["type"] == "conv"}
