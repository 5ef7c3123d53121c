"""What becomes of those who are still there when the wait of SIGTERM is over: an answer of ours, and an end."""

import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import httpx2
import pytest

from tests.service import graphs
from tests.service.live import Live, running

JSON = {"Content-Type": "application/json"}
BODY = json.dumps({"architectures": [{"layers": [{"type": "relu"}]}]}).encode()
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)


def half_a_request(live: Live) -> socket.socket:
    """Send all but the end of a body; return once the service holds the rest."""
    caller = socket.create_connection(("127.0.0.1", live.port), timeout=30)
    caller.sendall(HEAD + BODY[:-5])
    until_in_flight(live)
    return caller


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


def until_in_flight(live: Live) -> None:
    until(lambda: "inflight_requests 1.0" in httpx2.get(live.url + "/metrics").text)


def everything(caller: socket.socket) -> bytes:
    parts = []
    while part := caller.recv(65536):
        parts.append(part)
    return b"".join(parts)


def is_our_503(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, answer
    return head.startswith(b"HTTP/1.1 503 ") and json.loads(body)["type"] == "/problems/unavailable"


@pytest.mark.parametrize(("drain", "times"), [("1", 1), ("600", 2)], ids=["the-wait-is-over", "a-second-sigterm"])
def test_a_half_sent_body_is_answered_when_the_process_ends(tiny: Path, drain: str, times: int) -> None:
    """The caller gets the problem document of a service that cannot answer, not the server's own text."""
    with running(tiny, PEEPHOLE_DRAIN_SECONDS=drain, PEEPHOLE_BODY_SECONDS="600") as live, half_a_request(live) as slow:
        live.signal(signal.SIGTERM)
        for _ in range(times - 1):
            until(lambda: httpx2.get(live.url + "/readyz").status_code == 503)
            live.signal(signal.SIGTERM)
        assert is_our_503(everything(slow))
        code, output = live.wait(20)
    assert code == 0, output
    assert "Traceback" not in output


def test_a_prediction_longer_than_the_wait_is_answered_503(tmp_path: Path) -> None:
    """The model goes on for a minute; its caller hears about the end, and the process does not wait for the model."""
    slow = graphs.artifact(tmp_path / "slow", model=graphs.graph(loops=1500))
    answers: list[httpx2.Response] = []
    networks = [{"layers": [{"type": "dropout", "p": n / 1000}, {"type": "relu"}]} for n in range(600)]
    with running(slow, PEEPHOLE_DRAIN_SECONDS="1", PEEPHOLE_HANG_SECONDS="600", PEEPHOLE_BATCH_COST="2") as live:
        ask = threading.Thread(
            target=lambda: answers.append(
                httpx2.post(live.url + "/predict", json={"architectures": networks}, timeout=60)
            )
        )
        ask.start()
        until_in_flight(live)
        live.signal(signal.SIGTERM)
        ask.join(60)
        code, output = live.wait(20)
    assert code == 0, output
    assert answers[0].status_code == 503
    assert answers[0].headers["content-type"] == "application/problem+json"


def test_a_caller_who_does_not_read_does_not_keep_the_process(tmp_path: Path) -> None:
    """Answers that nobody takes, and a request behind them that cannot even be refused."""
    long = graphs.artifact(tmp_path / "long", epochs=20_000)
    with running(long, PEEPHOLE_DRAIN_SECONDS="1") as live, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", live.port))
        for _ in range(20):
            deaf.sendall(HEAD + BODY)
        until(lambda: 'predictor_architectures_total{task="tiny"} ' in httpx2.get(live.url + "/metrics").text)
        live.signal(signal.SIGTERM)
        code, output = live.wait(20)
    assert code == 0, output


def test_traces_that_nobody_takes_do_not_keep_the_process(tiny: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with running(tiny, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as live:
            for _ in range(5):
                assert httpx2.post(live.url + "/predict", content=BODY, headers=JSON).status_code == 200
            began = time.monotonic()
            live.signal(signal.SIGTERM)
            code, _ = live.wait()
    assert code == 0
    assert time.monotonic() - began < 8, "the exporter's own patience is 10 seconds"


@pytest.fixture
def terminal() -> Iterator[None]:
    """Heed SIGINT as in a terminal: what a shell starts in the background ignores it, and so do all its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("terminal")
def test_ctrl_c_ends_without_a_traceback(tiny: Path) -> None:
    with running(tiny) as live:
        live.signal(signal.SIGINT)
        code, output = live.wait()
    assert code == 128 + signal.SIGINT
    assert "Traceback" not in output


def test_large_requests_hear_that_the_service_stops(tiny: Path) -> None:
    """Each on a connection of its own, which is closed while its body arrives: an answer, and no reset."""
    with running(tiny) as live, half_a_request(live) as slow:
        live.signal(signal.SIGTERM)
        time.sleep(0.1)
        large = Request(live.url + "/predict", data=b" " * 8_000_000, headers={"Content-Type": "application/json"})
        for _ in range(10):
            with pytest.raises(HTTPError) as refused:
                urlopen(large, timeout=20)
            assert refused.value.code == 503
        slow.sendall(BODY[-5:])
        assert everything(slow).startswith(b"HTTP/1.1 200 ")
        assert live.wait()[0] == 0
