"""What a client does when no answer comes: busy, restarting, slow, nobody there, somebody else there."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from time import monotonic
from typing import Any

import pytest

import peephole
from peephole import RequestError, ServiceError, UnavailableError
from tests.client.populations import RELU, answer
from tests.client.stub import HTML, Reply, stub
from tests.service.live import free_port

GOOD = Reply(200, answer({"architectures": [{"layers": [RELU]}]}))
PROBLEM = {"type": "/problems/queue-full", "title": "The queue is full", "status": 429, "detail": "The queue is full."}
Ask = Callable[..., Any]


def ask_sync(url: str, **options: Any) -> Any:
    with closing(peephole.Client(url, **options)) as client:
        return client.predict([RELU])


def ask_async(url: str, **options: Any) -> Any:
    async def ask() -> Any:
        async with peephole.AsyncClient(url, **options) as client:
            return await client.predict([RELU])

    return asyncio.run(ask())


@pytest.fixture(params=[ask_sync, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    found: Ask = request.param
    return found


@pytest.mark.parametrize(
    "bad",
    [Reply(502, HTML), Reply(503, HTML), Reply(429, PROBLEM), Reply(503, PROBLEM, {"Retry-After": "0"})],
    ids=["502 HTML", "503 HTML", "429", "503 Retry-After"],
)
def test_a_busy_service_is_asked_again(ask: Ask, bad: Reply) -> None:
    with stub(bad, bad, GOOD) as server:
        assert len(ask(server.url)) == 1
        assert len(server.received) == 3


def test_the_service_says_when(ask: Ask) -> None:
    """In seconds; no attempt comes earlier."""
    with stub(Reply(429, PROBLEM, {"Retry-After": "1"}), GOOD) as server:
        began = monotonic()
        ask(server.url)
        assert 1.0 <= monotonic() - began < 3.0


def test_a_date_is_understood_and_a_wait_beyond_the_budget_is_not_begun(ask: Ask) -> None:
    for later in ("60", "Wed, 21 Oct 2105 07:28:00 GMT"):
        with stub(Reply(503, PROBLEM, {"Retry-After": later})) as server:
            began = monotonic()
            with pytest.raises(UnavailableError) as caught:
                ask(server.url, timeout=5)
            assert monotonic() - began < 4
            assert caught.value.status == 503
            assert caught.value.retry_after is not None
            assert caught.value.retry_after >= 59
            assert len(server.received) == 1


def test_the_budget_ends(ask: Ask) -> None:
    """The last answer is the error, with the number of tries."""
    with stub(Reply(502, HTML)) as server:
        began = monotonic()
        with pytest.raises(UnavailableError, match=r"502: Bad Gateway \(\d+ tries in \d\.\d s\)") as caught:
            ask(server.url, timeout=1)
        assert monotonic() - began < 4
        assert caught.value.status == 502
        assert len(server.received) > 1


def test_nobody_listens(ask: Ask) -> None:
    began = monotonic()
    with pytest.raises(UnavailableError, match="cannot be reached") as caught:
        ask(f"http://127.0.0.1:{free_port()}", timeout=1)
    assert monotonic() - began < 4
    assert caught.value.status is None


def test_a_slow_service(ask: Ask) -> None:
    """The service knows how long the client waits."""
    with stub(Reply(200, GOOD.content, seconds=5)) as server:
        began = monotonic()
        with pytest.raises(UnavailableError, match="does not answer in time"):
            ask(server.url, timeout=0.5)
        assert monotonic() - began < 4
        assert 0 < int(server.received[0].headers["X-Request-Timeout-Ms"]) <= 500


@pytest.mark.parametrize(
    ("reply", "error", "says"),
    [
        (Reply(504, PROBLEM), UnavailableError, "504: The queue is full"),
        (Reply(500, PROBLEM), ServiceError, "500: The queue is full"),
        (Reply(500, HTML), ServiceError, "500: Internal Server Error"),
        (Reply(404, HTML), RequestError, "404: Not Found"),
        (Reply(422, {"detail": "/task: no", "errors": []}), RequestError, "/task: no"),
        (Reply(200, HTML), ServiceError, "is it a Peephole service"),
        (Reply(200, {}), ServiceError, "another form"),
        (Reply(307, {}, {"Location": "/elsewhere"}), ServiceError, "307"),
    ],
)
def test_other_answers_are_final(ask: Ask, reply: Reply, error: type[Exception], says: str) -> None:
    with stub(reply) as server:
        with pytest.raises(error, match=says):
            ask(server.url)
        assert len(server.received) == 1


def test_an_address_needs_its_scheme() -> None:
    """It would be taken for a host that cannot be reached, and tried until the budget ends."""
    for client in (peephole.Client, peephole.AsyncClient):
        with pytest.raises(ValueError, match="begins with http:// or https://"):
            client("localhost:8000")


def test_a_path_prefix_and_a_key_are_sent(ask: Ask) -> None:
    with stub(GOOD) as server:
        ask(server.url + "/peephole/", key="secret")
        (received,) = server.received
        assert received.path == "/peephole/predict"
        assert received.headers["Authorization"] == "Bearer secret"
        assert "secret" not in repr(peephole.Client(server.url, key="secret"))


def test_observations_are_stored_once() -> None:
    """A retry carries the key of the first attempt; the task is made when its images are known."""
    missing, stored = Reply(404, {"detail": "no"}), Reply(200, {"added": 2, "repeated": 0, "networks": 7})
    with stub(Reply(200, {"limits": {}}), missing, Reply(201, {}), Reply(502, HTML), stored) as server:
        networks = [[RELU], {"id": "b", "layers": [RELU, RELU], "costs": {"ms": 1.0}}]
        client = peephole.Client(server.url)
        found = client.observe("my/task", networks, [0.5, [0.1, 0.2]], seeds=[0, 1], input=[3, 8, 8])
        assert found == peephole.Observed(added=2, repeated=0, networks=7)
        _, _, made, first, second = server.received
        assert (made.method, made.path, made.body) == ("PUT", "/tasks/my%2Ftask", {"input": [3, 8, 8]})
        assert first.path == "/tasks/my%2Ftask/observations"
        assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
        assert second.body["observations"] == [
            {"layers": [RELU], "accuracy": 0.5, "seed": 0},
            {"id": "b", "layers": [RELU, RELU], "accuracy": [0.1, 0.2], "seed": 1},
        ]
        with pytest.raises(RequestError, match="2 networks, but 1 of accuracy"):
            client.observe("t", networks, [0.5])


def test_a_fit_is_started_and_looked_at() -> None:
    with stub(Reply(202, {"id": 7, "state": "queued"}), Reply(200, {"id": 7, "state": "done", "result": {}})) as server:
        client = peephole.Client(server.url)
        fit = client.fit("mine")
        assert (fit.id, fit.state) == ("7", "queued")
        assert client.fit("mine", fit.id).state == "done"
        assert [(one.method, one.path) for one in server.received] == [
            ("POST", "/tasks/mine/fits"),
            ("GET", "/tasks/mine/fits/7"),
        ]


def test_versions_are_read_and_chosen() -> None:
    """By both clients; a prediction may name one."""
    document = {"served": "context", "pinned": None, "versions": [{"version": "v2"}, {"version": "v1"}]}
    with stub(Reply(200, document)) as server:
        client = peephole.Client(server.url)
        found = client.versions("a b")
        assert (found.served, found.pinned, [one["version"] for one in found.versions]) == (
            "context",
            None,
            ["v2", "v1"],
        )
        assert client.use_version("a b", "v1") == asyncio.run(peephole.AsyncClient(server.url).use_version("a b", None))
        assert [(one.method, one.path, one.body) for one in server.received] == [
            ("GET", "/tasks/a%20b/versions", None),
            ("PUT", "/tasks/a%20b/version", {"version": "v1"}),
            ("PUT", "/tasks/a%20b/version", {"version": None}),
        ]
        with pytest.raises(ServiceError):
            client.predict([[RELU]], task="a", version="v1")
        assert server.received[-1].body["version"] == "v1"


def test_context_goes_with_the_request() -> None:
    """Networks measured so far; imported ones say which images they read."""
    with stub(GOOD) as server:
        request = {"input": [3, 8, 8], "architectures": [{"layers": [RELU]}]}
        context = [{"layers": [RELU], "accuracy": 0.5}] * 3
        peephole.Client(server.url).predict(request, context=context)
        assert server.received[0].body == {**request, "context": context}
