"""Requests are written down when nobody waits, in order, each once, and never late."""

import asyncio

import pytest

from service import ledger
from service.ledger import A_FEW, ENOUGH, Ledger


def test_nothing_is_written_right_now_and_all_is_once_nobody_waits() -> None:
    async def check() -> None:
        written: list[int] = []
        book = Ledger(lambda: False)
        for number in range(3):
            book.enter(written.append, number)
        assert written == []
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert written == [0, 1, 2]

    asyncio.run(check())


def test_entries_wait_while_requests_do_until_there_are_enough() -> None:
    async def check() -> None:
        written: list[int] = []
        book = Ledger(lambda: True)
        for number in range(ENOUGH - 1):
            book.enter(written.append, number)
            await asyncio.sleep(0)
        assert written == []
        book.enter(written.append, ENOUGH - 1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert written == list(range(A_FEW))

    asyncio.run(check())


def test_no_entry_waits_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "LATEST_SECONDS", 0.001)

    async def check() -> None:
        written = asyncio.Event()
        book = Ledger(lambda: True)
        for _ in range(2 * A_FEW):
            book.enter(lambda: None)
        book.enter(written.set)
        await asyncio.wait_for(written.wait(), 10)

    asyncio.run(check())


def test_a_crowd_is_written_down_over_some_rounds_and_never_grows() -> None:
    """In every round more comes in than `A_FEW`."""

    async def check() -> None:
        written: list[int] = []
        book = Ledger(lambda: True)
        for number in range(50):
            for _ in range(10 * A_FEW):
                book.enter(written.append, number)
            await asyncio.sleep(0)
            assert len(written) >= 10 * A_FEW * (number - 8)
        assert written == sorted(written)

    asyncio.run(check())


def test_an_entry_that_fails_takes_no_other_with_it() -> None:
    async def check() -> None:
        failures: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
        written: list[int] = []
        book = Ledger(lambda: False)
        book.enter(lambda: 1 / 0)
        book.enter(written.append, 1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        book.write_up()
        assert written == [1]
        assert len(failures) == 1

    asyncio.run(check())
