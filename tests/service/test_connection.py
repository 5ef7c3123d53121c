"""Predictions take a way of their own from the connection to the answer; nobody can tell which way his request took."""

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httptools
import httpx2
import pytest

from tests.service.live import Live, running
from tests.service.test_chaos import RELU, TRIGGER
from tests.service.test_raw import BODY, HEAD, MIB, connect, everything, flood

CHANGING = {"date", "x-request-id", "server-timing", "connection"}


@pytest.fixture(scope="module")
def live(tiny: Path) -> Iterator[Live]:
    with running(tiny, PEEPHOLE_MAX_ARCHITECTURES="40", PEEPHOLE_API_KEYS="secret") as process:
        yield process


def request(body: bytes = BODY, *headers: str, key: str = "secret") -> bytes:
    lines = "".join(f"{header}\r\n" for header in (*headers, f"X-API-Key: {key}"))
    return HEAD + lines.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(body: bytes = BODY, *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in (*headers, "X-API-Key: secret", "Transfer-Encoding: chunked"))
    return HEAD + lines.encode() + b"\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"


class Answers:
    """Reads answers from a connection: status, headers, body of each."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.found: list[tuple[int, dict[str, str], bytes]] = []
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.found.append((self._parser.get_status_code(), self._headers, self._body))
        self._headers, self._body = {}, b""

    def read(self, count: int) -> list[tuple[int, dict[str, str], bytes]]:
        """Read until so many answers are there."""
        while len(self.found) < count:
            data = self.connection.recv(65536)
            assert data, f"{len(self.found)} of {count} answers, then the end"
            self._parser.feed_data(data)
        return self.found


def ask(live: Live, *pieces: bytes) -> tuple[int, dict[str, str], bytes]:
    with connect(live) as caller:
        for piece in pieces:
            caller.sendall(piece)
            time.sleep(0.001)
        return Answers(caller).read(1)[0]


def without_ids(body: bytes) -> dict[str, object]:
    return {name: value for name, value in json.loads(body).items() if name != "request_id"}


MANY = json.dumps({"architectures": [{"id": str(n), "layers": [RELU] * n} for n in range(1, 40)]}).encode()


@pytest.mark.parametrize(
    ("body", "key", "status"),
    [
        pytest.param(BODY, "secret", 200, id="one network"),
        pytest.param(MANY, "secret", 200, id="many networks"),
        pytest.param(
            BODY.replace(b'"architectures"', b'"out_of_range":"clamp","architectures"'), "secret", 200, id="options"
        ),
        pytest.param(b"{", "secret", 400, id="not JSON"),
        pytest.param(BODY.replace(b"relu", b"rely"), "secret", 422, id="a fault"),
        pytest.param(MANY.replace(b"relu", b"rely"), "secret", 422, id="many faults"),
        pytest.param(BODY, "wrong", 401, id="no key"),
        pytest.param(b" " * 200_000 + BODY, "secret", 200, id="too large for the short way"),
    ],
)
def test_both_ways_answer_alike(live: Live, body: bytes, key: str, status: int) -> None:
    """To the header and the digit; a request to close the connection afterwards goes through the application."""
    short = ask(live, request(body, key=key))
    long = ask(live, request(body, "Connection: close", key=key))
    assert short[0] == long[0] == status
    assert {n: v for n, v in short[1].items() if n not in CHANGING | {"content-length"}} == {
        n: v for n, v in long[1].items() if n not in CHANGING | {"content-length"}
    }
    assert {"date", "x-request-id"} <= short[1].keys()
    assert ("server-timing" in short[1]) == ("server-timing" in long[1])
    assert without_ids(short[2]) == without_ids(long[2])


@pytest.mark.parametrize("extra", ["Connection: close", "X-Other: 1"], ids=["application", "express"])
def test_callers_may_choose_the_id(live: Live, extra: str) -> None:
    _, headers, body = ask(live, request(BODY, "X-Request-Id: mine-7", extra))
    assert headers["x-request-id"] == json.loads(body)["request_id"] == "mine-7"
    _, headers, _ = ask(live, request(BODY, "X-Request-Id: not\tmine", extra))
    assert headers["x-request-id"] != "not\tmine"


@pytest.mark.parametrize("pause", [0.0005, 0.05], ids=["at once", "later than anybody lingers"])
@pytest.mark.parametrize("body", [BODY, MANY], ids=["one network", "many networks"])
def test_a_body_may_come_after_its_head_and_in_pieces(live: Live, body: bytes, pause: float) -> None:
    whole = request(body)
    head = len(whole) - len(body)
    for cuts in ([head], [head, head + 1], [10, head + 3], [head - 1], [head + len(body) // 2]):
        with connect(live) as caller:
            for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
                caller.sendall(whole[start:end])
                time.sleep(pause)
            status, _, found = Answers(caller).read(1)[0]
        assert status == 200
        assert without_ids(found) == without_ids(ask(live, whole)[2])


def test_any_requests_cut_anywhere_are_answered_in_order(live: Live) -> None:
    """Short way and long, valid and not, one after the other on a connection, whatever the network makes of them."""
    rng = random.Random(5)
    kinds = [
        (lambda mark: request(BODY, mark), 200),
        (lambda mark: request(MANY, mark), 200),
        (lambda mark: request(b"[]", mark), 422),
        (lambda mark: request(BODY, mark, key="wrong"), 401),
        (lambda mark: chunked(BODY, mark), 200),
        (lambda mark: f"GET /livez HTTP/1.1\r\nHost: x\r\n{mark}\r\n\r\n".encode(), 200),
        (lambda mark: request(b" " * 140_000 + BODY, mark), 200),
    ]
    for _ in range(40):
        chosen = rng.choices(kinds, k=rng.randint(1, 8))
        stream = b"".join(make(f"X-Request-Id: n{n}") for n, (make, _) in enumerate(chosen))
        cuts = sorted(rng.sample(range(1, len(stream)), rng.randint(0, 6)))
        with connect(live) as caller:
            for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
                caller.sendall(stream[start:end])
                time.sleep(rng.choice([0, 0, 0.0005, 0.008]))
            found = Answers(caller).read(len(chosen))
        assert [status for status, _, _ in found] == [status for _, status in chosen]
        assert [headers["x-request-id"] for _, headers, _ in found] == [f"n{n}" for n in range(len(chosen))]


def test_what_follows_a_refused_body_is_read(tiny: Path) -> None:
    """A request is refused from its head; its body comes all the same, and a good request right behind it."""
    slow = "if trigger: time.sleep(1.5)"
    with running(tiny, slow, PEEPHOLE_MAX_QUEUE_COST="8", PEEPHOLE_THREADS="1", PEEPHOLE_STALL_SECONDS="9") as live:
        busy = json.dumps({"architectures": [{"layers": [TRIGGER, *[RELU] * n]} for n in (2, 3)]}).encode()
        with connect(live) as first, connect(live) as second:
            first.sendall(request(busy))
            time.sleep(0.3)
            body = b" " * 90_000 + BODY
            refused = request(body)
            second.sendall(refused[:1000])
            answers = Answers(second)
            status, headers, text = answers.read(1)[0]
            assert status == 429
            assert int(headers["retry-after"]) > 0
            assert json.loads(text)["type"] == "/problems/queue-full"
            second.sendall(refused[1000:70_000])
            time.sleep(0.01)
            second.sendall(refused[70_000:] + request(body))
            assert answers.read(2)[1][0] == 429
            assert Answers(first).read(1)[0][0] == 200
            second.sendall(request())
            assert answers.read(3)[2][0] == 200
        assert 'predictor_rejected_total{reason="queue_full"} 2.0' in httpx2.get(live.url + "/metrics").text


@pytest.mark.parametrize("first", [request, chunked], ids=["express", "application"])
def test_what_comes_while_somebody_is_served_waits(tiny: Path, first: Callable[[bytes], bytes]) -> None:
    """Whichever way the first of them took."""
    with running(tiny, "if trigger: time.sleep(0.5)") as live, connect(live) as caller:
        caller.sendall(first(json.dumps({"architectures": [{"layers": [TRIGGER]}, {"layers": [RELU]}]}).encode()))
        time.sleep(0.1)
        for n, piece in enumerate((request(BODY, "X-Request-Id: a"), request(MANY, "X-Request-Id: b"), first(BODY))):
            caller.sendall(piece)
            time.sleep(0.05 * n)
        found = Answers(caller).read(4)
    assert [status for status, _, _ in found] == [200] * 4
    assert [headers["x-request-id"] for _, headers, _ in found[1:3]] == ["a", "b"]
    assert len(json.loads(found[0][2])["predictions"]) == 2


def test_a_body_that_looks_like_a_request_is_none(live: Live) -> None:
    """Though its own request was answered before it came."""
    with connect(live) as caller:
        caller.sendall(HEAD + b"X-API-Key: secret\r\nContent-Length: %d\r\n\r\n" % (32 * 1024 * 1024))
        answers = Answers(caller)
        assert answers.read(1)[0][0] == 413
        caller.sendall(request())
        caller.settimeout(0.5)
        with pytest.raises((TimeoutError, AssertionError)):
            answers.read(2)


def test_who_hangs_up_while_waiting_is_forgotten(tiny: Path) -> None:
    """The work of somebody who is gone is not waited for, and is counted as such."""
    with running(tiny, "if trigger: time.sleep(1)", PEEPHOLE_THREADS="1", PEEPHOLE_STALL_SECONDS="9") as live:
        with connect(live) as gone:
            gone.sendall(
                request(json.dumps({"architectures": [{"layers": [TRIGGER, *[RELU] * n]} for n in (1, 2)]}).encode())
            )
            time.sleep(0.3)
        limit = time.monotonic() + 10
        while 'predictor_rejected_total{reason="client_gone"} 1.0' not in httpx2.get(live.url + "/metrics").text:
            assert time.monotonic() < limit
            time.sleep(0.05)
        assert ask(live, request())[0] == 200


def test_an_endless_pipeline_is_not_kept(tiny: Path) -> None:
    """Who sends on and on while he is served does not fill the memory."""
    with running(tiny, "if trigger: time.sleep(3)", PEEPHOLE_STALL_SECONDS="9") as live, connect(live) as caller:
        before = live.rss_kib()
        caller.sendall(request(json.dumps({"architectures": [{"layers": [TRIGGER]}, {"layers": [RELU]}]}).encode()))
        time.sleep(0.2)
        caller.settimeout(1)
        flood(caller, request(MANY) * 100, 200 * MIB)
        assert live.rss_kib() - before < 48 * 1024


@pytest.mark.parametrize("tiny_request", [b"GET /x HTTP/1.1\r\n\r\n", b"PUT /x HTTP/1.1\r\nContent-Length: 1\r\n\r\n "])
def test_packets_full_of_tiny_requests_are_parsed_few_at_a_time(tiny: Path, tiny_request: bytes) -> None:
    """What is known of each takes a hundred times its size; whoever sends them holds up nobody else."""
    with running(tiny) as live, connect(live) as caller:
        before = live.rss_kib()
        reader = threading.Thread(target=everything, args=(caller,), daemon=True)
        reader.start()
        sent, began = 0, time.monotonic()
        while time.monotonic() - began < 3:
            sent += caller.send(tiny_request * 10_000)
            asked = time.monotonic()
            assert httpx2.get(live.url + "/livez").status_code == 200
            assert time.monotonic() - asked < 2
        caller.shutdown(socket.SHUT_RDWR)
        reader.join(timeout=20)
        assert sent > MIB
        assert live.rss_kib() - before < 48 * 1024


def test_each_request_of_a_packet_is_answered(tiny: Path) -> None:
    """Those that wait unparsed, with bodies and without, are parsed in their turn."""
    get, post = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", request(MANY)
    with running(tiny) as live, connect(live) as caller:
        caller.sendall((get * 200 + post) * 5 + get.replace(b"Host", b"Connection: close\r\nHost"))
        assert everything(caller).count(b"HTTP/1.1 200 OK") == 201 * 5 + 1


def test_callers_who_hang_up_before_their_body_is_complete_are_counted(tiny: Path) -> None:
    with running(tiny) as live:
        with connect(live) as gone:
            gone.sendall(request(MANY)[:-1])
        limit = time.monotonic() + 10
        while 'predictor_rejected_total{reason="client_gone"} 1.0' not in httpx2.get(live.url + "/metrics").text:
            assert time.monotonic() < limit
            time.sleep(0.05)
