"""Networks are drawn within a described space, told from others, and checked."""

import json

import pytest

import peephole
from peephole.search import Space, hash, sample, validate  # noqa: A004
from tests.client.search.spaces import FAMILIES, LIMIT, PAPER, SPACES

CONV, RELU = {"type": "conv", "kernel_size": 3, "out_channels": 8}, {"type": "relu"}


@pytest.mark.parametrize("space", SPACES)
def test_samples_are_distinct_networks_within_the_limits(space, local):
    """A predictor takes them as they are, and counts the same FLOPs."""
    networks = sample(space, 20, seed=3)
    assert len({hash(one, space.input) for one in networks}) == 20
    predicted = local.predict(json.loads(json.dumps(networks)), epochs=1)
    assert max(one.flops for one in predicted) <= LIMIT
    assert networks == sample(space, 20, seed=3)
    assert networks != sample(space, 20, seed=4)
    for network in networks:
        assert validate(network, space) == network


def test_only_the_families_asked_for_are_drawn():
    chains = sample(Space((3, 16, 16), families=("separable",)), 10)
    assert not any(layer["type"] in {"add", "concat"} for layers in chains for layer in layers)
    assert all(any(layer.get("groups") == "depthwise" for layer in layers) for layers in chains)


def test_equal_networks_have_equal_hashes():
    named = [{**CONV, "kernel_size": [3, 3], "name": "a"}, {**RELU, "inputs": ["a"]}]
    assert hash({"id": "x", "layers": named}, (3, 16, 16)) == hash([CONV, RELU], (3, 16, 16))
    assert hash([CONV], (3, 16, 16)) != hash([CONV, RELU], (3, 16, 16))


@pytest.mark.parametrize(
    ("network", "space", "pointer"),
    [
        ([{**CONV, "kernel_size": 0}], FAMILIES, "/layers/0/kernel_size"),
        ([CONV, {**RELU, "inputs": ["nobody"]}], FAMILIES, "/layers/1/inputs"),
        ([{**CONV, "out_channels": 4096}, {**CONV, "out_channels": 4096}], FAMILIES, "/layers"),
        ([CONV] * 300, FAMILIES, "/layers"),
        ([CONV, RELU], PAPER, "/layers"),
        ([], PAPER, "/layers"),
    ],
)
def test_what_is_outside_is_named_with_its_place(network, space, pointer):
    with pytest.raises(peephole.RequestError) as caught:
        validate(network, space)
    assert caught.value.faults[0].pointer == pointer


@pytest.mark.parametrize(
    "options",
    [{"kind": "cells"}, {"families": ("vgg", "vit")}, {"families": ()}, {"constraints": {"latency": 1}}, {"width": 0}],
)
def test_a_space_that_does_not_exist_is_rejected(options):
    with pytest.raises(ValueError, match=r"there are|at least"):
        Space((3, 16, 16), **options)


def test_constraints_that_nothing_keeps_end_the_sampling():
    with pytest.raises(ValueError, match="draws in a row miss"):
        sample(Space((3, 16, 16), kind="paper", constraints={"params": 1}))
