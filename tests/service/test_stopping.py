"""SIGTERM: what is in flight is answered, new requests get 503, the exit code is 0."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import httpx2
import pytest

from tests.service import graphs
from tests.service.live import Live, running, until
from tests.service.load import Load
from tests.service.requests import RELU, TRIGGER, pair, problem

JSON = {"Content-Type": "application/json"}
BODY = json.dumps({"architectures": [{"layers": [RELU]}]}).encode()
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)
PATIENT = {"PEEPHOLE_STALL_SECONDS": "60", "PEEPHOLE_HANG_SECONDS": "60"}
SIGNALS = pytest.mark.parametrize("times", [1, 2], ids=["one SIGTERM", "two SIGTERMs"])


def terminate(live: Live, times: int = 1) -> None:
    """Send SIGTERM, perhaps twice, as when a process group is stopped by its leader and by its shell."""
    for _ in range(times):
        live.signal(signal.SIGTERM)
        time.sleep(0.02)


@contextmanager
def slow_request(live: Live) -> Iterator[Future[httpx2.Response]]:
    """Have a request in inference that the predictor's patch takes long for."""
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(httpx2.post, live.url + "/predict", json=pair(TRIGGER), timeout=60)
        until(lambda: live.metric("predictor_queue_cost") > 0, "in the queue")
        until(lambda: live.metric("predictor_queue_requests") == 0, "in inference")
        yield sent


@contextmanager
def half_a_request(live: Live) -> Iterator[socket.socket]:
    """Send all but the end of a body; yield once the service waits for the rest."""
    with socket.create_connection(("127.0.0.1", live.port), timeout=30) as client:
        client.sendall(HEAD + BODY[:-5])
        until(lambda: live.metric("predictor_inflight_requests") == 1, "in flight")
        yield client


def everything(client: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


@SIGNALS
def test_clients_on_open_connections_are_answered(tiny: Path, times: int) -> None:
    """Each gets responses of its own until a 503 tells it to stop; no connection is reset."""
    with running(tiny) as live, Load(live, stops_on_503=True) as load:
        terminate(live, times)
        code, output = live.wait(20)
        assert code == 0, output
    assert set(load.outcomes) <= {"200", "503", "refused"}, load.outcomes


@SIGNALS
def test_a_slow_request_in_flight_is_answered_and_new_ones_get_503(tiny: Path, tmp_path: Path, times: int) -> None:
    """On open connections and on new ones: the service listens until the slow request is answered."""
    gate = tmp_path / "gate"
    action = f"while trigger and not __import__('os').path.exists({str(gate)!r}): time.sleep(0.05)"
    with running(tiny, action, **PATIENT) as live, slow_request(live) as slow, Load(live) as load:
        terminate(live, times)
        until(lambda: load.outcomes["503"] > 30, "new requests get 503")
        time.sleep(1)
        assert problem(httpx2.get(live.url + "/readyz"), 503)["reasons"] == ["the service is stopping"]
        assert httpx2.get(live.url + "/livez").status_code == 200
        load.stop()
        gate.touch()
        assert slow.result().status_code == 200
        code, output = live.wait(20)
    assert code == 0, output
    assert set(load.outcomes) <= {"200", "503"}, load.outcomes


def test_a_request_longer_than_the_drain_gets_503(tiny: Path) -> None:
    """The process does not wait for the predictor."""
    began = time.monotonic()
    with (
        running(tiny, "if trigger: time.sleep(3600)", PEEPHOLE_DRAIN_SECONDS="0.5", **PATIENT) as live,
        slow_request(live) as slow,
    ):
        terminate(live)
        assert "stopping" in problem(slow.result(), 503)["detail"]
        assert int(slow.result().headers["retry-after"]) > 0
        code, output = live.wait(20)
    assert code == 0, output
    assert "Traceback" not in output
    assert time.monotonic() - began < 15


def test_a_body_that_has_not_arrived_after_the_drain_gets_503(tiny: Path) -> None:
    with running(tiny, PEEPHOLE_DRAIN_SECONDS="0.5") as live, half_a_request(live) as client:
        terminate(live)
        head, _, document = everything(client).partition(b"\r\n\r\n")
        code, output = live.wait(20)
    assert head.startswith(b"HTTP/1.1 503 "), head
    assert json.loads(document)["type"] == "/problems/unavailable"
    assert code == 0, output
    assert "Traceback" not in output


def test_large_requests_during_the_drain_get_503(tiny: Path) -> None:
    """No reset overtakes the response, on kept connections and on connections of their own."""
    large = b" " * 3_000_000
    with running(tiny) as live, httpx2.Client(timeout=20) as kept, half_a_request(live) as slow:
        assert kept.get(live.url + "/livez").status_code == 200
        terminate(live)
        for _ in range(5):
            problem(kept.post(live.url + "/predict", content=large, headers=JSON), 503)
            with pytest.raises(HTTPError) as rejected:
                urlopen(Request(live.url + "/predict", data=large, headers=JSON), timeout=20)
            assert rejected.value.code == 503
        slow.sendall(BODY[-5:])
        assert everything(slow).startswith(b"HTTP/1.1 200 ")
        assert live.wait(20)[0] == 0


def test_idle_connections_do_not_delay_the_end(tiny: Path) -> None:
    """Nor is it worth a warning: at that level nothing is logged."""
    with running(tiny, PEEPHOLE_LOG_LEVEL="warning") as live, httpx2.Client() as client:
        assert client.get(live.url + "/livez").status_code == 200
        began = time.monotonic()
        terminate(live, 2)
        assert live.wait(20) == (0, "")
    assert time.monotonic() - began < 5


def test_a_client_that_does_not_read_does_not_keep_the_process(tmp_path: Path) -> None:
    """Responses of megabytes that stay in its connection, and requests behind them."""
    long = graphs.artifact(tmp_path / "long", epochs=20_000)
    with running(long, PEEPHOLE_DRAIN_SECONDS="0.5") as live, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", live.port))
        for _ in range(20):
            deaf.sendall(HEAD + BODY)
        until(lambda: live.metric('predictor_architectures_total{task="tiny"}') > 0, "a response")
        terminate(live)
        code, output = live.wait(20)
    assert code == 0, output


def test_a_collector_that_does_not_answer_does_not_keep_the_process(tiny: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with running(tiny, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_TIMEOUT="1") as live:
            assert httpx2.post(live.url + "/predict", content=BODY, headers=JSON).status_code == 200
            began = time.monotonic()
            terminate(live)
            code, output = live.wait(40)
    assert code == 0, output
    assert time.monotonic() - began < 8
