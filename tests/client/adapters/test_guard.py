"""A search does not depend on its predictor: little waiting, pauses that grow, one warning."""

import pickle
from itertools import pairwise
from time import monotonic

import pytest

import peephole
from peephole.adapters import guard as guarding
from peephole.adapters.guard import Guard
from peephole.adapters.loop import EarlyStopper
from tests.client.stub import HTML, Reply, stub

NOBODY = "http://127.0.0.1:9"  # a port where nobody listens
TASKS = [{"task": "t", "description": "", "epochs": 20, "input": [3, 8, 8], "version": "1"}]


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(guarding, "monotonic", found)
    return found


def failing(_: object) -> None:
    raise peephole.UnavailableError("gone")


def test_pauses_double_up_to_an_hour_and_end_with_an_answer(clock, predictor, warnings):
    guard, calls = Guard(predictor), []

    def call(_: object) -> None:
        calls.append(clock.now)
        failing(_)

    for _ in range(5 * 3600):
        guard.ask(call)
        clock.now += 1
    waits = [later - earlier for earlier, later in pairwise(calls)]
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    clock.now += 3600
    assert guard.ask(lambda _: "answer") == "answer"
    guard.ask(call)
    clock.now += 61
    assert guard.ask(lambda _: "again") == "again"
    assert len(warnings) == 1


def test_any_error_is_kept_from_the_search(clock, predictor, warnings):
    assert Guard(predictor).ask(lambda _: 1 / 0) is None
    assert "division by zero" in warnings[0]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(502, HTML),
        Reply(503, {"detail": "draining"}, {"Retry-After": "1"}),
        Reply(429, {"detail": "busy"}, {"Retry-After": "1"}),
        Reply(200, {"decisions": 1}),
        Reply(200, HTML),
        Reply(404, HTML),
        Reply(500, HTML),
        Reply(200, {}, seconds=30),
    ],
)
def test_what_a_proxy_says_stops_nothing(reply, warnings):
    """A call waits at most five seconds; later epochs wait for nothing, and there is one warning."""
    with stub(reply) as server:
        search = EarlyStopper(peephole.Client(server.url), "t", best=0.9)
        run, began = search.start(), monotonic()
        assert not run.should_stop(0.1)
        first = monotonic() - began
        assert not any(run.should_stop(0.1) for _ in range(10))
        assert first < 5
        assert monotonic() - began - first < 1.5
    assert len(warnings) == 1


def test_a_service_that_comes_back_is_asked_again(clock):
    decision = {"id": None, "probability_below": 0.99, "stop": True, "final_accuracy": 0.1, "lower": 0.0, "upper": 0.2}
    with stub(Reply(200, TASKS), Reply(500, HTML), Reply(200, {"decisions": [decision]})) as server:
        search = EarlyStopper(peephole.Client(server.url), "t", best=0.9)
        run = search.start()
        assert [run.should_stop(0.1), run.should_stop(0.1)] == [False, False]
        clock.now += 61
        assert run.should_stop(0.1)


def test_nobody_listening_costs_seconds_at_first_and_little_later(clock, warnings):
    """Ten minutes of a search: three more calls, which wait a second at most."""
    search = EarlyStopper(peephole.Client(NOBODY), "t", best=0.9)
    waited = []
    for _ in range(10):
        began = monotonic()
        assert not search.start().should_stop(0.1)
        waited.append(monotonic() - began)
        clock.now += 60
    assert max(waited) < 5
    assert sum(waited) < 9
    assert len(warnings) == 1


def test_the_caller_s_client_keeps_its_timeout():
    client = peephole.Client(NOBODY, timeout=33)
    Guard(client).ask(lambda _: None)
    assert client.timeout == 33


def test_a_pickled_guard_has_warned_already(clock, predictor, warnings):
    guard = Guard(predictor)
    guard.ask(failing)
    copy = pickle.loads(pickle.dumps(guard))
    assert copy.ask(lambda one: one.tasks()[0].name) == "metaqnn-cifar10"
    copy.ask(failing)
    assert len(warnings) == 1
