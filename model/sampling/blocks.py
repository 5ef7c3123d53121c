"""Blocks drawn from a Markov chain (Peephole, section 4.1 and appendix, Table 1)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..encoding.layer_code import PAPER, PAPER_BINS
from ..network.schema import Layer, pair

STATES = ("conv", "max_pool", "avg_pool", "relu", "sigmoid", "tanh")
TRANSITIONS = {
    "conv": (0.03, 0.03, 0.03, 0.31, 0.30, 0.30),
    "max_pool": (0.60, 0.05, 0.05, 0.10, 0.10, 0.10),
    "avg_pool": (0.60, 0.05, 0.05, 0.10, 0.10, 0.10),
    "relu": (0.30, 0.30, 0.30, 0.00, 0.05, 0.05),
    "sigmoid": (0.30, 0.30, 0.30, 0.05, 0.00, 0.05),
    "tanh": (0.30, 0.30, 0.30, 0.05, 0.05, 0.00),
}
BATCH_NORM_PROBABILITY = 0.6
MAX_LAYERS = 10
MAX_CONVOLUTIONS = 3
_ACTIVATIONS: dict[str, Layer] = {
    "relu": {"type": "relu"},
    "sigmoid": {"type": "sigmoid"},
    "tanh": {"type": "tanh"},
}


def draw_layer(state: str, rng: np.random.Generator) -> Layer:
    """Draw the fields of a layer of one of the chain's states."""
    if state in _ACTIVATIONS:
        return _ACTIVATIONS[state]
    kernels = PAPER.kernels[state]
    assert kernels is not None  # noqa: S101 - only activations have none
    height, width = (int(size) for size in rng.choice(kernels, size=2))
    if state == "conv":
        return {"type": "conv", "kernel_size": (height, width), "channel_ratio": float(rng.choice(PAPER_BINS))}
    if state == "max_pool":
        return {"type": "max_pool", "kernel_size": (height, width), "stride": (1, 1)}
    return {"type": "avg_pool", "kernel_size": (height, width), "stride": (1, 1)}


def sample_block(rng: np.random.Generator) -> list[Layer]:
    """Draw a block: a convolution first, at most ten layers and three convolutions, its length uniform in 1 to 10.

    The paper does not say how the length is drawn. A step that would add a fourth convolution is drawn again; a batch
    normalisation that would not fit is left out.
    """
    length = int(rng.integers(1, MAX_LAYERS + 1))
    block: list[Layer] = []
    state, convolutions = "conv", 0
    while len(block) < length:
        block.append(draw_layer(state, rng))
        if state == "conv":
            convolutions += 1
            if len(block) < length and rng.random() < BATCH_NORM_PROBABILITY:
                block.append({"type": "batch_norm"})
        state = _next_state(state, rng, may_convolve=convolutions < MAX_CONVOLUTIONS)
    return block


def _next_state(state: str, rng: np.random.Generator, *, may_convolve: bool) -> str:
    probabilities = np.array(TRANSITIONS[state])
    if not may_convolve:
        probabilities[0] = 0.0
    return str(rng.choice(STATES, p=probabilities / probabilities.sum()))


def is_block(block: Sequence[Layer]) -> bool:
    """Whether `sample_block` can draw a block: its layers and their number, and steps that the chain takes."""
    steps = [layer["type"] for layer in block if layer["type"] != "batch_norm"]
    behind = {before["type"] for before, layer in pairwise(block) if layer["type"] == "batch_norm"}
    return (
        1 <= len(block) <= MAX_LAYERS
        and steps[:1] == ["conv"] == [block[0]["type"]]
        and steps.count("conv") <= MAX_CONVOLUTIONS
        and behind <= {"conv"}
        and all(map(_is_drawn, block))
        and all(TRANSITIONS[before][STATES.index(after)] > 0 for before, after in pairwise(steps))
    )


def _is_drawn(layer: Layer) -> bool:
    given: dict[str, Any] = dict(layer)
    state, kernel = given.pop("type"), given.pop("kernel_size", None)
    if kernel is None:
        return not given and state in {*_ACTIVATIONS, "batch_norm"}
    ratio = given.pop("channel_ratio", None)
    is_ratio = ratio in PAPER_BINS if state == "conv" else ratio is None
    strides = {None, 1, (1, 1)} if state == "conv" else {1, (1, 1)}
    sizes = PAPER.kernels[state] if state in STATES else None
    return is_ratio and given.pop("stride", None) in strides and not given and set(pair(kernel)) <= set(sizes or ())


def sample_blocks(count: int, seed: int) -> Sequence[list[Layer]]:
    """Draw `count` blocks; the i-th depends only on `seed` and i."""
    return [sample_block(np.random.default_rng([seed, index])) for index in range(count)]
