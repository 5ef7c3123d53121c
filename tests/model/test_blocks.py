"""Sampled blocks obey the paper's rules, and networks the skeleton."""

from itertools import islice, pairwise
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.network.graph import costs, resolve
from model.network.shapes import Shape
from model.sampling.blocks import STATES, TRANSITIONS, sample_block
from model.sampling.skeleton import assemble
from training.protocols import PROTOCOLS

seeds = st.integers(0, 2**32)


def test_each_row_of_the_transition_matrix_sums_to_one():
    for row in TRANSITIONS.values():
        assert sum(row) == pytest.approx(1.0)


@given(seeds)
def test_a_block_begins_with_a_convolution_and_stays_small(seed):
    block = sample_block(np.random.default_rng(seed))
    assert block[0]["type"] == "conv"
    assert 1 <= len(block) <= 10
    assert sum(layer["type"] == "conv" for layer in block) < 4


@given(seeds)
def test_batch_norm_only_follows_a_convolution(seed):
    block = sample_block(np.random.default_rng(seed))
    for before, layer in pairwise(block):
        assert layer["type"] != "batch_norm" or before["type"] == "conv"


def test_transitions_are_drawn_at_the_papers_rates():
    counts = dict.fromkeys(STATES, 0)
    for seed in range(4000):
        block = [layer for layer in sample_block(np.random.default_rng(seed)) if layer["type"] != "batch_norm"]
        if len(block) > 1:
            counts[block[1]["type"]] += 1
    total = sum(counts.values())
    for state, probability in zip(STATES, TRANSITIONS["conv"], strict=True):
        assert counts[state] / total == pytest.approx(probability, abs=0.03)


@given(seeds, st.sampled_from([Shape(1, 14, 14), Shape(3, 32, 32)]))
def test_each_stage_ends_at_its_width_and_halves_the_resolution(seed, image):
    layers = assemble(sample_block(np.random.default_rng(seed)), image, 16)
    shapes = [node.after for node in resolve(layers, image)]
    pools = [index for index, layer in enumerate(layers) if layer["type"] == "max_pool" and layer["stride"] == (2, 2)]
    assert [shapes[index - 1].channels for index in pools] == [16, 32]
    assert shapes[-1].channels == 64
    assert shapes[-1].height == ceil(image.height / 4)


def test_the_population_is_reproducible_distinct_and_within_its_budget():
    protocol = PROTOCOLS["mnist-mini"]
    first, again = (list(islice(protocol.population(), 60)) for _ in range(2))
    assert first == again
    assert len({one.network_id for one in first}) == 60
    assert all(costs(resolve(one.layers, protocol.image)).flops <= protocol.max_flops for one in first)
