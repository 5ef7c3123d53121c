"""What is thought of the inference threads' speed, on which it depends who is let in."""

import pytest

from service.pace import Pace


def noted(batches: int, cost: int, seconds: float, pace: Pace | None = None) -> Pace:
    pace = pace or Pace()
    for _ in range(batches):
        pace.note(cost, seconds)
    return pace


@pytest.mark.parametrize("rate", [1_000, 10_000_000])
def test_a_rate_far_from_what_was_assumed_is_learnt(rate: int) -> None:
    """Within a few dozen batches, whether the machine is faster or much slower."""
    assert noted(100, 4_096, 4_096 / rate).rate == pytest.approx(rate, rel=0.02)


def test_a_pause_in_the_middle_of_a_batch_is_not_taken_for_its_work() -> None:
    pace = noted(100, 4_096, 0.004)
    usual = pace.rate
    pace.note(4_096, 3600.0)
    assert pace.rate > usual / 2
    assert noted(20, 4_096, 0.004, pace).rate == pytest.approx(usual, rel=0.1)
