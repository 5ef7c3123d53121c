"""Abuse below HTTP: slow headers, half bodies, pipelining, endless streams of nothing, with bounded memory."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from tests.service.live import Live, running

BODY = json.dumps({"architectures": [{"layers": [{"type": "relu"}]}]}).encode()
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def live(tiny: Path) -> Iterator[Live]:
    with running(tiny, PEEPHOLE_HEADER_SECONDS="1", PEEPHOLE_BODY_SECONDS="1") as process:
        yield process


@pytest.fixture(autouse=True)
def still_serves(live: Live) -> Iterator[None]:
    """Whatever a test does, others are answered afterwards, and memory has not grown."""
    before = live.rss_kib()
    yield
    assert (
        httpx2.post(live.url + "/predict", content=BODY, headers={"Content-Type": "application/json"}).status_code
        == 200
    )
    assert live.rss_kib() - before < 64 * 1024


def connect(live: Live) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", live.port), timeout=20)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def everything(connection: socket.socket) -> bytes:
    """Read until the server closes."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def flood(connection: socket.socket, chunk: bytes, size: int) -> int:
    """Send until `size` bytes are out or the server has had enough; return how many went out."""
    sent = 0
    try:
        while sent < size:
            connection.sendall(chunk)
            sent += len(chunk)
    except (BrokenPipeError, ConnectionResetError, TimeoutError):
        pass
    return sent


def test_slow_headers_are_cut_off(live: Live) -> None:
    """A connection that does not finish its headers in time is answered 408 and closed."""
    with connect(live) as slow:
        for letter in b"GET /liv":
            slow.sendall(bytes([letter]))
            time.sleep(0.01)
        answer = everything(slow)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer


def test_silence_is_cut_off(live: Live) -> None:
    """A connection that never says anything does not stay."""
    with connect(live) as silent:
        assert everything(silent).startswith(b"HTTP/1.1 408 ")


def test_a_half_body_is_cut_off(live: Live) -> None:
    """A body that stops in the middle is a 408; others are served meanwhile."""
    with connect(live) as half:
        half.sendall(REQUEST[:-10])
        assert httpx2.get(live.url + "/readyz").status_code == 200
        answer = everything(half)
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_comes_after_the_deadline_is_not_waited_for(live: Live) -> None:
    with connect(live) as half:
        began = time.monotonic()
        half.sendall(HEAD + b"X-Request-Timeout-Ms: 200\r\nContent-Length: 100\r\n\r\n{")
        assert everything(half).startswith(b"HTTP/1.1 504 ")
        assert time.monotonic() - began < 0.9, "as long as any body may take"


@pytest.mark.parametrize("header", [b"Content-Encoding: identity \t", b"Content-Encoding:", b"Expect: 100-continue \t"])
def test_blanks_behind_a_header_are_no_part_of_it(live: Live, header: bytes) -> None:
    with connect(live) as caller:
        caller.sendall(HEAD + header + b"\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        if b"Expect" in header:
            assert caller.recv(100).startswith(b"HTTP/1.1 100 ")
        caller.sendall(BODY)
        assert caller.recv(12) == b"HTTP/1.1 200"


def test_the_log_knows_of_connections_that_were_refused(live: Live) -> None:
    with connect(live) as caller:
        caller.sendall(b"BAD\r\n\r\n")
        answer = json.loads(everything(caller).partition(b"\r\n\r\n")[2])
    live.wait_printed(answer["request_id"])
    (line,) = [line for line in live.output().splitlines() if answer["request_id"] in line]
    assert (json.loads(line)["event"], json.loads(line)["problem"]) == ("connection_refused", "malformed-http")


def test_a_caller_that_vanishes_in_the_middle_harms_nobody(live: Live) -> None:
    """Connections closed after half a body, or before the answer."""
    for cut in (10, len(HEAD), len(REQUEST) - 5, len(REQUEST)):
        with connect(live) as gone:
            gone.sendall(REQUEST[:cut])


def test_pipelined_requests_are_answered_in_order(live: Live) -> None:
    """Fifty requests in one packet get fifty answers."""
    with connect(live) as pipe:
        pipe.sendall(REQUEST * 49 + REQUEST.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n"))
        assert everything(pipe).count(b"HTTP/1.1 200 OK") == 50


@pytest.mark.parametrize(
    "text",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HELLO\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(live: Live, text: bytes) -> None:
    """Garbage, request smuggling and broken chunks are a 4xx problem, and the connection is closed."""
    with connect(live) as odd:
        odd.sendall(text)
        answer = everything(odd)
    assert answer.startswith(b"HTTP/1.1 4"), answer
    assert b"application/problem+json" in answer


def test_endless_headers_are_refused(live: Live) -> None:
    """Headers beyond 64 KiB are a 431, however many more would come."""
    with connect(live) as endless:
        endless.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        sent = flood(endless, b"X-Filler: " + b"x" * 8000 + b"\r\n", 100 * MIB)
        assert sent < 10 * MIB


def test_a_hundred_megabytes_of_nothing_are_not_kept(live: Live) -> None:
    """A body of white space, announced and not, is a 413 long before it is in memory."""
    with connect(live) as announced:
        announced.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (100 * MIB))
        assert announced.recv(12) == b"HTTP/1.1 413"
    with connect(live) as chunked:
        chunked.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        flood(chunked, b"100000\r\n" + b" " * MIB + b"\r\n", 100 * MIB)
        assert live.rss_kib() < 512 * 1024


def test_many_idle_connections_are_survived(live: Live) -> None:
    """Two hundred open connections do not keep a request from being answered, and their descriptors come back."""
    before = live.descriptors()
    crowd = [connect(live) for _ in range(200)]
    assert httpx2.get(live.url + "/readyz").status_code == 200
    for one in crowd:
        one.close()
    limit = time.monotonic() + 10
    while live.descriptors() > before + 5 and time.monotonic() < limit:
        time.sleep(0.05)
    assert live.descriptors() <= before + 5


def test_stalled_uploads_take_nobodys_place(tiny: Path) -> None:
    """Bodies that never end are not taken for work that others would have to wait for."""
    upload = (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"%x\r\n" % (12 * MIB)
    )
    with running(tiny) as process, ExitStack() as stack:
        for _ in range(5):
            stalled = stack.enter_context(connect(process))
            stalled.sendall(upload + b" " * (12 * MIB - 1))
        answer = httpx2.post(process.url + "/predict", content=BODY, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200


@pytest.mark.parametrize("version", ["zzz", "1e5", "", "\u0661"])
def test_metrics_are_given_to_whoever_asks_oddly(live: Live, version: str) -> None:
    accept = f"application/openmetrics-text; version={version}".encode()
    assert httpx2.get(live.url + "/metrics", headers={b"Accept": accept}).status_code == 200
