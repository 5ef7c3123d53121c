"""Callers who ask and never read: their connections, and what was to be written to them, do not stay."""

import json
import socket
import time
from collections.abc import Iterator

import pytest

from tests.service import graphs
from tests.service.live import Live, running

BODY = json.dumps({"architectures": [{"layers": [{"type": "relu"}]}]}).encode()
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(BODY)
REQUEST = HEAD + b"\r\n" + BODY
LAST_REQUEST = HEAD + b"Connection: close\r\n\r\n" + BODY


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Answers of a megabyte and a half, and little patience."""
    long = graphs.artifact(tmp_path_factory.mktemp("long"), epochs=30_000)
    with running(long, PEEPHOLE_WRITE_SECONDS="1") as process:
        yield process


def connect(live: Live) -> socket.socket:
    """Connect with room for little: the kernel must not take the whole answer on the caller's behalf."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.settimeout(20)
    made.connect(("127.0.0.1", live.port))
    return made


@pytest.mark.parametrize("requests", [REQUEST * 8, REQUEST * 7 + LAST_REQUEST], ids=["kept-alive", "closing"])
def test_answers_that_nobody_reads_are_given_up(live: Live, requests: bytes) -> None:
    before, cut = live.descriptors(), live.output().count("answer_not_read")
    deaf = [connect(live) for _ in range(5)]
    for one in deaf:
        one.sendall(requests)
    limit = time.monotonic() + 30
    while live.output().count("answer_not_read") < cut + len(deaf) and time.monotonic() < limit:
        time.sleep(0.05)
    assert live.output().count("answer_not_read") == cut + len(deaf)
    assert live.descriptors() <= before
    for one in deaf:
        one.close()


def test_a_slow_reader_gets_everything(live: Live) -> None:
    """He takes longer than the limit in all, but never that long for nothing."""
    cut = live.output().count("answer_not_read")
    with connect(live) as slow:
        slow.sendall(REQUEST * 3 + LAST_REQUEST)
        parts, began = [], time.monotonic()
        while part := slow.recv(1 << 20):
            parts.append(part)
            if time.monotonic() - began < 4:
                time.sleep(0.1)
    assert b"".join(parts).count(b"HTTP/1.1 200 OK") == 4
    assert parts[-1].endswith(b"}")
    assert live.output().count("answer_not_read") == cut
