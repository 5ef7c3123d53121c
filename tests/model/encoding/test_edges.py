"""What a graph encoder adds to a chain."""

import numpy as np

from model.encoding.edges import corrections
from model.encoding.layer_code import EXTENDED, encode, pad
from model.network.schema import LAYERS
from model.network.shapes import Shape

IMAGE = Shape(3, 16, 16)
RELU = {"type": "relu"}
CONV = {"type": "conv", "kernel_size": 3, "out_channels": 8}
RESIDUAL = [
    CONV | {"name": "stem"},
    CONV,
    {"type": "relu", "name": "branch"},
    {"type": "add", "inputs": ["branch", "stem"]},
]
FORKED = [
    CONV | {"name": "stem"},
    CONV | {"name": "left"},
    CONV | {"name": "right", "inputs": ["stem"]},
    {"type": "concat", "inputs": ["left", "right", "stem"]},
]


def padded(*networks):
    return pad([encode(LAYERS.validate_python(layers), EXTENDED, IMAGE).codes for layers in networks])[0]


def adjacency(codes):
    """Return shares [direction, batch, row, row that it hears from], by the definition."""
    batch, rows = codes.shape[:2]
    is_read = np.zeros((batch, rows, rows))
    for network, reader, place in zip(*np.nonzero(codes[:, :, -2:]), strict=True):
        read = reader - codes[network, reader, codes.shape[2] - 2 + place]
        if read >= 0:
            is_read[network, reader, read] += 1
    forward = is_read / np.maximum(is_read.sum(2, keepdims=True), 1)
    backward = (is_read / np.maximum(is_read.sum(1, keepdims=True), 1)).transpose(0, 2, 1)
    return forward, backward


def test_a_chain_needs_no_correction():
    """Chains of several lengths have one edge, of shares 0."""
    edges, shares = corrections(padded([CONV, RELU], [CONV, RELU, CONV, RELU]))
    assert (edges.tolist(), shares.tolist()) == ([[0, 0, 0]], [[0, 0]])


def test_a_chain_and_its_corrections_are_the_graph():
    """With the corrections, shares are those of the definition: means over what a row reads and over what reads it."""
    codes = padded([CONV, RELU], RESIDUAL, FORKED)
    edges, shares = corrections(codes)
    present = codes[:, 1:, 0] > 0
    forward, backward = np.zeros((2, len(codes), codes.shape[1], codes.shape[1]))
    for network, row in zip(*np.nonzero(present), strict=True):
        forward[network, row + 1, row] = backward[network, row, row + 1] = 1
    for (network, read, reader), (along, against) in zip(edges.tolist(), shares.tolist(), strict=True):
        forward[network, reader, read] += along
        backward[network, read, reader] += against
    expected = adjacency(codes)
    np.testing.assert_allclose(forward, expected[0], atol=1e-6)
    np.testing.assert_allclose(backward, expected[1], atol=1e-6)
    assert not (edges[:, 0] == 0).any(), "the chain of the batch has none"
