"""How inference threads share what waits."""

import asyncio
from time import monotonic
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from service.backlog import LEAST_BATCH, Backlog
from service.jobs import Chunk, Job

MODEL: Any = SimpleNamespace()


def job(*lengths: int, max_chunk: int = 4096) -> Job:
    async def make() -> Job:
        codes = [np.ones((length, 1), dtype=np.int32) for length in lengths]
        return Job(MODEL, codes, (1,), monotonic() + 60, max_chunk=max_chunk)

    return asyncio.run(make())


def drained(backlog: Backlog) -> list[list[Chunk]]:
    batches = []
    while batch := backlog.take(0.0):
        batches.append(batch)
    return batches


def sizes(batches: list[list[Chunk]]) -> list[int]:
    return [sum(len(chunk.rows) for chunk in batch) for batch in batches]


def backlog_of(*jobs: Job, takers: int) -> Backlog:
    backlog = Backlog(max_cost=1_000_000, max_batch=4096, takers=takers)
    for one in jobs:
        backlog.put(one)
    return backlog


@pytest.mark.parametrize(("takers", "shares"), [(1, [32]), (2, [16, 16]), (3, [11, 11, 10]), (8, [11, 11, 10])])
def test_threads_share_one_request(takers: int, shares: list[int]) -> None:
    """In equal parts, none so small that a call of its own does not pay."""
    backlog = backlog_of(job(*[50] * 32), takers=takers)
    batches = drained(backlog)
    assert sizes(batches) == shares
    assert backlog.waiting == 0
    assert backlog.cost == 32 * 50, "nothing is computed yet"
    for batch in batches:
        backlog.release(batch)
    assert backlog.cost == 0


def test_what_is_little_is_not_shared() -> None:
    assert sizes(drained(backlog_of(job(*[LEAST_BATCH // 10 - 1] * 20), takers=2))) == [20]


def test_every_network_is_computed_once() -> None:
    """Of a request whose networks differ much in length, with more threads than shares."""
    lengths = [1 + 7 * n % 120 for n in range(500)]
    asked = job(*lengths)
    backlog = backlog_of(asked, takers=4)
    batches = drained(backlog)
    rows = [row for batch in batches for chunk in batch for row in chunk.rows]
    assert sorted(rows) == list(range(500))
    for batch in batches:
        assert all(len(asked.codes[row]) <= chunk.longest for chunk in batch for row in chunk.rows)
        assert sum(chunk.cost for chunk in batch) <= 4096
        backlog.release(batch)
    assert backlog.waiting == backlog.cost == 0


def test_a_long_network_is_one_share() -> None:
    """It cannot be split, however many threads there are."""
    assert sizes(drained(backlog_of(job(3000, 3000), takers=4))) == [1, 1]


def test_requests_of_one_network_are_gathered_and_shared() -> None:
    backlog = backlog_of(*(job(50) for _ in range(32)), takers=2)
    assert sizes(drained(backlog)) == [16, 16]
