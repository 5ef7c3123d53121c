"""The measured speed of the workers, which decides which requests are admitted."""

import pytest

from service.inference.throughput import Throughput


def noted(batches: int, cost: int, seconds: float, throughput: Throughput | None = None) -> Throughput:
    throughput = throughput or Throughput(1)
    for _ in range(batches):
        throughput.note(cost, seconds)
    return throughput


@pytest.mark.parametrize("rate", [1_000, 10_000_000])
def test_a_rate_far_from_the_initial_one_is_learnt(rate: int) -> None:
    """Within a few hundred batches, whether the machine is faster or much slower."""
    assert noted(300, 4_096, 4_096 / rate).rate == pytest.approx(rate, rel=0.02)


def test_workers_compute_side_by_side() -> None:
    throughput = Throughput(3)
    before = throughput.rate
    for _ in range(300):
        throughput.note(4_096, 0.01)
    assert before == pytest.approx(Throughput(1).rate), "the first guess is of the machine"
    assert throughput.rate == pytest.approx(3 * 409_600, rel=0.01)


def test_a_pause_in_the_middle_of_a_batch_does_not_count_as_work() -> None:
    """Else a service that was paused for an hour would reject requests for hundreds of batches."""
    throughput = noted(300, 4_096, 0.004)
    usual = throughput.rate
    throughput.note(4_096, 3600.0)
    assert throughput.rate > usual / 2
    assert noted(40, 4_096, 0.004, throughput).rate == pytest.approx(usual, rel=0.1)
