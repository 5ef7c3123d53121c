"""The layer cache gives what `encode` gives, however often and in whatever order layers come, in bounded memory."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.encoding import layer_cache
from model.encoding.layer_cache import LayerCache
from model.encoding.layer_code import CODES, EXTENDED, PAPER, Encoding, LayerFault, NetworkError, encode
from model.network.shapes import Shape
from tests.strategies import extended_layers, table_1_layers

IMAGE = Shape(3, 32, 32)
RELU: Any = {"type": "relu"}
LINEAR: Any = {"type": "linear", "out_features": 8}


def conv(**fields: Any) -> Any:
    return {"type": "conv", "kernel_size": 3, **fields}


WIDE = conv(channel_ratio=100.0)  # outside every code's ratios


@pytest.fixture(scope="module")
def warm() -> dict[str, LayerCache]:
    """A cache of each code that all examples of a test share."""
    return {name: LayerCache(code, IMAGE) for name, code in CODES.items()}


def outcome(encode_layers: Callable[[], Encoding]) -> tuple[Any, list[LayerFault]]:
    """Return codes and clamped values, or faults and clamped values."""
    try:
        encoding = encode_layers()
    except NetworkError as error:
        return error.faults, error.clamped
    assert encoding.codes.dtype == np.int32
    return encoding.codes.tolist(), encoding.clamped


def check(cache: LayerCache, layers: list[Any]) -> None:
    """Compare the cache with `encode`."""
    expected = outcome(lambda: encode(layers, cache.code, cache.image, clamp=True))
    assert outcome(lambda: cache.encode(layers)) == expected


@settings(max_examples=200, deadline=None)
@given(layers=extended_layers, image=st.sampled_from([IMAGE, Shape(1, 28, 28)]))
def test_a_new_cache_encodes_like_encode(layers: list[Any], image: Shape) -> None:
    check(LayerCache(EXTENDED, image), layers)


@settings(max_examples=200, deadline=None)
@given(layers=extended_layers)
def test_a_used_cache_encodes_like_encode(warm: dict[str, LayerCache], layers: list[Any]) -> None:
    """Also networks that the paper's code does not know, or whose ratios have to be clamped."""
    for cache in warm.values():
        check(cache, layers)
        check(cache, layers)


@settings(max_examples=100, deadline=None)
@given(layers=table_1_layers, kernel=st.integers(1, 14), stride=st.none() | st.integers(1, 8))
def test_kernels_at_the_limit_of_the_code(
    warm: dict[str, LayerCache], layers: list[Any], kernel: int, stride: int | None
) -> None:
    for kind in ("conv", "max_pool"):
        fields = {"out_channels": 8} if kind == "conv" else {}
        check(warm["extended"], [*layers, {"type": kind, "kernel_size": kernel, "stride": stride, **fields}])
        check(warm["paper"], [*layers, {"type": kind, "kernel_size": kernel, "stride": stride, **fields}])


def test_the_same_layer_means_something_else_in_another_place() -> None:
    """A first convolution is exempt from the table of ratios, a later one is not; shapes and flatness count too."""
    cache = LayerCache(EXTENDED, IMAGE)
    assert not cache.encode([WIDE]).clamped
    assert [fault.layer for fault in cache.encode([RELU, WIDE, RELU, WIDE]).clamped] == [3]
    assert not cache.encode([WIDE]).clamped
    cache.encode([RELU, {"type": "global_avg_pool"}])
    with pytest.raises(NetworkError, match="cannot follow linear"):
        cache.encode([LINEAR, {"type": "global_avg_pool"}])


def test_every_clamped_layer_is_reported_at_its_own_index() -> None:
    """Also when it was met before in another network."""
    cache = LayerCache(EXTENDED, IMAGE)
    first = conv(out_channels=4)
    narrow = conv(out_channels=1, channel_ratio=None)
    for layers, where in (([first, WIDE], [1]), ([first, RELU, WIDE, RELU], [2]), ([first, WIDE, narrow], [1, 2])):
        for _ in range(2):
            clamped = cache.encode(layers).clamped
            assert [fault.layer for fault in clamped] == where
            assert clamped[0].field == "channel_ratio"
            assert "outside" in clamped[0].message


def test_every_fault_of_a_network_is_reported() -> None:
    """Though the cache stops at the first; a network with faults leaves no wrong entries behind."""
    cache = LayerCache(PAPER, IMAGE)
    layers = [conv(out_channels=8), RELU, conv(channel_ratio=9.0), {"type": "dropout"}, conv(out_channels=8), LINEAR]
    for _ in range(2):
        with pytest.raises(NetworkError) as raised:
            cache.encode(layers)
        assert [(fault.layer, fault.field) for fault in raised.value.faults] == [(3, "type"), (5, "type")]
        assert [fault.layer for fault in raised.value.clamped] == [2, 4]
        check(cache, layers[:2])


def size(cache: LayerCache) -> int:
    return sum(len(place) for place in cache._places.values())


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends ever new layers empties the cache; what it gives stays right."""
    monkeypatch.setattr(layer_cache, "MAX_ENTRIES", 50)
    cache = LayerCache(EXTENDED, IMAGE)
    largest = 0
    for width in range(1, 400):
        check(cache, [conv(out_channels=width), RELU, conv(channel_ratio=1.0), RELU])
        largest = max(largest, size(cache))
        assert len(cache._places) <= 50 + 1
    assert 40 < largest <= 50
    check(cache, [conv(out_channels=1), RELU])


def test_threads_may_share_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two reader threads encode at the same time, here while it is emptied again and again."""
    monkeypatch.setattr(layer_cache, "MAX_ENTRIES", 20)
    cache = LayerCache(EXTENDED, IMAGE)

    def work(seed: int) -> None:
        for width in range(1, 150):
            check(
                cache, [conv(out_channels=1 + (width * seed) % 97), RELU, WIDE, {"type": "max_pool", "kernel_size": 2}]
            )

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, (1, 5, 7, 11)))
