"""The short way of predictions, seen from inside: what is counted, what is kept, what may take it."""

import asyncio
import gc
import weakref

import pytest

from service.arrival import Arrival
from service.express import Express
from service.problems import Problem
from tests.service.conftest import Serve
from tests.service.test_raw import BODY, HEAD

REQUEST = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


def test_requests_that_arrive_together_are_counted_one_by_one(serve: Serve) -> None:
    """Each is admitted knowing of those before it, though none of them has been looked at yet."""
    service = serve(max_queue_cost=100).app.state.service  # type: ignore[attr-defined]
    express = Express(service)

    class Gone:
        arrival = None

    def arrive() -> bool:
        arrival = Arrival()
        assert arrival.feed(HEAD + b"Content-Length: 1000\r\n\r\n" + b" " * 1000)
        if not express.admits(arrival):
            return False
        express.answer_soon(Gone(), arrival)  # type: ignore[arg-type]
        return True

    async def crowd() -> None:
        assert arrive()
        assert arrive()
        assert (service.inflight, service.intake.size, service.buffered) == (2, 2000, 2000)
        with pytest.raises(Problem, match="queue is full"):
            arrive()
        await asyncio.sleep(0.01)

    asyncio.run(crowd())
    assert (service.inflight, service.intake.size, service.buffered) == (0, 0, 0)


def test_a_request_that_was_answered_is_freed_at_once() -> None:
    """Its body does not wait for the garbage collector."""
    arrival = Arrival()
    assert arrival.feed(REQUEST)
    gone = weakref.ref(arrival)
    arrival.end()
    gc.disable()
    try:
        del arrival
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_may_be_announced_in_several_ways(media_type: str) -> None:
    assert Arrival().feed(REQUEST.replace(b"application/json", media_type.encode()))
    assert not Arrival().feed(REQUEST.replace(b"application/json", b"text/plain"))
