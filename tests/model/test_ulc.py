"""The layer code is Table 1 of the paper, and its extension keeps Table 1's columns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.encoding.layer_code import EXTENDED, PAPER, PAPER_BINS, NetworkError, encode, pad
from model.network.shapes import Shape, trace
from tests.strategies import extended_layers, table_1_layers

IMAGE = Shape(3, 32, 32)


def codes(*layers, code=PAPER, **kwargs):
    return encode(layers, code, IMAGE, **kwargs).codes.tolist()


def test_each_row_of_table_1_has_the_papers_type_id():
    stem = {"type": "conv", "kernel_size": (3, 2), "out_channels": 16}
    rows = codes(
        stem,
        {"type": "max_pool", "kernel_size": (2, 3)},
        {"type": "avg_pool", "kernel_size": (5, 4)},
        {"type": "relu"},
        {"type": "sigmoid"},
        {"type": "tanh"},
        {"type": "batch_norm"},
    )
    assert rows == [[1, 2, 3, 8], [2, 3, 2, 4], [3, 4, 5, 4], [4, 1, 1, 4], [5, 1, 1, 4], [6, 1, 1, 4], [7, 1, 1, 4]]


@pytest.mark.parametrize(("bin_code", "ratio"), list(enumerate(PAPER_BINS, start=1)))
def test_each_ratio_has_its_bin(bin_code, ratio):
    stem = {"type": "conv", "kernel_size": (3, 3), "out_channels": 64}
    assert codes(stem, {"type": "conv", "kernel_size": (1, 1), "channel_ratio": ratio})[1][3] == bin_code


def test_a_ratio_between_bins_snaps_to_the_nearest():
    stem = {"type": "conv", "kernel_size": (3, 3), "out_channels": 100}
    near_half = [
        codes(stem, {"type": "conv", "kernel_size": (1, 1), "out_channels": width})[1][3] for width in (38, 62, 63)
    ]
    assert near_half == [2, 2, 3]


@pytest.mark.parametrize("width", [24, 301])
def test_a_ratio_outside_the_table_is_an_error_unless_clamped(width):
    layers = (
        {"type": "conv", "kernel_size": (3, 3), "out_channels": 100},
        {"type": "conv", "kernel_size": (1, 1), "out_channels": width},
    )
    with pytest.raises(NetworkError) as caught:
        encode(layers, PAPER, IMAGE)
    assert [(fault.layer, fault.field) for fault in caught.value.faults] == [(1, "out_channels")]
    clamped = encode(layers, PAPER, IMAGE, clamp=True)
    assert clamped.codes[1, 3] in (1, 8)
    assert len(clamped.clamped) == 1


def test_the_stem_is_exempt_from_the_ratios_range():
    assert codes({"type": "conv", "kernel_size": (3, 3), "out_channels": 1000})[0][3] == 8


@pytest.mark.parametrize(
    "layer", [{"type": "conv", "kernel_size": (6, 1), "out_channels": 8}, {"type": "max_pool", "kernel_size": (1, 2)}]
)
def test_a_kernel_outside_table_1_is_an_error(layer):
    with pytest.raises(NetworkError, match="kernel_size"):
        codes(layer)


def test_the_paper_code_says_which_types_it_knows():
    with pytest.raises(NetworkError, match="it knows conv, max_pool"):
        codes({"type": "dropout", "p": 0.5})


@given(table_1_layers)
def test_the_extended_code_begins_with_the_papers_types_and_kernels(layers):
    paper = encode(layers, PAPER, IMAGE, clamp=True).codes
    extended = encode(layers, EXTENDED, IMAGE, clamp=True).codes
    np.testing.assert_array_equal(paper[:, :3], extended[:, :3])
    centres = np.array(EXTENDED.bins)[extended[:, 3] - 1]
    inside = (centres >= PAPER_BINS[0]) & (centres <= PAPER_BINS[-1])
    np.testing.assert_array_equal(np.array(PAPER_BINS)[paper[inside, 3] - 1], centres[inside])


@given(extended_layers)
def test_the_extended_code_carries_the_shape_behind_each_layer(layers):
    rows = encode(layers, EXTENDED, IMAGE, clamp=True).codes
    shapes = [(shape.channels, shape.height, shape.width) for _, _, shape in trace(layers, IMAGE)]
    assert rows[:, -3:].tolist() == [list(shape) for shape in shapes]


def test_a_linear_layer_and_dropout_have_rows_in_the_extended_code():
    rows = codes({"type": "dropout", "p": 0.25}, {"type": "linear", "out_features": 6}, code=EXTENDED)
    assert rows[0] == [8, 1, 1, EXTENDED.unit_bin, 1, 2500, 3, 32, 32]
    assert rows[1][0] == 9
    assert rows[1][-3:] == [6, 1, 1]


@given(st.lists(extended_layers, min_size=1, max_size=5))
def test_padding_keeps_every_code_and_adds_zeros(networks):
    encodings = [encode(layers, EXTENDED, IMAGE, clamp=True).codes for layers in networks]
    stacked, lengths = pad(encodings)
    for row, length, expected in zip(stacked, lengths, encodings, strict=True):
        np.testing.assert_array_equal(row[:length], expected)
        assert not row[length:].any()
