"""Small changes of a network."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import ValidationError

from ..model.network.graph import NetworkError, resolve
from ..model.network.hashing import canonical_hash
from ..model.network.schema import Layer
from ..model.sampling.blocks import STATES, draw_layer, is_block
from ..model.sampling.families import ACTIVATIONS
from .space import Layers, Rng, Space, assemble_or_none, is_within, read
from .wiring import Wired, insert, renamed, rewire, segment_behind, tidy, wired

KERNELS = (1, 3, 5, 7)
FACTORS = (0.5, 0.75, 1.25, 1.5, 2.0)  # of a width
WIDTH_STEP = 4
LONGEST_SEGMENT = 40  # layers that are repeated or left out together
MOST_TRIES = 200

Change = Callable[[Wired, Space, Rng], Wired | None]


def mutate(network: Layers | Mapping[str, Any], space: Space, *, seed: int | Rng = 0) -> list[Layer]:
    """Return a network that differs in one place, within the space.

    A block of the paper's space gets another layer, loses one, or has one drawn again. Any other network has a kernel,
    a width, a stride or an activation changed, a part repeated or left out, a convolution or a shortcut added. Equal
    widths change together, so that maps that are added keep the same shape.

    Args:
        network: layers or an architecture.
        space: of the result.
        seed: fixes the change; or a generator.

    Raises:
        RequestError: when the layers make no network.
        ValueError: when no change is found.
    """
    rng = np.random.default_rng(seed)
    layers = read(network, space.input)
    identity = canonical_hash(layers, space.image)
    block = space.block_of(layers) if space.kind == "paper" else None
    if space.kind == "paper" and block is None:
        raise ValueError(f"the network has no block of the paper in a skeleton of width {space.width}")
    for _ in range(MOST_TRIES):
        found = changed(layers, space, rng) if block is None else changed_block(block, space, rng)
        if found is not None and is_within(found, space) and canonical_hash(found, space.image) != identity:
            return found
    raise ValueError("no change keeps the network within the space")


def changed_block(block: Sequence[Layer], space: Space, rng: Rng) -> list[Layer] | None:
    """Return the network of a changed block, which may break the paper's rules: then `None`."""
    changed = list(block)
    place = int(rng.integers(len(block)))
    way = rng.choice(("draw", "insert", "drop"))
    if way == "drop":
        del changed[place]
    elif way == "insert":
        drawn: Layer = {"type": "batch_norm"} if rng.random() < 1 / 7 else draw_layer(str(rng.choice(STATES)), rng)
        changed.insert(place + 1, drawn)
    else:
        changed[place] = draw_layer(str(rng.choice(STATES)), rng)
    return assemble_or_none(space, changed) if is_block(changed) else None


def changed(layers: Sequence[Layer], space: Space, rng: Rng) -> list[Layer] | None:
    """Return changed layers; `None` when the change does not apply, or makes no network."""
    change = CHANGES[int(rng.integers(len(CHANGES)))]
    network = change(wired(layers), space, rng)
    if network is None:
        return None
    try:
        found = tidy(network)
        resolve(found, space.image)
    except (ValidationError, NetworkError):
        return None
    return found


def _pick(rng: Rng, options: Sequence[Any]) -> Any:
    return options[int(rng.integers(len(options)))] if options else None


def _places(network: Wired, *kinds: str) -> list[int]:
    return [index for index, layer in enumerate(network) if layer["type"] in kinds]


def _kernel(network: Wired, _: Space, rng: Rng) -> Wired | None:
    """Change the kernel of a convolution."""
    place = _pick(rng, _places(network, "conv"))
    if place is not None:
        network[place]["kernel_size"] = _pick(rng, KERNELS)
    return network if place is not None else None


def _activation(network: Wired, _: Space, rng: Rng) -> Wired | None:
    """Change one activation, or all of its kind."""
    place = _pick(rng, _places(network, *ACTIVATIONS))
    if place is None:
        return None
    old, new, all_of_them = network[place]["type"], _pick(rng, ACTIVATIONS), rng.random() < 0.5
    for index, layer in enumerate(network):
        if index == place or (all_of_them and layer["type"] == old):
            layer["type"] = new
    return network


def _width(network: Wired, _: Space, rng: Rng) -> Wired | None:
    """Change a width, wherever it is used."""
    field = _pick(rng, [name for layer in network for name in ("out_channels", "out_features") if layer.get(name)])
    old = _pick(rng, [layer[field] for layer in network if layer.get(field)]) if field else None
    if old is None:
        return None
    new = max(WIDTH_STEP, WIDTH_STEP * round(old * _pick(rng, FACTORS) / WIDTH_STEP))
    for layer in network:
        if layer.get(field) == old:
            layer[field] = new
    return network


def _segment(network: Wired, space: Space, rng: Rng) -> tuple[int, int, str] | None:
    """Draw a run of layers that one layer feeds, that is left by one, and that keeps the shape."""
    nodes = resolve(tidy(network), space.image)
    shapes = {layer["name"]: node.after for layer, node in zip(network, nodes, strict=True)}
    first = int(rng.integers(1, len(network))) if len(network) > 1 else 0
    ends = range(first, min(len(network), first + LONGEST_SEGMENT))
    fed = [(last, segment_behind(network, first, last)) for last in ends]
    kept = [(first, last, read) for last, read in fed if read in shapes and shapes[read] == nodes[last].after]
    return _pick(rng, kept)  # type: ignore[no-any-return]


def _repeat(network: Wired, space: Space, rng: Rng) -> Wired | None:
    """Repeat a part of the network."""
    drawn = _segment(network, space, rng)
    if drawn is None:
        return None
    first, last, read = drawn
    taken = [layer["name"] for layer in network]
    return insert(network, last, renamed(network[first : last + 1], taken, **{read: network[last]["name"]}))


def _leave_out(network: Wired, space: Space, rng: Rng) -> Wired | None:
    """Leave out a part of the network."""
    drawn = _segment(network, space, rng)
    if drawn is None:
        return None
    first, last, read = drawn
    return [*network[:first], *rewire(network[last + 1 :], network[last]["name"], read)]


def _convolution(network: Wired, space: Space, rng: Rng) -> Wired | None:
    """Add a convolution that keeps the shape, with normalisation and activation."""
    nodes = resolve(tidy(network), space.image)
    place = int(rng.integers(len(network)))
    conv = {"type": "conv", "kernel_size": _pick(rng, KERNELS), "out_channels": nodes[place].after.channels}
    conv |= {"groups": "depthwise"} if rng.random() < 0.3 else {}
    added: Wired = [conv, {"type": "batch_norm"}, {"type": _pick(rng, ACTIVATIONS)}]
    read = network[place]["name"]
    for number, layer in enumerate(added):
        layer |= {"name": f"added_{number}", "inputs": [read]}
        read = layer["name"]
    return insert(network, place, added)


def _shortcut(network: Wired, space: Space, rng: Rng) -> Wired | None:
    """Add the output of an earlier layer to that of a later one."""
    nodes = resolve(tidy(network), space.image)
    last = int(rng.integers(len(network)))
    alike = [index for index in range(last) if nodes[index].after == nodes[last].after]
    first = _pick(rng, alike)
    if first is None:
        return None
    names = [network[first]["name"], network[last]["name"]]
    return insert(network, last, [{"type": "add", "name": "added", "inputs": names}])


def _stride(network: Wired, _: Space, rng: Rng) -> Wired | None:
    """Halve the resolution at a convolution, or no longer."""
    place = _pick(rng, _places(network, "conv"))
    if place is None:
        return None
    network[place]["stride"] = 1 if network[place].get("stride") in {2, (2, 2)} else 2
    return network


CHANGES: tuple[Change, ...] = (
    _kernel,
    _activation,
    _width,
    _width,
    _repeat,
    _leave_out,
    _convolution,
    _shortcut,
    _stride,
)
