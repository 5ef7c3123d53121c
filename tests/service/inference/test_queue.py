"""The work queue: bounded, fair, batches shared between requests, nothing computed that no request waits for."""

import threading
import time
from itertools import pairwise

import pytest

from service.inference.batching import MAX_PADDING, MIN_BATCH, Chunk, Job, split
from service.inference.queue import QueueClosedError, QueueFullError, WorkQueue
from tests.service.inference.jobs import job


def put(queue: WorkQueue, work: Job) -> Job:
    queue.put(split(work, workers=queue.workers, max_cost=queue.max_batch))
    return work


def queue_of(*jobs: Job, workers: int = 1, max_cost: int = 1_000_000) -> WorkQueue:
    queue = WorkQueue(max_cost=max_cost, max_batch=4096, workers=workers)
    for one in jobs:
        put(queue, one)
    return queue


def batches_of(queue: WorkQueue) -> list[list[Chunk]]:
    batches = []
    while batch := queue.take(0.0):
        batches.append(batch)
    return batches


def sizes(batches: list[list[Chunk]]) -> list[int]:
    return [sum(len(chunk.indices) for chunk in batch) for batch in batches]


def test_work_beyond_the_limit_is_rejected_until_there_is_room() -> None:
    """The limit holds for what waits and for what is in inference; one step inside it fits."""
    queue = queue_of(job(60), max_cost=100)
    with pytest.raises(QueueFullError):
        put(queue, job(41))
    put(queue, job(40))
    taken = queue.take(0.0)
    assert taken
    with pytest.raises(QueueFullError):
        put(queue, job(1))
    queue.done(taken)
    put(queue, job(1))


def test_an_empty_queue_takes_any_job() -> None:
    """Whether it could ever fit is decided before."""
    assert sizes(batches_of(queue_of(job(500), max_cost=100))) == [1]


def test_cost_counts_what_waits_and_what_is_computed() -> None:
    queue = queue_of(job(*[50] * 200), job(20))
    assert (queue.cost, queue.waiting, queue.requests) == (10_020, 10_020, 2)
    batches = batches_of(queue)
    assert (queue.cost, queue.waiting, queue.requests) == (10_020, 0, 0)
    for batch in batches:
        queue.done(batch)
    assert queue.cost == 0


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_single_networks_are_gathered_into_a_share_for_each_worker(workers: int) -> None:
    """No worker is idle while another has everything; but batches are not smaller than what a call pays for."""
    batches = batches_of(queue_of(*(job(64) for _ in range(64)), workers=workers))
    assert sizes(batches)[0] == 64 // workers
    assert sum(sizes(batches)) == 64
    assert all(sum(chunk.cost for chunk in batch) >= MIN_BATCH for batch in batches[:-1])


def test_networks_of_other_epochs_and_models_do_not_share_a_batch() -> None:
    other = object()
    queue = queue_of(job(5), job(5), job(5, epochs=(1, 2)), job(5, model=other), job(5, model=other))
    assert sizes(batches_of(queue)) == [2, 1, 2]


def test_a_batch_has_little_padding() -> None:
    """A network of 500 layers does not make forty of two layers as long."""
    queue = queue_of(job(500), *(job(2) for _ in range(40)))
    for batch in batches_of(queue):
        longest = max(chunk.longest for chunk in batch)
        layers = sum(len(chunk.job.networks[index]) for chunk in batch for index in chunk.indices)
        networks = sum(len(chunk.indices) for chunk in batch)
        assert networks * longest - layers <= MAX_PADDING + layers // 8


def test_a_small_request_waits_for_one_batch_of_each_large_one_at_most() -> None:
    queue = queue_of(job(*[50] * 1000), job(*[50] * 1000))
    queue.take(0.0)
    small = put(queue, job(3))
    order = [batch[0].job for batch in batches_of(queue)]
    assert order.index(small) <= 2


def test_large_requests_take_turns() -> None:
    large = [job(*[50] * 400) for _ in range(3)]
    order = [batch[0].job for batch in batches_of(queue_of(*large))]
    first_turns = order[: len(order) // 2]
    assert all(one is not other for one, other in pairwise(first_turns)), "no job has two turns in a row"


def test_a_stream_of_small_requests_does_not_starve_a_large_one() -> None:
    """At every turn as many small requests wait as before."""
    queue = queue_of()
    large = put(queue, job(*[50] * 1000))
    left = sum(chunk.cost for chunk in split(large, workers=1, max_cost=4096))
    for _ in range(100):
        while queue.requests < 9:
            put(queue, job(*[200] * 5))
        batch = queue.take(0.0)
        assert batch
        queue.done(batch)
        left -= sum(chunk.cost for chunk in batch if chunk.job is large)
    assert left == 0


def test_work_whose_request_is_over_is_dropped() -> None:
    """After its deadline, or once its request has a result: its room is free at once, others go on."""
    late, answered, waiting = job(*[50] * 300, seconds=-1), job(7), job(9)
    answered.future.cancel()
    queue = queue_of(late, answered, waiting)
    (batch,) = batches_of(queue)
    assert [chunk.job for chunk in batch] == [waiting]
    assert (queue.waiting, queue.cost) == (0, 9)


def test_taking_waits_for_work() -> None:
    queue = queue_of()
    began = time.monotonic()
    assert queue.take(0.05) == []
    assert time.monotonic() - began >= 0.05
    threading.Timer(0.05, lambda: put(queue, job(3))).start()
    assert sizes([queue.take(20.0) or []]) == [1]
    assert time.monotonic() - began < 10


def test_a_closed_queue_hands_out_what_it_has_and_accepts_no_more() -> None:
    queue = queue_of(job(4))
    queue.close()
    with pytest.raises(QueueClosedError):
        put(queue, job(1))
    assert sizes([queue.take(0.0) or []]) == [1]
    assert queue.take(0.0) is None
