"""How a job is cut into chunks: every network once, bounded, shared between the workers, with little padding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.runtime import Curves
from service.inference.batching import MAX_PADDING, MIN_BATCH, split, to_curves, to_rows
from tests.service.inference.jobs import job

lengths = st.lists(st.integers(1, 1024), min_size=1, max_size=200)


@given(lengths, st.integers(1, 8), st.integers(1, 8192))
def test_every_network_is_in_one_chunk_and_chunks_are_bounded(lengths: list[int], workers: int, max_cost: int) -> None:
    chunks = split(job(*lengths), workers=workers, max_cost=max_cost)
    assert sorted(index for chunk in chunks for index in chunk.indices) == list(range(len(lengths)))
    for chunk in chunks:
        layers = [lengths[index] for index in chunk.indices]
        assert chunk.longest == max(layers)
        assert chunk.cost == len(layers) * max(layers)
        assert chunk.cost <= max_cost or len(layers) == 1, "one network cannot be cut"
        assert chunk.cost - sum(layers) <= MAX_PADDING + sum(layers) // 8


@pytest.mark.parametrize(
    ("workers", "sizes"), [(1, [32]), (2, [16, 16]), (3, [10, 10, 10, 2]), (8, [5, 5, 5, 5, 5, 5, 2])]
)
def test_workers_share_a_job_in_parts_that_are_not_too_small(workers: int, sizes: list[int]) -> None:
    chunks = split(job(*[50] * 32), workers=workers, max_cost=4096)
    assert [len(chunk.indices) for chunk in chunks] == sizes
    assert all(chunk.cost <= max(MIN_BATCH, 32 * 50 / workers + 50) for chunk in chunks)


def test_networks_of_similar_length_share_a_chunk() -> None:
    """Sorted by length, so that two long networks do not pad forty short ones."""
    chunks = split(job(*[2] * 20, 400, *[2] * 20, 390), workers=1, max_cost=4096)
    assert [sorted(chunk.indices) for chunk in chunks] == [[20, 41], [*range(20), *range(21, 41)]]


def test_rows_and_curves_are_the_same_numbers() -> None:
    accuracy, lower, upper = np.random.default_rng(0).random((3, 5, 4), dtype=np.float32)
    distance = np.arange(5, dtype=np.float32)
    rows = to_rows(Curves(accuracy, lower, upper, distance))
    assert rows.shape == (5, 13)
    again = to_curves(rows)
    for name, expected in {"accuracy": accuracy, "lower": lower, "upper": upper, "distance": distance}.items():
        np.testing.assert_array_equal(getattr(again, name), expected)
