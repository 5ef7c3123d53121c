"""The load generator: what is counted, and from when requests are timed."""

import asyncio
import time

from benchmarks.load import closed_loop, open_loop, post

REQUESTS = [post(b"{}")]


async def _serve(handle, load):
    """Run a load against a server whose connections `handle` serves."""

    async def connected(reader, writer):
        try:
            while await reader.readuntil(b"{}"):
                await handle(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        return await load(server.sockets[0].getsockname()[1])


def _response(status: int) -> bytes:
    return f"HTTP/1.1 {status} Some\r\nContent-Length: 2\r\n\r\n[]".encode()


def test_a_closed_loop_counts_responses_by_result():
    statuses = iter([200, 429, 503] + [200] * 100_000)

    async def handle(writer):
        writer.write(_response(next(statuses)))

    outcome = asyncio.run(_serve(handle, lambda port: closed_loop(port, REQUESTS, connections=2, seconds=0.1)))
    assert outcome.counts["rejected"] == len(outcome.rejected) == 2
    assert outcome.counts["answered"] == len(outcome.answered) > 2
    assert set(outcome.counts) == {"answered", "rejected"}


def test_a_stall_counts_for_every_request_that_was_due_meanwhile():
    stalls = iter([0.3])

    async def handle(writer):
        time.sleep(next(stalls, 0))  # stalls the client too, which runs on the same loop
        writer.write(_response(200))

    outcome = asyncio.run(_serve(handle, lambda port: open_loop(port, REQUESTS, rate=100, seconds=1.0, timeout=5)))
    late = [seconds for seconds in outcome.answered if seconds > 0.1]
    assert len(late) > 10  # some 20 of 100 were due in the last 0.2 s of the stall
    assert max(late) < 0.6
    assert len(late) < outcome.during <= len(outcome.answered)


def test_an_open_loop_counts_timeouts_and_closed_connections():
    count = 0

    async def handle(writer):
        nonlocal count
        count += 1
        if count % 2:
            writer.close()
        # else no response at all

    outcome = asyncio.run(_serve(handle, lambda port: open_loop(port, REQUESTS, rate=50, seconds=0.4, timeout=0.2)))
    assert outcome.counts["timed_out"] > 0
    assert outcome.counts["broken"] > 0
    assert not outcome.answered
