"""Mutation and crossover stay within the space and change what they say."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import peephole
from peephole.model.network.graph import resolve
from peephole.model.sampling.blocks import is_block, sample_block
from peephole.search import crossover, hash, mutate, sample, validate  # noqa: A004
from peephole.search.mutation import CHANGES
from peephole.search.wiring import tidy, wired
from tests.client.search.spaces import FAMILIES, PAPER, SPACES

seeds = st.integers(0, 2**32)


@pytest.mark.parametrize("space", SPACES)
@settings(max_examples=15, deadline=None)
@given(seed=seeds)
def test_a_chain_of_mutations_stays_within_the_space(space, seed):
    rng = np.random.default_rng(seed)
    network = sample(space, seed=rng)[0]
    for _ in range(5):
        child = mutate(network, space, seed=rng)
        assert hash(child, space.input) != hash(network, space.input)
        assert validate(child, space) == child
        network = child


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_blocks_that_are_drawn_keep_the_rules(seed):
    block = sample_block(np.random.default_rng(seed))
    assert is_block(block)
    assert not is_block([*block, {"type": "dropout"}])
    assert not is_block(block * 11)


def test_a_block_is_found_in_its_network():
    for network in sample(PAPER, 10):
        block = PAPER.block_of(network)
        repeats = Counter(map(repr, network))
        assert repeats[repr(block[0])] >= 6


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_makes_networks(change):
    """Of 60 networks of families, some are changed in this way, into networks that make sense."""
    rng = np.random.default_rng(0)
    made = 0
    for network in sample(FAMILIES, 60):
        try:
            child = change(wired(network), FAMILIES, rng)
            made += child is not None and hash(tidy(child), FAMILIES.input) != hash(network, FAMILIES.input)
        except ValueError:
            continue
    assert made >= 6


def test_mutation_makes_shortcuts_and_other_depths_of_a_chain():
    chain = [{"type": "conv", "kernel_size": 3, "out_channels": 8}, {"type": "relu"}] * 3
    children = [mutate(chain, FAMILIES, seed=seed) for seed in range(60)]
    assert any(layer["type"] == "add" for child in children for layer in child)
    assert {len(child) for child in children} >= {5, 6, 7}


def test_written_names_do_not_change_a_network():
    for network in sample(FAMILIES, 20):
        again = tidy(wired(network))
        assert hash(again, FAMILIES.input) == hash(network, FAMILIES.input)


@pytest.mark.parametrize("space", SPACES)
def test_a_child_of_two_is_another_network_of_the_space(space):
    networks = sample(space, 12, seed=5)
    for index, (first, second) in enumerate(pairwise(networks)):
        child = crossover(first, second, space, seed=index)
        assert validate(child, space) == child
        hashes = {hash(one, space.input) for one in (first, second, child)}
        assert len(hashes) == 3


def test_a_child_begins_like_one_parent_and_ends_like_the_other():
    space = FAMILIES
    first = [{"type": "conv", "kernel_size": 3, "out_channels": 8}, {"type": "relu"}] * 4
    second = [{"type": "conv", "kernel_size": 5, "out_channels": 16}, {"type": "tanh"}] * 4
    for seed in range(20):
        child = crossover(first, second, space, seed=seed)
        kernels = [layer["kernel_size"] for layer in child if layer["type"] == "conv"]
        assert kernels == sorted(kernels)
        assert child[0] == first[0]
        assert child[-1] == second[-1]
        assert len(resolve(child, space.image)) == len(child)


def test_no_change_within_the_space_is_an_error():
    with pytest.raises(ValueError, match="skeleton"):
        mutate([{"type": "relu"}], PAPER)
    with pytest.raises(peephole.RequestError):
        mutate([{"type": "conv"}], FAMILIES)
    network = sample(FAMILIES)[0]
    with pytest.raises(ValueError, match="no cuts"):
        crossover(network, network[:1], FAMILIES)
