"""The threads of the database: how much waits for them, and what becomes of the store's errors."""

import asyncio
from threading import Event
from time import monotonic

import pytest

from service.errors import PROBLEM_TYPES, Problem
from service.tasks.threads import MOST, StoreThreads
from store import KeyReusedError, QuotaError, StoreUnavailableError, TaskConflictError, UnknownTaskError


def test_calls_beyond_the_limit_are_rejected_until_others_are_done() -> None:
    """Those that were accepted are all carried out."""

    async def scenario() -> None:
        threads, release, deadline = StoreThreads(), Event(), monotonic() + 20
        calls = [asyncio.create_task(threads.run(deadline, release.wait, 20)) for _ in range(MOST)]
        await asyncio.sleep(0)
        with pytest.raises(Problem) as caught:
            await threads.run(deadline, str)
        assert (caught.value.slug, caught.value.headers["Retry-After"]) == ("queue-full", "1")
        release.set()
        assert await asyncio.gather(*calls) == [True] * MOST
        assert await threads.run(deadline, str, 5) == "5"
        threads.stop()
        with pytest.raises(Problem, match="stopping"):
            await threads.run(deadline, str)

    asyncio.run(scenario())


def test_calls_whose_deadline_passed_before_they_began_free_their_place() -> None:
    async def scenario() -> None:
        threads, release = StoreThreads(), Event()
        for _ in range(2 * MOST):
            with pytest.raises(TimeoutError):
                await threads.run(monotonic() + 0.001, release.wait, 20)
        release.set()
        threads.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownTaskError("leaves"), 404),
        (TaskConflictError(), 409),
        (QuotaError("100 tasks are stored"), 403),
        (KeyReusedError(), 422),
        (StoreUnavailableError("connection to 10.0.0.7 failed"), 503),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_of_the_store_becomes_a_problem(error: Exception, status: int) -> None:
    """Without what only the operator should know; the log has it."""

    def fail() -> None:
        raise error

    threads = StoreThreads()
    with pytest.raises(Problem) as caught:
        asyncio.run(threads.run(monotonic() + 20, fail))
    threads.stop()
    assert PROBLEM_TYPES[caught.value.slug].status == status
    assert "10.0.0.7" not in caught.value.detail
