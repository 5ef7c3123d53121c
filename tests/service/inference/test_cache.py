"""The curve cache: bounded, keyed by everything that a curve depends on."""

import numpy as np

from service.inference.cache import CurveCache

ROW = np.arange(4, dtype=np.float32)


def key(sha256: str = "a", epochs: tuple[int, ...] = (1,), codes: list[list[int]] | None = None) -> bytes:
    (found,) = CurveCache.keys(sha256, epochs, [np.array(codes or [[1, 2]], dtype=np.int32)])
    return found


def test_a_key_tells_predictors_epochs_and_codes_apart() -> None:
    different = [
        key(),
        key("b"),
        key(epochs=(2,)),
        key(epochs=(1, 2)),
        key(codes=[[2, 1]]),
        key(codes=[[1, 2], [0, 0]]),
    ]
    assert len(set(different)) == len(different)
    assert key() == key()


def test_the_least_recently_used_rows_are_dropped() -> None:
    cache = CurveCache(2)
    cache.put({b"a": ROW, b"b": ROW})
    cache.get([b"a"])
    cache.put({b"c": ROW})
    assert set(cache.get([b"a", b"b", b"c"])) == {b"a", b"c"}


def test_a_cached_row_does_not_keep_the_array_of_its_request() -> None:
    cache = CurveCache(10)
    whole = np.zeros((1000, 31), dtype=np.float32)
    cache.put({b"one": whole[0]})
    assert cache.get([b"one"])[b"one"].base is None


def test_a_cache_of_no_entries_keeps_nothing() -> None:
    cache = CurveCache(0)
    cache.put({b"a": ROW})
    assert cache.get([b"a"]) == {}
