"""Who is refused in the middle of a request, or behind others in one packet, gets his answer; nobody stays for ever."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.service.live import Live, running
from tests.service.test_raw import BODY, HEAD, MIB, REQUEST, connect, everything, flood

PLAIN = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"


@pytest.fixture(scope="module")
def live(tiny: Path) -> Iterator[Live]:
    with running(tiny, PEEPHOLE_HEADER_SECONDS="1", PEEPHOLE_BODY_SECONDS="1") as process:
        yield process


def statuses(answer: bytes) -> list[bytes]:
    """Return the statuses of the responses that a connection got."""
    return [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize(
    ("size", "media_type", "status"),
    [(8 * MIB, "text/plain", 415), (2 * MIB, "text/plain", 415), (20 * MIB, "application/json", 413)],
)
def test_a_large_body_refused_before_its_end_gets_its_answer(
    live: Live, size: int, media_type: str, status: int
) -> None:
    """From callers who close their connections, as urllib does: no reset overtakes the answer."""
    for _ in range(5):
        with pytest.raises(HTTPError) as refused:
            urlopen(Request(live.url + "/predict", data=b" " * size, headers={"Content-Type": media_type}), timeout=20)
        assert refused.value.code == status
        assert json.load(refused.value)["status"] == status


def test_who_goes_on_sending_after_his_answer_is_hung_up_on(live: Live) -> None:
    with connect(live) as endless:
        endless.sendall(PLAIN + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert flood(endless, b"100000\r\n" + b" " * MIB + b"\r\n", 1024 * MIB) < 100 * MIB


@pytest.mark.parametrize("rest", [b"", b" "], ids=["silent", "a byte"])
def test_a_refused_body_that_never_ends_is_not_waited_for(live: Live, rest: bytes) -> None:
    with connect(live) as half:
        half.sendall(PLAIN + b"Content-Length: 1000\r\n\r\n")
        assert half.recv(12) == b"HTTP/1.1 415"
        half.sendall(rest)
        began = time.monotonic()
        everything(half)
    assert time.monotonic() - began < 10


def test_a_refused_body_may_end_late_and_be_followed(live: Live) -> None:
    with connect(live) as caller:
        caller.sendall(PLAIN + b"Content-Length: 1000\r\n\r\n")
        time.sleep(0.2)
        caller.sendall(b" " * 1000 + REQUEST + REQUEST.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n"))
        assert statuses(everything(caller)) == [b"415", b"200", b"200"]


@pytest.mark.parametrize("head", [HEAD, PLAIN], ids=["wanted", "refused"])
@pytest.mark.parametrize("trailer", [b"a:\r\n", b"a" * 64], ids=["many", "one"])
def test_endless_trailers_are_cut_off_and_not_kept(live: Live, head: bytes, trailer: bytes) -> None:
    before = live.peak_kib()
    with connect(live) as endless:
        endless.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
        assert flood(endless, trailer * 4096, 100 * MIB) < 10 * MIB
    assert live.peak_kib() - before < 64 * 1024


def test_trailers_are_ignored(live: Live) -> None:
    """Of ordinary length; one that claims to be a header has no say in the next request."""
    body = b"%x\r\n%b\r\n0\r\nX-Request-Id: trailer\r\nContent-Type: text/plain\r\n\r\n" % (len(BODY), BODY)
    with connect(live) as caller:
        caller.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + body)
        caller.sendall(REQUEST.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n"))
        answer = everything(caller)
    assert statuses(answer) == [b"200", b"200"]
    assert b"trailer" not in answer


@pytest.mark.parametrize("size", [60_000, 70_000])
def test_a_head_in_one_piece_has_the_same_limit(live: Live, size: int) -> None:
    with connect(live) as caller:
        caller.sendall(REQUEST.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\nX: %b\r\n" % (b"x" * size)))
        assert statuses(everything(caller)) == [b"200" if size < 64 * 1024 else b"431"]


@pytest.mark.parametrize("chunked", [False, True])
def test_an_offer_of_another_protocol_is_ignored(live: Live, chunked: bool) -> None:
    """As `curl --http2` makes it; the body is read, and so is what follows."""
    framing = b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
    if chunked:
        framing = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    get = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
    with connect(live) as caller:
        caller.sendall(HEAD + OFFER + framing + get + OFFER + b"\r\n" + get + b"Connection: close\r\n\r\n")
        assert statuses(everything(caller)) == [b"200"] * 3
    with connect(live) as caller:  # the body comes later
        caller.sendall(HEAD + OFFER + framing[:-20])
        time.sleep(0.2)
        caller.sendall(framing[-20:] + get + b"Connection: close\r\n\r\n")
        assert statuses(everything(caller)) == [b"200"] * 2


def test_a_packet_full_of_offers_is_answered(live: Live) -> None:
    get = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
    with connect(live) as caller:
        caller.sendall((get + OFFER + b"\r\n") * 1500 + get + b"Connection: close\r\n\r\n")
        assert statuses(everything(caller)) == [b"200"] * 1501


@pytest.mark.parametrize(
    ("faulty", "status"),
    [
        (b"BAD\r\n\r\n", b"400"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"GET /livez HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", b"431"),
        (b"GET http://host HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (b"GET http://host HTTP/1.1\r\nHost: x\r\n" + OFFER + b"\r\n", b"400"),
        (b"POST /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n" + OFFER + b"\r\n", b"400"),
    ],
    ids=["no request", "a broken body", "a long head", "a target without a path", "and an offer", "an unknown coding"],
)
def test_what_is_wrong_with_a_request_is_said_after_the_answers_before_it(
    live: Live, faulty: bytes, status: bytes
) -> None:
    known = live.output().count("Traceback")
    for good in (REQUEST, REQUEST * 3, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"):
        with connect(live) as caller:
            caller.sendall(good + faulty)
            assert statuses(everything(caller)) == [b"200"] * max(1, good.count(b"POST")) + [status]
    with connect(live) as caller:
        caller.sendall(REQUEST)
        assert caller.recv(12) == b"HTTP/1.1 200"
        time.sleep(0.1)
        caller.sendall(faulty)
        assert everything(caller).count(b"HTTP/1.1 " + status) == 1
    assert live.output().count("Traceback") == known


def test_who_hangs_up_on_a_pipeline_is_no_error(tiny: Path) -> None:
    with running(tiny, "time.sleep(0.3)") as live:
        for _ in range(3):
            with connect(live) as gone:
                gone.sendall(REQUEST * 2 + b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                time.sleep(0.1)
        time.sleep(1)
        assert "Traceback" not in live.output()
        assert '"level":"error"' not in live.output()


def test_a_head_that_waits_for_an_answer_is_not_late(tiny: Path) -> None:
    """While requests before it are answered the service does not read, and the clock does not count."""
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    slow = running(tiny, "time.sleep(1)", PEEPHOLE_HEADER_SECONDS="0.3", PEEPHOLE_CACHE_ENTRIES="0")
    with slow as live, connect(live) as caller:
        caller.sendall(chunked)
        time.sleep(0.2)
        caller.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n")
        time.sleep(0.1)
        caller.sendall(b"Connection: close\r\n\r\n")
        assert statuses(everything(caller)) == [b"200"] * 3


def test_a_faulty_request_behind_a_refusal_that_closes_is_no_error(tiny: Path) -> None:
    with running(tiny) as live, connect(live) as caller, connect(live) as slow:
        slow.sendall(REQUEST[:-5])
        time.sleep(0.2)
        live.signal(signal.SIGTERM)
        time.sleep(0.2)
        caller.sendall(REQUEST + HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n")
        assert statuses(everything(caller)) == [b"503"]
        slow.sendall(REQUEST[-5:])
        code, output = live.wait()
    assert code == 0
    assert "Traceback" not in output


def test_who_goes_on_sending_does_not_hold_up_the_end(tiny: Path) -> None:
    with running(tiny) as live, connect(live) as dripping:
        dripping.sendall(PLAIN + b"Connection: close\r\nContent-Length: 1000\r\n\r\n")
        assert dripping.recv(12) == b"HTTP/1.1 415"
        began = time.monotonic()
        live.signal(signal.SIGTERM)
        while live.process.poll() is None and time.monotonic() - began < 20:
            with suppress(OSError):
                dripping.sendall(b" ")
            time.sleep(0.3)
        assert live.process.poll() == 0
        assert time.monotonic() - began < 10


def test_who_stops_in_the_middle_of_a_head_hears_so_after_the_answer_before(live: Live) -> None:
    with connect(live) as caller:
        caller.sendall(REQUEST + REQUEST[:30])
        assert statuses(everything(caller)) == [b"200", b"408"]


def test_connect_is_refused(live: Live) -> None:
    with socket.create_connection(("127.0.0.1", live.port), timeout=20) as caller:
        caller.sendall(b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n")
        assert statuses(everything(caller)) == [b"400"]
