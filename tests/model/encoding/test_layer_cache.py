"""The layer cache gives what `encode` gives, however often and in whatever order layers come, in bounded memory."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.encoding import layer_cache
from model.encoding.layer_cache import LayerCache
from model.encoding.layer_code import CODES, EXTENDED, PAPER, Encoding, encode
from model.network.graph import NetworkError
from model.network.shapes import Shape
from tests.strategies import any_layer, extended_layers, graphs, table_1_layers

IMAGE = Shape(3, 32, 32)
SMALL = Shape(3, 12, 12)
RELU: Any = {"type": "relu"}
NORM: Any = {"type": "batch_norm"}
LINEAR: Any = {"type": "linear", "out_features": 8}


def conv(**fields: Any) -> Any:
    return {"type": "conv", "kernel_size": 3, **fields}


WIDE = conv(channel_ratio=100.0)  # outside the paper's ratios


@pytest.fixture(scope="module")
def warm() -> dict[str, LayerCache]:
    """A cache of each code that all examples of a test share."""
    return {name: LayerCache(code) for name, code in CODES.items()}


def outcome(encode_layers: Callable[[], Encoding]) -> Any:
    """Return codes, costs and notes, or faults."""
    try:
        encoding = encode_layers()
    except NetworkError as error:
        return error.faults
    assert encoding.codes.dtype == np.int32
    return encoding.codes.tolist(), encoding.costs, encoding.notes


def check(cache: LayerCache, layers: list[Any], image: Shape = IMAGE) -> None:
    """Compare the cache with `encode`."""
    expected = outcome(lambda: encode(layers, cache.code, image))
    assert outcome(lambda: cache.encode(layers, image)) == expected


@settings(max_examples=100, deadline=None)
@given(layers=extended_layers, image=st.sampled_from([IMAGE, Shape(1, 28, 28)]))
def test_a_new_cache_encodes_like_encode(layers: list[Any], image: Shape) -> None:
    check(LayerCache(EXTENDED), layers, image)


@settings(max_examples=100, deadline=None)
@given(layers=extended_layers, image=st.sampled_from([IMAGE, Shape(1, 28, 28)]))
def test_a_used_cache_encodes_like_encode(warm: dict[str, LayerCache], layers: list[Any], image: Shape) -> None:
    """Also networks that the paper's code does not know, on images of several shapes."""
    for cache in warm.values():
        check(cache, layers, image)
        check(cache, layers, image)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(layers=graphs(SMALL))
def test_graphs_are_encoded_with_their_edges_and_costs(warm: dict[str, LayerCache], layers: list[Any]) -> None:
    for cache in warm.values():
        check(cache, layers, SMALL)
        check(cache, layers, SMALL)


@settings(max_examples=200, deadline=None)
@given(layers=st.lists(any_layer, min_size=1, max_size=4), data=st.data())
def test_networks_with_faults_have_the_same_faults(
    warm: dict[str, LayerCache], layers: list[Any], data: st.DataObject
) -> None:
    """Chains of any layers, some of them with inputs and names that may not exist: most make no sense."""
    name = st.sampled_from(["input", "a", "b", "c"])
    for layer in layers:
        if data.draw(st.booleans()):
            layer["inputs"] = tuple(data.draw(st.lists(name, min_size=1, max_size=3)))
        if data.draw(st.booleans()):
            layer["name"] = data.draw(name)
    for cache in warm.values():
        check(cache, layers, SMALL)


@settings(max_examples=50, deadline=None)
@given(layers=table_1_layers, kernel=st.integers(1, 14), stride=st.none() | st.integers(1, 8))
def test_kernels_at_the_limit_of_the_code(
    warm: dict[str, LayerCache], layers: list[Any], kernel: int, stride: int | None
) -> None:
    for kind in ("conv", "max_pool"):
        fields = {"out_channels": 8} if kind == "conv" else {}
        check(warm["extended"], [*layers, {"type": kind, "kernel_size": kernel, "stride": stride, **fields}])
        check(warm["paper"], [*layers, {"type": kind, "kernel_size": kernel, "stride": stride, **fields}])


def test_the_same_layer_means_something_else_in_another_place() -> None:
    """Shapes count, flatness counts, and whether a batch normalisation follows."""
    cache = LayerCache(EXTENDED)
    for layers in (
        [conv(out_channels=8), RELU, NORM],
        [conv(out_channels=8), NORM, RELU],
        [conv(out_channels=8), NORM, NORM],
        [conv(out_channels=8, bias=True), NORM],
        [RELU, conv(out_channels=8), NORM, conv(out_channels=8), NORM],
        [NORM, {"type": "linear", "out_features": 8}, NORM],
    ):
        check(cache, layers)
        check(cache, layers)
    cache.encode([RELU, {"type": "global_avg_pool"}], IMAGE)
    with pytest.raises(NetworkError, match="global_avg_pool cannot read a flat vector"):
        cache.encode([LINEAR, {"type": "global_avg_pool"}], IMAGE)


def test_what_the_papers_code_rounds_is_noted_at_its_own_index() -> None:
    """Also when it was met before in another network."""
    cache = LayerCache(PAPER)
    first, narrow = conv(out_channels=4), conv(out_channels=1, channel_ratio=None)
    for layers, where in (([first, WIDE], [1]), ([first, RELU, WIDE, RELU], [2]), ([first, WIDE, narrow], [1, 2])):
        for _ in range(2):
            notes = cache.encode(layers, IMAGE).notes
            assert [note.partition(": ")[0] for note in notes] == [f"/layers/{index}" for index in where]


def test_a_network_with_faults_leaves_no_wrong_entries_behind() -> None:
    cache = LayerCache(EXTENDED)
    layers = [conv(out_channels=8), RELU, conv(out_channels=9, groups=2), RELU]
    for _ in range(2):
        with pytest.raises(NetworkError) as raised:
            cache.encode(layers, IMAGE)
        assert [(fault.layer, fault.field) for fault in raised.value.faults] == [(2, "groups")]
        check(cache, layers[:2])


def size(cache: LayerCache) -> int:
    return sum(len(place) for place in cache._places.values())


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends ever new layers empties the cache; what it gives stays right."""
    monkeypatch.setattr(layer_cache, "MAX_ROWS", 50)
    cache = LayerCache(EXTENDED)
    largest = 0
    for width in range(1, 400):
        check(cache, [conv(out_channels=width), RELU, conv(channel_ratio=1.0), RELU])
        check(cache, [RELU | {"name": "a"}, conv(out_channels=width), conv(out_channels=3)])
        largest = max(largest, size(cache))
        assert len(cache._entries) <= 50
        assert len(cache._places) <= 50 + 1
    assert 30 < largest <= 50
    check(cache, [conv(out_channels=1), RELU])
    for width in range(1, 9):  # a merge counts by its rows
        check(cache, [conv(out_channels=width, name="a"), {"type": "add", "inputs": ("a",) * 30}])
        assert sum(len(entry.rows) for entry in cache._entries.values()) <= 90 * 4 * len(EXTENDED.columns)


def test_threads_may_share_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two reader threads encode at the same time, here while it is emptied again and again."""
    monkeypatch.setattr(layer_cache, "MAX_ROWS", 20)
    cache = LayerCache(EXTENDED)

    def work(seed: int) -> None:
        for width in range(1, 150):
            first = conv(out_channels=1 + (width * seed) % 97)
            check(cache, [first, RELU, WIDE, {"type": "max_pool", "kernel_size": 2}])
            check(cache, [first | {"name": "a"}, {"type": "add", "inputs": ("a", "a")}])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, (1, 5, 7, 11)))
