"""Who cannot be answered, or not in time, is told so at once and for the right reason."""

import asyncio
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic

import httpx2
import pytest
from service.calls import read_call
from service.problems import Problem
from service.turns import Turns

from tests.service import graphs
from tests.service.conftest import Serve
from tests.service.live import running
from tests.service.test_errors import problem
from tests.service.test_load import RELU, network, together, value


def test_a_full_queue_is_a_429_with_retry_after(serve: Serve, slow: Path) -> None:
    """Cost beyond the queue's is refused at once; what was admitted is answered."""
    client = serve(models=(slow,), max_queue_cost=100, batch_cost=20)
    responses = together(
        [lambda n=n: client.post("/predict", json={"architectures": [network(18, n)]}) for n in range(24)]
    )
    statuses = [response.status_code for response in responses]
    assert set(statuses) == {200, 429}
    refused = next(response for response in responses if response.status_code == 429)
    assert problem(refused, 429)["type"] == "/problems/queue-full"
    assert int(refused.headers["retry-after"]) >= 1
    assert value(client, 'predictor_rejected_total{reason="queue_full"}') == statuses.count(429)


def test_a_request_that_can_never_fit_is_a_413(serve: Serve) -> None:
    """One step inside the cost limit is answered, one outside is refused for good."""
    client = serve(max_queue_cost=100)
    fits = [{"layers": [RELU] * 50}, {"layers": [{"type": "tanh"}] * 50}]
    assert client.post("/predict", json={"architectures": fits}).status_code == 200
    too_much = [{"layers": [{"type": "sigmoid"}] * 51}, {"layers": [{"type": "batch_norm"}] * 51}]
    assert problem(client.post("/predict", json={"architectures": too_much}), 413)["limit"] == 100


def test_a_passed_deadline_is_a_504(serve: Serve, slow: Path) -> None:
    """The header sets it, the limit caps it, nonsense in it is refused."""
    client = serve(models=(slow,))
    body = {"architectures": [network(3)]}
    late = client.post("/predict", json=body, headers={"X-Request-Timeout-Ms": "1"})
    assert problem(late, 504)["type"] == "/problems/deadline-exceeded"
    assert client.post("/predict", json=body, headers={"X-Request-Timeout-Ms": "999999"}).status_code == 200
    for nonsense in ("0", "-1", "soon", "1.5", "9" * 40):
        problem(client.post("/predict", json=body, headers={"X-Request-Timeout-Ms": nonsense}), 400)


def test_a_deadline_limit_holds_one_step_outside(serve: Serve, slow: Path) -> None:
    """A caller who asks for more time than the limit gets the limit."""
    client = serve(models=(slow,), max_deadline_ms=1)
    problem(
        client.post("/predict", json={"architectures": [network(3)]}, headers={"X-Request-Timeout-Ms": "60000"}), 504
    )


def answer_to_headers(port: int, timeout_ms: int, size: int) -> bytes:
    """Announce a body, do not send it, and return the first line of the answer; nothing when none comes soon."""
    head = (
        f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n"
        f"X-Request-Timeout-Ms: {timeout_ms}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=5) as caller:
        caller.sendall(head.encode())
        caller.settimeout(0.5)
        with suppress(TimeoutError):
            return caller.recv(4096).partition(b"\r\n")[0]
    return b""


def test_who_would_wait_too_long_is_refused_from_the_headers(tmp_path: Path) -> None:
    """While much waits, an impatient caller gets a 429 without sending the body; a patient one is heard."""
    slower = graphs.artifact(tmp_path / "slower", model=graphs.graph(loops=300))
    with running(slower, PEEPHOLE_BATCH_COST="64", PEEPHOLE_STALL_SECONDS="60", PEEPHOLE_HANG_SECONDS="60") as live:
        idle = answer_to_headers(live.port, 50, 100_000)
        assert idle.startswith(b"HTTP/1.1 504"), "an idle service waits for the body as long as its caller does"
        statuses: list[int] = []

        def ask(n: int) -> None:
            networks = [network(30, 100 * n + i) for i in range(40)]
            response = httpx2.post(live.url + "/predict", json={"architectures": networks}, timeout=60)
            statuses.append(response.status_code)

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        limit = time.monotonic() + 20
        refused = False
        while not refused and any(thread.is_alive() for thread in threads) and time.monotonic() < limit:
            refused = answer_to_headers(live.port, 50, 100_000).startswith(b"HTTP/1.1 429")
        assert refused
        assert answer_to_headers(live.port, 60_000, 1000) == b"", "a patient caller is let in"
        for thread in threads:
            thread.join(60)
        assert statuses == [200] * 3


def test_reading_ends_with_the_deadline(serve: Serve) -> None:
    service = serve().app.state.service  # type: ignore[attr-defined]
    with pytest.raises(Problem, match="deadline"):
        read_call(json.dumps({"architectures": [network(7)]}).encode(), service, deadline=monotonic() - 1)
    assert read_call(json.dumps({"architectures": [network(7)]}).encode(), service, deadline=monotonic() + 60)


@pytest.mark.parametrize(
    ("is_busy", "others", "fewest", "most"),
    [
        pytest.param(True, 0.0, 1, 3, id="half a millisecond"),
        pytest.param(True, 0.02, 15, 16, id="a share of what refusals take"),
        pytest.param(True, 10.0, 40, 51, id="never more than ten milliseconds"),
        pytest.param(False, 0.0, 100, 100, id="no other work"),
    ],
)
def test_bodies_are_read_in_turns_while_there_is_other_work(
    monkeypatch: pytest.MonkeyPatch, is_busy: bool, others: float, fewest: int, most: int
) -> None:
    """The event loop comes around between readings, in the order of arrival; the clock is the test's."""
    now = 0.0
    monkeypatch.setattr("service.turns.perf_counter", lambda: now)
    turns = Turns(lambda: is_busy)
    rounds: list[int] = []
    order: list[int] = []
    turn = 0

    async def read(number: int) -> None:
        nonlocal now
        await turns.to_read()
        with turns.taken():
            now += 0.0002
        rounds.append(turn)
        order.append(number)

    async def crowd() -> None:
        nonlocal now, turn
        readings = asyncio.gather(*(read(number) for number in range(100)))
        while not readings.done():
            turn += 1
            await asyncio.sleep(0)
            now += others

    asyncio.run(crowd())
    assert order == list(range(100))
    found = Counter(rounds)
    assert fewest <= max(found.values()) <= most


def test_answers_go_before_readings_and_who_gave_up_takes_no_turn() -> None:
    turns = Turns(lambda: True)
    order: list[str] = []

    async def go(wait: Callable[[], Awaitable[None]], name: str) -> None:
        await wait()
        with turns.taken():
            order.append(name)

    async def crowd() -> None:
        readings = [asyncio.create_task(go(turns.to_read, f"reading {number}")) for number in range(3)]
        answers = [asyncio.create_task(go(turns.to_answer, f"answer {number}")) for number in range(3)]
        await asyncio.sleep(0)
        readings[1].cancel()
        await asyncio.wait_for(asyncio.gather(*readings, *answers, return_exceptions=True), 10)

    asyncio.run(crowd())
    assert order == ["answer 0", "answer 1", "answer 2", "reading 0", "reading 2"]
