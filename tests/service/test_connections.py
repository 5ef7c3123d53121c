"""Below HTTP: pipelines, pieces, hang-ups, floods. Each client gets its own responses; the service goes on."""

import json
import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httptools
import httpx2
import pytest

from tests.service.live import Live, running, until
from tests.service.requests import RELU, body, network, pair

MIB = 1024 * 1024
BODY = json.dumps(body({"layers": [RELU]})).encode()
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
JSON = {"Content-Type": "application/json"}


def request(content: bytes = BODY, *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return HEAD + lines.encode() + b"Content-Length: %d\r\n\r\n" % len(content) + content


def chunked(content: bytes = BODY, *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in (*headers, "Transfer-Encoding: chunked"))
    return HEAD + lines.encode() + b"\r\n%x\r\n" % len(content) + content + b"\r\n0\r\n\r\n"


@pytest.fixture(autouse=True)
def still_serves(live: Live) -> Iterator[None]:
    """Whatever a client does, others are answered afterwards, and memory has not grown."""
    before = live.rss_kib()
    yield
    assert httpx2.post(live.url + "/predict", json=pair()).status_code == 200
    assert live.rss_kib() - before < 64 * 1024
    assert "Traceback" not in live.output()


def connect(live: Live) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", live.port), timeout=20)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


class Responses:
    """Reads responses from a connection: status, headers, body of each."""

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

    def on_body(self, content: bytes) -> None:
        self._body += content

    def on_message_complete(self) -> None:
        self.found.append((self._parser.get_status_code(), self._headers, self._body))
        self._headers, self._body = {}, b""

    def read(self, count: int) -> list[tuple[int, dict[str, str], bytes]]:
        """Read until there are so many."""
        while len(self.found) < count:
            data = self.connection.recv(65536)
            assert data, f"{len(self.found)} of {count} responses, then the end"
            self._parser.feed_data(data)
        return self.found


def everything(connection: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    parts = []
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def flood(connection: socket.socket, chunk: bytes, size: int) -> int:
    """Send until `size` bytes are out or the server has closed; return how many went out."""
    sent = 0
    with suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
        while sent < size:
            connection.sendall(chunk)
            sent += len(chunk)
    return sent


def test_requests_cut_anywhere_are_answered_in_order(live: Live) -> None:
    """Valid and not, pipelined on one connection, in whatever pieces the network makes of them."""
    rng = random.Random(5)
    many = json.dumps(body(*(network(n, n) for n in range(40)))).encode()
    kinds = [
        (lambda mark: request(BODY, mark), 200),
        (lambda mark: request(many, mark), 200),
        (lambda mark: request(b"[]", mark), 422),
        (lambda mark: request(b"{", mark), 400),
        (lambda mark: chunked(BODY, mark), 200),
        (lambda mark: f"GET /livez HTTP/1.1\r\nHost: x\r\n{mark}\r\n\r\n".encode(), 200),
        (lambda mark: request(b" " * 140_000 + BODY, mark), 200),
    ]
    for _ in range(15):
        chosen = rng.choices(kinds, k=rng.randint(1, 8))
        stream = b"".join(make(f"X-Request-Id: n{n}") for n, (make, _) in enumerate(chosen))
        cuts = sorted(rng.sample(range(1, len(stream)), rng.randint(0, 6)))
        with connect(live) as client:
            for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
                client.sendall(stream[start:end])
                time.sleep(rng.choice([0, 0, 0.002]))
            found = Responses(client).read(len(chosen))
        assert [status for status, _, _ in found] == [status for _, status in chosen]
        assert [headers["x-request-id"] for _, headers, _ in found] == [f"n{n}" for n in range(len(chosen))]


def test_a_deadline_holds_while_the_body_arrives(live: Live) -> None:
    with connect(live) as slow:
        began = time.monotonic()
        slow.sendall(HEAD + b"X-Request-Timeout-Ms: 200\r\nContent-Length: 100\r\n\r\n{")
        assert Responses(slow).read(1)[0][0] == 504
        assert time.monotonic() - began < 2


def test_a_client_may_wait_for_100_continue(live: Live) -> None:
    """As curl does with bodies over a megabyte."""
    with connect(live) as client:
        client.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        client.sendall(BODY)
        assert client.recv(12) == b"HTTP/1.1 200"


def test_a_client_that_hangs_up_is_not_the_services_failure(live: Live) -> None:
    """After half its headers, half its body, or before its response: no 5xx is counted, which would raise an alert."""
    failures = 'http_requests_total{method="POST",route="/predict",status="5xx"}'
    rejections = 'http_requests_total{method="POST",route="/predict",status="4xx"}'
    before, rejected = live.metric(failures), live.metric(rejections)
    whole = request()
    for cut in (10, len(HEAD), len(whole) - 5, len(whole)):
        with connect(live) as gone:
            gone.sendall(whole[:cut])
            time.sleep(0.05)
    until(lambda: live.metric(rejections) > rejected, "the half body is counted")
    assert live.metric(failures) == before


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
        b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n",
    ],
)
def test_what_is_not_http_is_a_400(live: Live, text: bytes) -> None:
    """TLS, garbage, request smuggling, broken chunks; the connection is closed."""
    with connect(live) as odd:
        odd.sendall(text)
        assert everything(odd).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("pause", [0, 0.02], ids=["at once", "later"])
@pytest.mark.parametrize(
    ("size", "media_type", "status"),
    [(100, b"text/plain", 415), (7_900_000, b"text/plain", 415), (20_000_000, b"application/json", 413)],
)
def test_a_rejected_request_gets_its_response_before_the_connection_closes(
    live: Live, size: int, media_type: bytes, status: int, pause: float
) -> None:
    """Clients such as urllib close their connections, and read when the whole body is sent: no reset meets them."""
    head = HEAD.replace(b"application/json", media_type) + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % size
    with connect(live) as client:
        client.sendall(head)
        time.sleep(pause)
        client.sendall(b" " * size)
        time.sleep(pause)
        ((found, headers, _),) = Responses(client).read(1)
    assert (found, headers["content-type"]) == (status, "application/problem+json")


def test_a_rejected_body_that_never_ends_is_not_waited_for(live: Live) -> None:
    with connect(live) as half:
        began = time.monotonic()
        half.sendall(
            HEAD.replace(b"application/json", b"text/plain") + b"Connection: close\r\nContent-Length: 9\r\n\r\n "
        )
        assert everything(half).startswith(b"HTTP/1.1 415 ")
    assert time.monotonic() - began < 5


def test_a_hundred_megabytes_are_not_kept(live: Live) -> None:
    """A body of white space, announced and not, is a 413 long before it is in memory."""
    before = live.rss_kib()
    with connect(live) as announced:
        announced.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (100 * MIB))
        assert announced.recv(12) == b"HTTP/1.1 413"
    with connect(live) as unannounced:
        unannounced.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        flood(unannounced, b"100000\r\n" + b" " * MIB + b"\r\n", 100 * MIB)
        assert unannounced.recv(12) == b"HTTP/1.1 413"
        assert live.rss_kib() - before < 64 * 1024


def test_many_idle_connections_are_survived(live: Live) -> None:
    """Two hundred open connections do not keep a request from being answered, and their descriptors come back."""
    before = live.descriptors()
    with ExitStack() as crowd:
        for _ in range(200):
            crowd.enter_context(connect(live))
        assert live.status_of("/readyz") == 200
    until(lambda: live.descriptors() <= before + 5, "descriptors are closed")


def test_stalled_uploads_take_no_place_in_the_queue(live: Live) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            stalled = stack.enter_context(connect(live))
            stalled.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % MIB + b" " * (MIB - 1))
        assert httpx2.post(live.url + "/predict", json=pair(), timeout=5).status_code == 200


def test_responses_that_are_read_slowly_are_complete(tiny: Path) -> None:
    """A client with a small receive buffer, and another that is served meanwhile."""
    large = json.dumps(body(*(network(1, n) for n in range(4096)))).encode()
    with running(tiny) as process, socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(20)
        slow.connect(("127.0.0.1", process.port))
        slow.sendall(request(large))
        responses = Responses(slow)
        assert httpx2.post(process.url + "/predict", json=pair(), timeout=10).status_code == 200
        ((status, _, content),) = responses.read(1)
    assert status == 200
    assert len(json.loads(content)["predictions"]) == 4096


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/healthz", "/info", "/metrics", "/v2/health/ready", "/docs", "/no"]
)
def test_what_answers_get_answers_head(live: Live, path: str) -> None:
    """With the same headers and no body; some health checkers send it."""
    got, headed = httpx2.get(live.url + path), httpx2.head(live.url + path)
    assert headed.status_code == got.status_code
    assert headed.headers["content-type"] == got.headers["content-type"]
    assert int(headed.headers["content-length"]) > 0
    assert not headed.content
