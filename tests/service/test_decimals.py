"""Numbers as JSON text are the numbers that rounding gives."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model.accuracies import DECIMALS
from service.decimals import FEW, lists


def read(values: np.ndarray, width: int) -> list[list[float]]:
    read: list[list[float]] = json.loads(msgspec.json.encode(lists(values, width)))
    return read


accuracies = st.floats(0, 1, width=32) | st.sampled_from([0.0, 1.0, 0.9999996, 0.9999994, 5e-7, 0.1, 0.000999])


@given(arrays(np.float32, (FEW, 6), elements=accuracies), st.sampled_from([1, 2, 3, 6]))
def test_text_is_what_rounding_gives(values: np.ndarray, width: int) -> None:
    assert read(values, width) == values.astype(np.float64).round(DECIMALS).reshape(-1, width).tolist()


@pytest.mark.parametrize("odd", [-0.25, -1e-9, 1.000001, 12.5])
@pytest.mark.parametrize("rows", [1, FEW])
def test_other_numbers_than_accuracies_are_written_too(odd: float, rows: int) -> None:
    values = np.full((rows, 4), 0.5)
    values[0, 1] = odd
    assert read(values, 2)[0] == [0.5, round(odd, DECIMALS)]
