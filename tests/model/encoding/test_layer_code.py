"""The layer code is Table 1 of the paper, and its extension keeps Table 1's columns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.encoding.layer_code import EMBEDDED, EXTENDED, PAPER, PAPER_BINS, encode, pad, table_1
from model.network.graph import NetworkError, resolve
from model.network.layer_types import LAYER_TYPES, TYPE_IDS
from model.network.shapes import Shape
from tests.strategies import extended_layers, graphs, table_1_layers

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


@pytest.mark.parametrize(("width", "nearest"), [(24, 1), (301, 8)])
def test_a_ratio_outside_the_papers_table_takes_the_nearest_with_a_note(width, nearest):
    stem, relu = {"type": "conv", "kernel_size": (3, 3), "out_channels": 100}, {"type": "relu"}
    encoding = encode([stem, relu, {"type": "conv", "kernel_size": (1, 1), "out_channels": width}], PAPER, IMAGE)
    assert encoding.codes[2, 3] == nearest
    (note,) = encoding.notes
    assert note.startswith(f"/layers/2: channel ratio {width / 100:.4g} is outside 0.25 to 3")


def test_the_stem_is_exempt_from_the_ratios_range():
    encoding = encode([{"type": "conv", "kernel_size": (3, 3), "out_channels": 1000}], PAPER, IMAGE)
    assert (encoding.codes[0, 3], encoding.notes) == (8, [])


@pytest.mark.parametrize(
    "layer", [{"type": "conv", "kernel_size": (6, 1), "out_channels": 8}, {"type": "max_pool", "kernel_size": (1, 2)}]
)
def test_a_kernel_outside_table_1_is_an_error(layer):
    with pytest.raises(NetworkError, match="kernel_size"):
        codes(layer)


def test_the_paper_code_says_which_types_it_knows():
    with pytest.raises(NetworkError, match="it knows conv, max_pool"):
        codes({"type": "dropout", "p": 0.5})


def faults(*layers):
    with pytest.raises(NetworkError) as caught:
        codes(*layers)
    return [(fault.layer, fault.field) for fault in caught.value.faults]


def test_the_paper_code_rejects_all_that_table_1_lacks():
    """And says so of each; a field that says no more than its absence is none."""
    conv, add = {"type": "conv", "kernel_size": 3, "out_channels": 6}, {"type": "add", "inputs": ("input", "a")}
    assert faults(conv | {"groups": 3}, conv | {"dilation": 2}, conv | {"padding": 0}) == [
        (0, "groups"),
        (1, "dilation"),
        (2, "padding"),
    ]
    assert faults({"type": "gelu", "name": "a"}, add) == [(0, "type"), (1, "inputs"), (1, "type")]
    plain = conv | {"groups": 1, "dilation": (1, 1), "padding": 1, "inputs": ("input",)}
    assert codes(plain, conv | {"padding": "same"}) == codes(conv, conv)


@given(table_1_layers)
def test_the_extended_code_begins_with_the_papers_types_and_kernels(layers):
    paper, extended = (encode(layers, code, IMAGE).codes for code in (PAPER, EXTENDED))
    np.testing.assert_array_equal(paper[:, :3], extended[:, :3])
    centres = np.array(EXTENDED.bins)[extended[:, 3] - 1]
    inside = (centres >= PAPER_BINS[0]) & (centres <= PAPER_BINS[-1])
    np.testing.assert_array_equal(np.array(PAPER_BINS)[paper[inside, 3] - 1], centres[inside])


def columns(codes, *names):
    """Return columns of extended codes [rows, names]."""
    return codes[:, [EXTENDED.columns.index(name) for name in names]].tolist()


@given(extended_layers)
def test_the_extended_code_of_a_chain_carries_the_shapes_and_reads_the_row_before(layers):
    codes = encode(layers, EXTENDED, IMAGE).codes
    nodes = resolve(layers, IMAGE)
    after = [[node.after.channels, node.after.height, node.after.width] for node in nodes]
    assert columns(codes, "width", "map_height", "map_width") == after
    assert columns(codes, "channels_in", "height_in", "width_in") == [[3, 32, 32], *after[:-1]]
    assert columns(codes, "back_1", "back_2") == [[1, 0]] * len(layers)


def test_attributes_of_a_convolution_and_of_dropout():
    conv = {"type": "conv", "kernel_size": (70, 5), "out_channels": 6, "stride": (1, 2), "groups": "depthwise"}
    rows = encode([conv | {"dilation": (3, 1)}, {"type": "dropout", "p": 0.25}], EXTENDED, IMAGE).codes
    assert columns(rows, "type", "kernel_height", "kernel_width") == [[1, 70, 5], [8, 1, 1]]
    assert columns(rows, "stride", "groups", "dilation", "dropout") == [[2, 3, 3, 0], [1, 1, 1, 2500]]


def test_a_merge_of_several_is_a_row_for_each_input_but_the_first():
    """The first row reads the first two inputs, each further one the row before and the next input."""
    layers = [
        {"type": "relu", "name": "a"},
        {"type": "tanh", "name": "b", "inputs": ("input",)},
        {"type": "concat", "inputs": ("a", "b", "input", "a"), "name": "c"},
        {"type": "sigmoid"},
    ]
    rows = encode(layers, EXTENDED, IMAGE).codes
    concat = TYPE_IDS["concat"]
    assert columns(rows, "type", "channels_in", "width", "back_1", "back_2") == [
        [4, 3, 3, 1, 0],
        [6, 3, 3, 2, 0],
        [concat, 3, 6, 2, 1],
        [concat, 6, 9, 1, 4],
        [concat, 9, 12, 1, 4],
        [5, 12, 12, 1, 0],
    ]


@given(graphs(IMAGE))
def test_the_edges_of_a_graph_lead_to_what_each_row_reads(layers):
    """Following `back_1` from row to row, and counting rows, gives the sources of each layer but identities."""
    layers = [layer | {"type": "relu"} if layer["type"] == "identity" else layer for layer in layers]
    codes, nodes = encode(layers, EXTENDED, IMAGE).codes, resolve(layers, IMAGE)
    assert len(codes) == sum(max(1, len(node.sources) - 1) for node in nodes)
    row, last = 0, {-1: -1}
    for index, node in enumerate(nodes):
        first, *others = node.sources
        assert row - codes[row, -2] == last[first]
        for other in others or [None]:
            expected = 0 if other is None else row - last[other]
            assert codes[row, -1] == expected
            row += 1
        last[index] = row - 1
        after = codes[row - 1, 6:9].tolist()
        assert after == [node.after.channels, node.after.height, node.after.width]


def test_an_identity_has_no_row_but_as_a_shortcut():
    conv = {"type": "conv", "kernel_size": (3, 3), "out_channels": 3}
    identity = {"type": "identity"}
    np.testing.assert_array_equal(
        encode([identity, conv, identity, identity, conv, identity], EXTENDED, IMAGE).codes,
        encode([conv, conv], EXTENDED, IMAGE).codes,
    )
    assert len(encode([identity, identity], EXTENDED, IMAGE).codes) == 1
    shortcut = [identity, identity | {"name": "a"}, conv | {"name": "b"}, {"type": "add", "inputs": ("a", "b")}]
    rows = encode(shortcut, EXTENDED, IMAGE).codes
    names = [TYPE_IDS["identity"], TYPE_IDS["conv"], TYPE_IDS["add"]]
    assert columns(rows, "type", "back_1", "back_2") == [[names[0], 1, 0], [names[1], 1, 0], [names[2], 2, 1]]


@given(graphs(IMAGE))
def test_members_read_only_what_their_tables_hold(layers):
    """A larger kernel counts as the largest, a type without an embedding as another. The codes stay as they are."""
    codes = encode(layers, EXTENDED, IMAGE).codes
    codes.flags.writeable = False
    found = table_1(codes)
    assert found[:, 0].min() >= 1
    has_embedding = codes[:, 0] <= EMBEDDED
    assert (found[:, 0] == codes[:, 0])[has_embedding].all()
    assert found[:, 0].max() <= EMBEDDED
    assert found[:, 1:3].max() <= EXTENDED.largest_kernel
    assert found[:, 3].max() <= len(EXTENDED.bins)


def test_ids_of_types_stay_what_shipped_predictors_know():
    """The first seven are Table 1's; later types come behind."""
    assert list(LAYER_TYPES)[:10] == list(EXTENDED.kernels)
    assert [TYPE_IDS[name] for name in ("relu6", "add", "upsample")] == [16, 25, 32]


@given(st.lists(extended_layers, min_size=1, max_size=5))
def test_padding_keeps_every_code_and_adds_zeros(networks):
    encodings = [encode(layers, EXTENDED, IMAGE).codes for layers in networks]
    stacked, lengths = pad(encodings)
    for row, length, expected in zip(stacked, lengths, encodings, strict=True):
        np.testing.assert_array_equal(row[:length], expected)
        assert not row[length:].any()


def test_table_1_leaves_the_codes_as_they_are() -> None:
    """Codes may be read-only, and are cached; a slice of a single layer would be a view of them."""
    codes = encode([{"type": "conv", "kernel_size": 13, "out_channels": 8}], EXTENDED, Shape(3, 8, 8)).codes
    codes.setflags(write=False)
    assert table_1(codes)[0, 1:3].tolist() == [EXTENDED.largest_kernel] * 2
    assert codes[0, 1:3].tolist() == [13, 13]
