"""The expected wait of a request, which decides whether it is admitted."""

import pytest

from service import inflight
from service.inflight import InFlight

BODY = 100_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in a list of one: tests set it."""
    now = [100.0]
    monkeypatch.setattr(inflight, "monotonic", lambda: now[0])
    return now


def complete(flight: InFlight, clock: list[float], seconds: float, times: int = 1) -> None:
    """Let requests of `BODY` bytes come and go, one after the other."""
    for _ in range(times):
        began = flight.enter(BODY)
        clock[0] += seconds
        flight.leave(BODY, began, completed=True)


@pytest.mark.parametrize("seconds", [0.001, 0.5])
def test_the_wait_behind_others_follows_the_time_that_requests_take(clock: list[float], seconds: float) -> None:
    """Whether the machine is faster or much slower than the first guess."""
    flight = InFlight()
    complete(flight, clock, seconds, times=400)
    for _ in range(11):
        flight.enter(BODY)
    assert flight.wait(BODY) == pytest.approx(10 * seconds, rel=0.05)


def test_a_request_alone_waits_for_nothing(clock: list[float]) -> None:
    flight = InFlight()
    complete(flight, clock, 1.0, times=100)
    flight.enter(BODY)
    assert flight.wait(BODY) == 0


def test_requests_side_by_side_are_not_counted_twice(clock: list[float]) -> None:
    """Four at a time, each a second long: four seconds of waiting are one second of work."""
    flight = InFlight()
    for _ in range(200):
        began = [flight.enter(BODY) for _ in range(4)]
        clock[0] += 1.0
        for one in began:
            flight.leave(BODY, one, completed=True)
    for _ in range(5):
        flight.enter(BODY)
    assert flight.wait(BODY) == pytest.approx(1.0, rel=0.1)


def test_rejected_requests_say_nothing_of_the_speed(clock: list[float]) -> None:
    flight = InFlight()
    complete(flight, clock, 0.1, times=300)
    for _ in range(300):
        flight.leave(BODY, flight.enter(BODY), completed=False)
    flight.enter(BODY)
    flight.enter(BODY)
    assert flight.wait(BODY) == pytest.approx(0.1, rel=0.05)


def test_a_pause_of_the_process_does_not_count_as_work(clock: list[float]) -> None:
    """Else a service that was paused for an hour would reject requests for hundreds of requests."""
    flight = InFlight()
    complete(flight, clock, 0.1, times=300)
    complete(flight, clock, 3600.0)
    flight.enter(BODY)
    flight.enter(BODY)
    assert flight.wait(BODY) < 0.2


def test_bytes_and_requests_return_to_zero(clock: list[float]) -> None:
    flight = InFlight()
    began = flight.enter(BODY)
    assert (flight.requests, flight.body_bytes) == (1, BODY)
    flight.leave(BODY, began, completed=False)
    assert (flight.requests, flight.body_bytes) == (0, 0)
