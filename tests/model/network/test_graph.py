"""Layers are connected by names; a network that makes no sense has one fault, with its place and what to do."""

from typing import Any

import pytest

from model.network.graph import MAX_READS, Costs, LayerFault, NetworkError, costs, resolve, sources_of
from model.network.schema import MAX_LAYERS
from model.network.shapes import Shape

IMAGE = Shape(4, 8, 6)
RELU: Any = {"type": "relu"}
CONV: Any = {"type": "conv", "kernel_size": 3, "out_channels": 8}


def named(name: str, *inputs: str, **fields: Any) -> Any:
    """A ReLU, or what the fields make of it, with a name and inputs."""
    return RELU | {"name": name} | ({"inputs": inputs} if inputs else {}) | fields


def add(*inputs: str, kind: str = "add") -> Any:
    return {"type": kind, "inputs": inputs}


def fault(*layers: Any, image: Shape = IMAGE) -> tuple[str, str]:
    """Return the place and the message of a network's one fault."""
    with pytest.raises(NetworkError) as caught:
        resolve(layers, image)
    (found,) = caught.value.faults
    return f"/layers/{found.layer}/{found.field}", found.message


def test_layers_without_inputs_read_the_layer_before() -> None:
    nodes = resolve([CONV, RELU], IMAGE)
    assert [node.sources for node in nodes] == [(-1,), (0,)]
    assert nodes[0].before == (IMAGE,)
    assert nodes[1].after == Shape(8, 8, 6)


def test_a_block_is_resolved() -> None:
    """A residual block with squeeze-and-excitation: the image is read by name, one layer by three others."""
    layers = [
        CONV | {"name": "stem"},
        CONV | {"groups": "depthwise", "name": "branch"},
        {"type": "global_avg_pool"},
        {"type": "conv", "kernel_size": 1, "out_channels": 8},
        named("gate", type="sigmoid"),
        {"type": "mul", "inputs": ("branch", "gate"), "name": "excited"},
        {"type": "add", "inputs": ("excited", "stem", "branch"), "name": "sum"},
        {"type": "concat", "inputs": ("sum", "input")},
    ]
    nodes = resolve(layers, IMAGE)
    assert [node.sources for node in nodes] == [(-1,), (0,), (1,), (2,), (3,), (1, 4), (5, 0, 1), (6, -1)]
    assert nodes[5].before == (Shape(8, 8, 6), Shape(8, 1, 1))
    assert nodes[-1].after == Shape(12, 8, 6)
    assert costs(nodes) == Costs(
        params=(4 * 8 * 9 + 8) + (8 * 9 + 8) + (8 * 8 + 8),
        flops=2 * 48 * (4 * 8 * 9 + 8 * 9) + 2 * 8 * 8,
        activation_bytes=4 * 4 * 8 * 48,
    )


NAMES = [
    ([named("a", "b")], "/layers/0/inputs", "no layer has this name"),
    ([RELU, named("b", "a"), named("a")], "/layers/1/inputs", "is the name of this or a later layer; order"),
    ([named("a", "a")], "/layers/0/inputs", "is the name of this or a later layer; order"),
    ([named("a"), RELU, named("a")], "/layers/2/name", "is that of layer 0 too; names are unique"),
    ([named("input")], "/layers/0/name", "is the image's; names are unique"),
    ([RELU, {"type": "add"}], "/layers/1/inputs", "add merges two or more layers: give their names"),
    ([named("a"), add("a")], "/layers/1/inputs", "add merges two or more layers, this is one"),
    ([named("a"), named("b", "a", "input")], "/layers/1/inputs", "relu reads one layer, not 2; add, mul and concat"),
    ([RELU, named("b", "input")], "/layers/0/type", "reaches no output: no layer reads it"),
    ([RELU, RELU, named("b", "input"), RELU], "/layers/1/type", "reaches no output: no layer reads it"),
]


@pytest.mark.parametrize(("layers", "where", "message"), NAMES, ids=[case[2] for case in NAMES])
def test_names_that_lead_nowhere(layers: Any, where: str, message: str) -> None:
    place, said = fault(*layers)
    assert place == where
    assert said.startswith(message)


FLAT: Any = {"type": "flatten"}
WIDE: Any = {"type": "conv", "kernel_size": 1, "channel_ratio": 1024}
SHAPES = [
    ([CONV | {"name": "a"}, add("a", "input")], "/layers/1/inputs", "must have one shape: 8x8x6 and 4x8x6 do not add"),
    (
        [{"type": "max_pool", "kernel_size": 2, "name": "a"}, add("a", "input", kind="concat")],
        "/layers/1/inputs",
        "must have one height and width: 4x4x3 and 4x8x6 do not concatenate",
    ),
    (
        [FLAT | {"name": "a"}, add("a", "input", kind="concat")],
        "/layers/1/inputs",
        "must have one height and width: 192 features and 4x8x6 do not concatenate",
    ),
    (
        [CONV | {"name": "a"}, add("a", "input", kind="mul")],
        "/layers/1/inputs",
        "must have one shape, or be one value a channel: 8x8x6 and 4x8x6",
    ),
    (
        [{"type": "max_pool", "kernel_size": 2, "name": "a"}, add("input", "a", kind="mul")],
        "/layers/1/inputs",
        "must have one shape, or be one value a channel: 4x8x6 and 4x4x3",
    ),
    ([CONV | {"groups": 3}], "/layers/0/groups", "must divide the 4 input channels"),
    ([CONV | {"groups": 4, "out_channels": 6}], "/layers/0/groups", "must divide the 6 output channels"),
    ([{"type": "group_norm", "num_groups": 3}], "/layers/0/num_groups", "must divide the 4 channels"),
    ([{"type": "channel_shuffle", "groups": 3}], "/layers/0/groups", "must divide the 4 channels"),
    ([CONV | {"kernel_size": 9, "padding": 1}], "/layers/0/kernel_size", "spans 9 positions, but its padded input has"),
    ([CONV | {"dilation": 4, "padding": 0}], "/layers/0/kernel_size", "spans 9 positions, but its padded input has 8"),
    (
        [{"type": "max_pool", "kernel_size": 7, "padding": 0}],
        "/layers/0/kernel_size",
        "spans 7 positions, but its padded input has 6",
    ),
    ([{"type": "avg_pool", "kernel_size": 3, "padding": 2}], "/layers/0/padding", "must be at most half of the kernel"),
    ([{"type": "slice", "start": 1, "end": 5}], "/layers/0/end", "must be more than start and at most the 4 channels"),
    ([{"type": "slice", "start": 2, "end": 2}], "/layers/0/end", "must be more than start and at most the 4 channels"),
    ([FLAT, CONV], "/layers/1/type", "conv cannot read a flat vector, which linear and flatten make"),
    ([{"type": "linear", "out_features": 3}, {"type": "upsample", "scale_factor": 2}], "/layers/1/type", "upsample"),
    ([WIDE, WIDE], "/layers/1/channel_ratio", "makes the network wider than 1000000 channels"),
    (
        [WIDE | {"name": "a"}, add(*["a"] * 250, kind="concat")],
        "/layers/1/inputs",
        "makes the network wider than 1000000 channels",
    ),
    ([WIDE, {"type": "upsample", "scale_factor": 64}, FLAT], "/layers/2/type", "makes the network wider than 1000000"),
    ([{"type": "upsample", "scale_factor": 64}] * 3, "/layers/2/scale_factor", "makes a map of more than 1000000"),
]


@pytest.mark.parametrize(("layers", "where", "message"), SHAPES, ids=[f"{case[1]}: {case[2]}" for case in SHAPES])
def test_layers_that_do_not_fit(layers: Any, where: str, message: str) -> None:
    """Shapes that do not merge are both named."""
    place, said = fault(*layers)
    assert place == where
    assert said.startswith(message)


def test_the_first_fault_of_a_network_is_reported() -> None:
    assert fault(RELU, CONV | {"groups": 3}, CONV | {"groups": 5}) == (
        "/layers/1/groups",
        "must divide the 4 input channels",
    )


def test_a_fault_is_written_with_its_place() -> None:
    assert str(NetworkError([LayerFault(3, "groups", "is wrong")])) == "/layers/3/groups: is wrong"


def test_what_each_channel_is_multiplied_by_may_be_a_vector_or_a_map_of_one_position() -> None:
    for pool in ({"type": "global_avg_pool"}, {"type": "linear", "out_features": 4}):
        for order in (("gate", "input"), ("input", "gate")):
            nodes = resolve([pool | {"name": "gate"}, add(*order, kind="mul")], IMAGE)
            assert nodes[-1].after == IMAGE


def test_large_networks_are_resolved() -> None:
    """The most layers, each adding the two before it; a layer that merges a thousand others."""
    layers = [named("n0"), named("n1")]
    layers += [add(f"n{index - 1}", f"n{index - 2}") | {"name": f"n{index}"} for index in range(2, MAX_LAYERS)]
    assert sources_of(layers)[-1] == (MAX_LAYERS - 2, MAX_LAYERS - 3)
    assert resolve(layers, IMAGE)[-1].after == IMAGE
    many = [named(f"n{index}", "input") for index in range(1000)]
    nodes = resolve([*many, add(*(f"n{index}" for index in range(1000)), kind="concat")], IMAGE)
    assert nodes[-1].after == Shape(4000, 8, 6)


def test_the_number_of_inputs_is_bounded() -> None:
    """Of all layers together: 16 MB of codes could come of a body of 1 MB."""
    layers = [named("a"), *[add(*["a"] * 2000)] * 4]
    layers = [layers[0], *(layer | {"name": f"b{index}"} for index, layer in enumerate(layers[1:]))]
    last = add(*(layer["name"] for layer in layers))
    assert resolve([*layers, last], IMAGE)[-1].after == IMAGE
    last = add("a", *(layer["name"] for layer in layers), *["a"] * 200)
    assert fault(*layers, last) == (
        "/layers/5/inputs",
        f"the network's layers have more than {MAX_READS} inputs in all",
    )
