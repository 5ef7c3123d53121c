"""Notations of public search spaces give the benchmarks' networks: parameters, FLOPs, shapes, and named faults."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from model.encoding.layer_cache import LayerCache
from model.encoding.layer_code import EXTENDED
from model.network.graph import Costs, resolve
from model.network.hashing import canonical_hash
from model.network.notations import (
    SPACES,
    NotationError,
    darts,
    mbconv,
    nasbench101,
    nasbench201,
    once_for_all,
    transnas101,
)
from model.network.schema import LAYERS, Layer
from model.network.shapes import Shape
from model.torch_modules import build

FACTS: dict[str, Any] = json.loads(Path(__file__).with_name("notations.json").read_text())
CIFAR, IMAGENET = Shape(3, 32, 32), Shape(3, 224, 224)
CACHE = LayerCache(EXTENDED)
ACCEL = [(32, 16, 1), (16, 24, 2), (24, 40, 2), (40, 80, 2), (80, 112, 1), (112, 192, 2), (192, 320, 1)]
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=range(2, 6), "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)


def costs_of(layers: list[Layer], image: Shape = CIFAR) -> Costs:
    return CACHE.encode(layers, image).costs


def params_of(layers: list[Layer], image: Shape, classes: int) -> int:
    """Return the parameters with the classifier's, as the benchmarks count them."""
    width = resolve(layers, image)[-1].after.channels
    return costs_of(layers, image).params + (width + 1) * classes


def stages_of(choices: list[list[Any]]) -> list[dict[str, Any]]:
    names = ("expand", "kernel", "layers", "se", "in", "out", "stride")
    return [dict(zip(names, (*one, *fixed), strict=True)) for one, fixed in zip(choices, ACCEL, strict=True)]


def test_nasbench101_has_the_benchmarks_parameters() -> None:
    found = [params_of(nasbench101(ops, edges), CIFAR, 10) for ops, edges, _ in FACTS["nasbench101"]]
    assert found == [params for _, _, params in FACTS["nasbench101"]]


def test_nasbench201_has_the_benchmarks_parameters_and_flops() -> None:
    for ops, params, macs in FACTS["nasbench201"]:
        layers = nasbench201(ops)
        assert params_of(layers, CIFAR, 10) == params, ops
        assert costs_of(layers).flops / 2e6 == pytest.approx(macs, abs=0.02), ops  # it counts pooling, in steps of 0.01


def test_mbconv_has_accel_nasbenchs_parameters() -> None:
    found = [params_of(mbconv(stages_of(choices)), IMAGENET, 1000) for choices, _ in FACTS["accel_nasbench"]]
    assert found == [params for _, params in FACTS["accel_nasbench"]]


def test_once_for_all_has_the_packages_parameters() -> None:
    for width, ks, e, d, params in FACTS["once-for-all"]:
        assert params_of(once_for_all(ks, e, d, width=width), IMAGENET, 1000) == params


def test_darts_has_the_published_parameters() -> None:
    """3.349342 and 4.718752 million are what DARTS's own evaluation prints for DARTS_V2; the paper says 3.3 and 4.7."""
    assert params_of(darts(DARTS_V2), CIFAR, 10) == 3_349_342
    imagenet = darts(DARTS_V2, cells=14, channels=48, stem="imagenet")
    assert params_of(imagenet, IMAGENET, 1000) == 4_718_752
    assert resolve(imagenet, IMAGENET)[-2].after == Shape(768, 7, 7)


def test_a_darts_cell_that_does_not_read_the_older_cell_keeps_its_convolution() -> None:
    """DARTS's module has the convolution of an input that no operation reads."""
    ops = [["skip_connect", 1], ["skip_connect", 1]]
    genotype = {"normal": ops, "normal_concat": [2], "reduce": ops, "reduce_concat": [2]}
    read = {"normal": [["skip_connect", 0], ["skip_connect", 1]]}
    assert costs_of(darts(genotype)).params == costs_of(darts(genotype | read)).params


@pytest.mark.parametrize("channels", [1, 2])
def test_transnas_modules_change_channels_and_resolution(channels: int) -> None:
    """Digits 2 and 4 double the channels, 3 and 4 halve the resolution, behind a stem that divides it by four."""
    macro = resolve(transnas101(f"{64 * channels}-1234-basic"), Shape(3, 64, 64))
    assert macro[-2].after == Shape(256 * channels, 4, 4)
    micro = resolve(transnas101(f"{64 * channels}-41414-3_33_332"), Shape(3, 256, 256))
    assert micro[-2].after == Shape(512 * channels, 8, 8)


def test_a_transnas_code_is_the_network_of_its_operations_or_blocks() -> None:
    ops = ["skip_connect", "none", "conv_1x1", "conv_3x3", "conv_3x3", "skip_connect"]
    assert transnas101(ops) == transnas101("64-41414-1_02_331")
    blocks = [{"op": "basic_block", "in": 64, "out": 64, "stride": 2}, {"out": 64, "stride": 1}]
    blocks += [{"out": 128, "stride": 1}, {"out": 128, "stride": 1}]
    assert transnas101(blocks) == transnas101("64-32-basic")


def test_a_transnas_cell_of_nothing_gives_zeros_of_the_right_shape() -> None:
    layers = transnas101("64-41414-0_00_000")
    network = build(layers, Shape(3, 64, 64), 5).eval()
    assert resolve(layers, Shape(3, 64, 64))[-2].after == Shape(512, 2, 2)
    assert network(torch.randn(2, 3, 64, 64)).equal(network.head.bias.expand(2, 5))


def test_a_string_of_nasbench201_is_its_list_of_operations() -> None:
    text = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|"
    ops = ["nor_conv_3x3", "none", "avg_pool_3x3", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"]
    assert nasbench201(text) == nasbench201(ops)


def test_a_dead_end_of_nasbench201_has_parameters_and_no_effect() -> None:
    """A convolution that leads to no output is in the benchmark's module; a pool or skip there is left out."""
    alive = nasbench201(["none", "none", "none", "nor_conv_1x1", "none", "none"])
    for op, kernel in (("nor_conv_3x3", 9), ("nor_conv_1x1", 1), ("avg_pool_3x3", 0), ("skip_connect", 0)):
        layers = nasbench201([op, "none", "none", "nor_conv_1x1", "none", "none"])
        cells = sum(5 * (kernel * width**2 + 2 * width * (kernel > 0)) for width in (16, 32, 64))
        assert costs_of(layers).params == costs_of(alive).params + cells
        assert (canonical_hash(layers, CIFAR) == canonical_hash(alive, CIFAR)) == (kernel == 0)


def test_what_is_added_as_zeros_has_no_effect() -> None:
    layers = nasbench201(["nor_conv_3x3", "none", "none", "nor_conv_1x1", "none", "none"])
    nodes, network = resolve(layers, Shape(3, 8, 8)), build(layers, Shape(3, 8, 8), 4).eval()
    images = torch.randn(2, 3, 8, 8)
    before = network(images)
    ends = [node.sources[0] for node in nodes if node.layer["type"] == "zero"]
    assert len(ends) == 15  # one a cell
    for end in ends:
        torch.nn.init.constant_(network.get_parameter(f"layer{end}.weight"), 7.0)
    assert network(images).equal(before)


def test_a_matrix_of_nasbench101_is_its_edges_and_needless_nodes_are_left_out() -> None:
    edges = [[0, 1], [1, 2], [0, 2]]
    matrix = [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    expected = nasbench101(["conv3x3"], edges)
    assert nasbench101(["conv3x3"], matrix) == expected
    assert nasbench101(["input", "conv3x3-bn-relu", "output"], matrix) == expected
    with_more = [[0, 2], [2, 4], [0, 4], [0, 1], [3, 4]]  # node 1 leads nowhere, node 3 reads nothing
    assert nasbench101(["conv1x1", "conv3x3", "conv1x1"], with_more) == expected


def test_channels_of_nasbench101_are_divided_with_the_rest_to_the_first() -> None:
    """128 channels among three nodes are 43, 43 and 42; a node that leads to a narrower one is cut."""
    ops, edges = ["conv1x1"] * 3, [[0, 1], [1, 2], [2, 3], [1, 4], [2, 4], [3, 4]]
    nodes = resolve(nasbench101(ops, edges, stacks=1, modules=1), CIFAR)
    assert [node.after.channels for node in nodes if node.layer["type"] == "conv"] == [128, 43, 43, 43, 42]
    assert next(node.layer for node in nodes if node.layer["type"] == "slice").get("end") == 42


@pytest.mark.parametrize(
    ("space", "notation"),
    [
        ("nasbench101", {"ops": ["conv3x3"], "edges": [[0, 1], [1, 2]]}),
        ("nasbench201", ["nor_conv_3x3", "none", "none", "none", "none", "skip_connect"]),
        ("transnas101", "64-3421-0_13_201"),
        ("darts", DARTS_V2),
        ("mbconv", [{"out": 24, "kernel": 5, "expand": 3, "se": True, "stride": 2}]),
        ("once-for-all", {"ks": [3] * 20, "e": [3] * 20, "d": [2] * 5}),
    ],
)
def test_layers_are_a_valid_network_that_can_be_built(space: str, notation: Any) -> None:
    layers = SPACES[space].read(json.loads(json.dumps(notation)))
    assert LAYERS.validate_json(json.dumps(layers)) == layers
    network = build(layers, CIFAR, 10)
    head = sum(one.numel() for one in network.head.parameters())
    assert sum(one.numel() for one in network.parameters()) - head == costs_of(layers).params
    assert network.eval()(torch.randn(1, 3, 32, 32)).shape == (1, 10)


@pytest.mark.parametrize(
    ("space", "notation", "place"),
    [
        ("nasbench101", {"ops": ["conv5x5"], "edges": [[0, 1], [1, 2]]}, "ops/0"),
        ("nasbench101", {"ops": ["conv3x3"], "edges": [[1, 0], [1, 2]]}, "[1, 0]"),
        ("nasbench101", {"ops": ["conv3x3"], "edges": [[0, 1], [1, 3]]}, "[1, 3]"),
        ("nasbench101", {"ops": ["conv3x3"], "edges": [[1, 2]]}, "leads to no output"),
        ("nasbench101", {"ops": ["conv3x3"], "matrix": [[0, 1, 0], [0, 0, 1]]}, "edges"),
        ("nasbench101", {"ops": ["conv3x3"]}, "edges"),
        ("nasbench101", {"ops": ["conv3x3"], "edges": [[0, "1"]]}, "edges"),
        ("nasbench101", ["conv3x3"], "`ops`"),
        ("nasbench201", ["none"] * 5, "not 5"),
        ("nasbench201", ["none"] * 5 + ["conv"], "ops/5"),
        ("nasbench201", "|none~0|+|none~0|none~1|", "|op~0|"),
        ("nasbench201", "|none~0|+|none~1|none~0|+|none~0|none~1|none~2|", "|op~0|"),
        ("nasbench201", "", "|op~0|"),
        ("nasbench201", 7, "ops"),
        ("transnas101", "64-51-basic", "64-1232-basic"),
        ("transnas101", [{"op": "conv"}], "blocks/0"),
        ("transnas101", [{"out": 64}, {"out": "64"}], "blocks/1"),
        ("transnas101", ["conv_5x5"] * 6, "ops/0"),
        ("darts", "Genotype(", "genotype"),
        ("darts", "Genotype(normal=__import__('os'))", "genotype"),
        ("darts", "Genotype(normal=[], normal_concat=range(10**9))", "genotype"),
        ("darts", {"normal": [["conv", 0]], "normal_concat": [2]}, "normal/0"),
        ("darts", {"normal": [["skip_connect", 2]] * 2, "normal_concat": [2]}, "normal/0"),
        ("darts", {"normal": [["skip_connect", 0]] * 2, "normal_concat": [3]}, "normal_concat"),
        ("darts", {"normal": [["skip_connect", 0]] * 2, "normal_concat": [2]}, "reduce"),
        ("mbconv", [{"out": 24}], "stages/0/kernel"),
        ("mbconv", [{"out": 24, "kernel": 3}, {"in": 16, "out": 24, "kernel": 3}], "stages/1/in"),
        ("mbconv", [{"out": 24, "kernel": 3, "groups": 2}], "stages/0"),
        ("mbconv", [{"out": 24, "kernel": 0}], "stages/0/kernel"),
        ("mbconv", [{"out": 24, "kernel": 3, "op": "conv"}], "stages/0/op"),
        ("once-for-all", {"ks": [3] * 20, "e": [3] * 20, "d": [2, 2, 5, 2, 2]}, "d/2"),
        ("once-for-all", {"ks": [3] * 19, "e": [3] * 20, "d": [2] * 5}, "ks"),
        ("once-for-all", {"ks": [3] * 20}, "e:"),
    ],
)
def test_a_fault_is_named_with_its_place(space: str, notation: Any, place: str) -> None:
    with pytest.raises(NotationError) as raised:
        SPACES[space].read(notation)
    assert place in str(raised.value)
