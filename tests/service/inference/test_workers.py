"""Worker threads: a network that fails, fails alone; a worker beats, and tells what it did."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.runtime import Curves
from service.inference.queue import WorkQueue
from service.inference.workers import BEAT_SECONDS, Worker, run_predictor
from service.observability.metrics import Metrics
from tests.service.live import until

RAISES, NAN = 901, 902


class FakePredictor:
    """Accuracy is the sum of the codes; raises or gives NaN on marked networks."""

    def __init__(self) -> None:
        self.calls = 0

    def run(self, codes: np.ndarray, lengths: np.ndarray, epochs: tuple[int, ...], *, lane: int) -> Curves:
        self.calls += 1
        if (codes == RAISES).any():
            raise RuntimeError("no such row")
        accuracy = np.repeat(codes.sum(axis=(1, 2)).astype(np.float32)[:, None], len(epochs), axis=1)
        accuracy[(codes == NAN).any(axis=(1, 2))] = np.nan
        return Curves(accuracy, accuracy, accuracy, lengths.astype(np.float32))


def model_of(predictor: FakePredictor) -> Any:
    return SimpleNamespace(card=SimpleNamespace(task="fake"), predictor=predictor)


def column(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)[:, None]


@given(st.lists(st.sampled_from([1, 2, 3, RAISES, NAN]), min_size=1, max_size=40))
def test_networks_that_fail_are_found_and_the_others_have_their_curves(values: list[int]) -> None:
    predictor = FakePredictor()
    networks = [column(value, *[1] * (index % 5)) for index, value in enumerate(values)]
    rows, failed = run_predictor(model_of(predictor), networks, (1, 2), session=0)
    assert failed == [index for index, value in enumerate(values) if value in (RAISES, NAN)]
    for index in set(range(len(values))) - set(failed):
        np.testing.assert_array_equal(rows[index, :-1], [networks[index].sum()] * 6)
        assert rows[index, -1] == len(networks[index])


def test_one_failing_network_costs_few_further_calls() -> None:
    predictor = FakePredictor()
    networks = [column(RAISES if index == 700 else 1) for index in range(1024)]
    assert run_predictor(model_of(predictor), networks, (1,), session=0)[1] == [700]
    assert predictor.calls <= 2 * 10 + 1


@pytest.fixture
def worker() -> Worker:
    return Worker(0, WorkQueue(max_cost=10, max_batch=10, workers=1), Metrics())


def test_an_idle_worker_beats_and_ends_with_its_queue(worker: Worker) -> None:
    worker.start()
    before = worker.beat
    until(lambda: worker.beat > before + BEAT_SECONDS / 2, "a beat without work", seconds=2)
    worker.queue.close()
    worker.join(5)
    assert worker.has_ended


def test_results_for_a_closed_event_loop_are_dropped(worker: Worker) -> None:
    """The application was stopped while the worker computed: the worker goes on to the end of the queue."""
    from service.inference.batching import split
    from tests.service.inference.jobs import job

    work = job(3, model=model_of(FakePredictor()))
    worker.queue.put(split(work, workers=1, max_cost=10))
    worker.queue.close()
    worker.run()
    assert worker.has_ended
    assert worker.queue.cost == 0
