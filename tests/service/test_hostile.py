"""Hostile requests: never a 5xx, never an echo of a value, always a problem document; the service goes on."""

import copy
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from tests.service.api.conftest import TASK, mini  # noqa: F401 - a fixture
from tests.service.live import Live
from tests.service.requests import problem

MIB = 1024 * 1024
CANARY = "c4n4ry-c4n4ry"
NUMBER = 918273645
JSON = {"Content-Type": "application/json"}
SOUND = b'{"architectures":[{"layers":[{"type":"relu"}]}]}'
INFER = f"/v2/models/{TASK}/infer"

CONV = {"type": "conv", "kernel_size": [3, 5], "channel_ratio": 2.0, "stride": 2}
LAYERS = [
    CONV | {"groups": "depthwise", "padding": [1, 2], "name": "a"},
    {"type": "max_pool", "kernel_size": 1, "ceil_mode": True},
    {"type": "dropout", "p": 0.1, "name": "b"},
    {"type": "add", "inputs": ["a", "b"]},
]
NETWORK = {"id": "a", "in_channels": 3, "layers": LAYERS, "observed": [0.1, 0.2]}
TENSORS = [
    {"name": "architectures", "datatype": "BYTES", "shape": [1], "data": [json.dumps(NETWORK)]},
    {"name": "epochs", "datatype": "INT64", "shape": [2], "data": [1, 2]},
]
SEEDS: list[tuple[str, Any]] = [
    ("/predict", {"task": TASK, "architectures": [NETWORK], "epochs": [1, 10]}),
    ("/stop", {"task": TASK, "best": 0.5, "confidence": 0.9} | NETWORK),
    ("/stop", {"task": TASK, "best": 0.5, "architectures": [NETWORK, {"observed": [0.3]}]}),
    (INFER, {"id": "r", "inputs": TENSORS, "outputs": [{"name": "lower"}], "parameters": {"priority": 1}}),
]
VALUES = [
    None,
    True,
    0,
    -1,
    1.5,
    -0.0,
    NUMBER,
    -NUMBER,
    10**30,
    1e308,
    float("nan"),
    float("inf"),
    "",
    CANARY,
    CANARY * 1000,
    "\u0000",
    "\U0001f680\u202e\ufeff",
    [],
    [CANARY],
    [[[[CANARY]]]],
    [NUMBER] * 3,
    {},
    {CANARY + " ": CANARY},
    {"int": {}, "float": [], "conv": 1, "tuple[int]": 1},
    {"layers": {"layers": {"layers": CANARY}}},
]


def check(response: Any) -> None:
    """A prediction, or a problem document that repeats nothing."""
    if response.status_code == 200:
        return
    assert 400 <= response.status_code < 500, response.text
    problem(response, response.status_code)
    assert CANARY not in response.text
    assert str(NUMBER) not in response.text
    assert CANARY not in str(dict(response.headers))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield every place in a JSON document."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inside:
        yield from places(child, (*path, key))


def changed(document: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    """Return a copy of a document after `change` of the object or list that holds a place."""
    found = copy.deepcopy(document)
    at = found
    for key in path[:-1]:
        at = at[key]
    change(at, path[-1])
    return found


def post(client: TestClient, path: str, document: Any) -> Any:
    return client.post(path, content=json.dumps(document), headers=JSON)


@pytest.mark.parametrize(("path", "seed"), SEEDS, ids=[f"{path} {index}" for index, (path, _) in enumerate(SEEDS)])
def test_any_value_in_any_place(mini: TestClient, path: str, seed: Any) -> None:  # noqa: F811
    """Every value of a list of odd ones in every place of a sound request."""
    assert post(mini, path, seed).status_code == 200
    for value in VALUES:
        check(post(mini, path, value))
        for place in list(places(seed))[1:]:
            check(post(mini, path, changed(seed, place, lambda at, key, value=value: at.__setitem__(key, value))))


@pytest.mark.parametrize(("path", "seed"), SEEDS, ids=[f"{path} {index}" for index, (path, _) in enumerate(SEEDS)])
def test_any_field_left_out_or_added(mini: TestClient, path: str, seed: Any) -> None:  # noqa: F811
    for place in list(places(seed))[1:]:
        check(post(mini, path, changed(seed, place, lambda at, key: at.pop(key))))
        for name in (CANARY + " ", "", "int", "float", "conv", "constrained-int", "layers", "epochs", "architectures"):
            if not isinstance(place[-1], int):
                check(post(mini, path, changed(seed, place, lambda at, _, name=name: at.__setitem__(name, CANARY))))


@pytest.mark.parametrize(("path", "seed"), SEEDS, ids=[f"{path} {index}" for index, (path, _) in enumerate(SEEDS)])
def test_a_body_cut_anywhere(mini: TestClient, path: str, seed: Any) -> None:  # noqa: F811
    """Every beginning of a sound body is not JSON."""
    body = json.dumps(seed).encode()
    for end in range(len(body)):
        problem(mini.post(path, content=body[:end], headers=JSON), 400)


TEXTS = [
    b"\xff\xfe{\x00}\x00",
    b"\x00" * 1000,
    b"\x1f\x8b\x08\x00",
    b'{"architectures":[{"layers":[{"type":"relu"}],"id":"\xff"}]}',
    b'{"architectures":[{"layers":[{"type":"relu"}],"id":"\\ud800"}]}',
    b'{"\\ud800":1}',
    b'{"architectures":[{"layers":[{"type":"\\udfff"}]}]}',
    b'{"architectures":[{"layers":[{"type":"relu"}],"id":"a\nb"}]}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"architectures":[{"layers":[' + b"[" * 150 + b"]" * 150 + b"]}]}",
    b'{"best":0.5,"observed":' + b"[" * 190 + b"]" * 190 + b"}",
    b'{"epochs":' + b"9" * 100_000 + b"}",
    b'{"epochs":-' + b"9" * 4000 + b',"architectures":[{"layers":[{"type":"relu"}]}]}',
    b'{"epochs":1' + b"0" * 4000 + b',"architectures":[{"layers":[{"type":"relu"}]}]}',
    b'{"best":1e-99999,"observed":[1E+99999]}',
    b'{"best":0.' + b"3" * 100_000 + b',"observed":[0.5]}',
    b'{"task":' + json.dumps(CANARY * 10_000).encode() + b',"architectures":[{"layers":[{"type":"relu"}]}]}',
    b"NaN",
    b"// comment\n{}",
    b'\xef\xbb\xbf\xef\xbb\xbf{"a":1}',
    b"\xe2\x80\xa8" + SOUND,
    SOUND + SOUND,
    SOUND + b"\x00",
    SOUND.replace(b"relu", b"re\\u006Cu").replace(b"layers", b"l\\u0061yers"),
]


@pytest.mark.parametrize("path", ["/predict", "/stop", "/v2/models/tiny/infer"])
def test_texts_that_are_hardly_json(live: Live, path: str) -> None:
    """Over a real connection; the connection and the service go on."""
    with httpx2.Client(base_url=live.url) as client:
        for text in TEXTS:
            check(client.post(path, content=text, headers=JSON))
        assert client.post("/predict", content=SOUND, headers=JSON).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        f"/{CANARY}",
        f"/tasks/{CANARY}",
        f"/problems/{CANARY}",
        f"/v2/models/{CANARY}",
        f"/v2/models/{CANARY}/ready",
        f"/v2/models/tiny/versions/{CANARY}",
        f"/static-offline-docs/{CANARY}",
        "/static-offline-docs/../../../../etc/passwd",
        "/static-offline-docs/%2e%2e/%2e%2e/core.py",
        "/tasks/%0d%0aSet-Cookie:%20a=b",
        "/tasks/%00",
        "/tasks/%ff%fe",
        "/tasks/" + "x" * 5000,
        f"//{CANARY}",
    ],
)
def test_a_hostile_path(live: Live, path: str) -> None:
    """Not found, without an echo of what was looked for."""
    response = httpx2.get(live.url + path)
    check(response)
    assert response.status_code == 404
    assert "set-cookie" not in response.headers


def test_a_hostile_query(mini: TestClient) -> None:  # noqa: F811
    for query in (f"task={CANARY}", "task=%00", "task=%ff", f"task={TASK}&task={CANARY}", "task", "=", "a" * 5000):
        headers = {"Content-Type": "application/octet-stream"}
        check(mini.post(f"/predict-weights?{query}", content=b"x", headers=headers))
    check(mini.post(f"{INFER}?version={CANARY}", content=b"{}"))
    assert mini.post(f"/predict?{CANARY}", content=SOUND, headers=JSON).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Request-ID": f'{CANARY}"<script>'},
        {"X-Request-ID": CANARY * 100},
        {"X-Request-Timeout-Ms": CANARY},
        {"X-Request-Timeout-Ms": "1e9"},
        {"Authorization": f"Bearer {CANARY}", "X-API-Key": CANARY},
        {"Content-Type": f"application/json; charset={CANARY}"},
        {"Content-Type": "application/json; charset=utf-8; charset=utf-16"},
        {"Content-Type": ";;;"},
        {"Content-Encoding": CANARY},
        {"Accept": CANARY, "Accept-Encoding": "gzip;q=" + CANARY, "Range": "bytes=0-1", "If-Match": CANARY},
        {"Inference-Header-Content-Length": CANARY},
        {"Inference-Header-Content-Length": "99999999999"},
        {"Origin": CANARY, "Cookie": CANARY, "Forwarded": f"for={CANARY};host={CANARY}", "X-Forwarded-Host": CANARY},
        {"Host": CANARY},
        {"Expect": "100-continue"},
        {"X-Large": "x" * 20_000},
    ],
    ids=lambda headers: str(headers)[:60],
)
@pytest.mark.parametrize(
    "path", ["/predict", "/stop", "/v2/models/tiny/infer", "/predict-weights", "/metrics", "/docs"]
)
def test_hostile_headers(live: Live, path: str, headers: dict[str, str]) -> None:
    method = "GET" if path in ("/metrics", "/docs") else "POST"
    content = SOUND if method == "POST" else b""
    check(httpx2.request(method, live.url + path, content=content, headers=JSON | headers))


def repeated(element: bytes, size: int) -> bytes:
    return b",".join([element] * (size // (len(element) + 1)))


def names(size: int) -> bytes:
    return b",".join(b'"%06x":1' % index for index in range(size // 11))


ONE = b'{"architectures":[{"layers":[{"type":"relu"}],%s}]}'
LARGE: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "epochs too small": ("/predict", lambda n: b'{"epochs":[%s],"architectures":[1]}' % repeated(b"0", n)),
    "epochs too large": ("/predict", lambda n: SOUND[:-1] + b',"epochs":[%s]}' % repeated(b"99", n)),
    "observed": ("/predict", lambda n: ONE % (b'"observed":[%s]' % repeated(b"2", n))),
    "layers that are none": ("/predict", lambda n: b'{"architectures":[{"layers":[%s]}]}' % repeated(b"1", n)),
    "a kernel of millions": (
        "/predict",
        lambda n: b'{"architectures":[{"layers":[{"type":"max_pool","kernel_size":[%s]}]}]}' % repeated(b"3", n),
    ),
    "too many layers": ("/predict", lambda n: b'{"architectures":[{"layers":[%s]}]}' % repeated(b'{"type":"relu"}', n)),
    "too many architectures": (
        "/predict",
        lambda n: b'{"architectures":[%s]}' % repeated(b'{"layers":[{"type":"relu"}]}', n),
    ),
    "unknown fields of a layer": (
        "/predict",
        lambda n: b'{"architectures":[{"layers":[{"type":"relu",%s}]}]}' % names(n),
    ),
    "one unknown field again and again": ("/predict", lambda n: ONE % repeated(b'"x":1', n)),
    "unknown fields of a request": ("/predict", lambda n: b'{"architectures":[1],%s}' % names(n)),
    "architectures that are none": ("/predict", lambda n: b'{"architectures":[%s]}' % repeated(b"1", n)),
    "an id of megabytes": ("/predict", lambda n: ONE % (b'"id":"%s"' % (b"x" * n))),
    "a type of megabytes": ("/predict", lambda n: b'{"architectures":[{"layers":[{"type":"%s"}]}]}' % (b"x" * n)),
    "observed by /stop": ("/stop", lambda n: b'{"best":0.5,"observed":[%s]}' % repeated(b"2", n)),
    "runs that are none": ("/stop", lambda n: b'{"best":0.5,"architectures":[%s]}' % repeated(b"1", n)),
    "unknown fields of /stop": ("/stop", lambda n: b'{"best":0.5,"observed":[0.1],%s}' % names(n)),
    "tensors of nothing": (
        "/v2/models/tiny/infer",
        lambda n: (
            b'{"inputs":[{"name":"architectures","datatype":"BYTES","shape":[1],"data":[%s]}]}' % repeated(b'""', n)
        ),
    ),
    "a shape of millions": (
        "/v2/models/tiny/infer",
        lambda n: (
            b'{"inputs":[{"name":"architectures","datatype":"BYTES","shape":[%s],"data":[]}]}' % repeated(b"1", n)
        ),
    ),
    "unknown tensors": (
        "/v2/models/tiny/infer",
        lambda n: b'{"inputs":[%s]}' % repeated(b'{"name":"x","datatype":"BYTES","shape":[1]}', n),
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_megabytes_of_faults_are_answered_with_a_few(live: Live, name: str) -> None:
    """In seconds; a small request is served at once afterwards."""
    path, make = LARGE[name]
    began = time.monotonic()
    response = httpx2.post(live.url + path, content=make(2 * MIB), headers=JSON, timeout=60)
    assert time.monotonic() - began < 10
    document = problem(response, 422)
    assert 1 <= len(document["errors"]) <= 20
    assert len(response.content) < 8192
    assert httpx2.post(live.url + "/predict", content=SOUND, headers=JSON).status_code == 200


def test_the_service_does_not_grow(live: Live) -> None:
    """Rejected bodies, ever new layers, ids and tasks leave nothing behind."""

    def flood(start: int) -> None:
        with httpx2.Client(base_url=live.url) as client:
            for number in range(start, start + 40):
                layers = [{"type": "conv", "kernel_size": 3, "out_channels": 10 * number + n} for n in range(1, 10)]
                body = {"architectures": [{"id": CANARY * 10 + str(number), "layers": layers}]}
                client.post("/predict", json=body)
                client.post("/predict", json=body | {"task": str(number) * 1000})
                client.post("/predict", content=SOUND + b" " * MIB + b"x", headers=JSON)

    flood(1)  # the first time around the allocator grows
    before = live.rss_kib()
    for start in (1000, 2000, 3000):
        flood(start)
    assert live.rss_kib() - before < 16 * 1024


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_of_20_megabytes_is_a_413(live: Live, is_chunked: bool) -> None:
    """With a length it is known before the body is read, in chunks while it is."""
    content: Any = (b" " * MIB for _ in range(20)) if is_chunked else b" " * (20 * MIB)
    began = time.monotonic()
    response = httpx2.post(live.url + "/predict", content=content, headers=JSON)
    assert problem(response, 413)["limit"] == 8 * MIB
    assert time.monotonic() - began < 5


def speak(live: Live, data: bytes, *, close: bool = False) -> bytes:
    """Send bytes and return what comes back until the connection is closed."""
    with socket.create_connection(("127.0.0.1", live.port)) as connection:
        connection.settimeout(10)
        connection.sendall(data)
        if close:
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


HEAD = b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nConnection: close\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(SOUND)
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


def test_chunks_of_any_size_are_put_together(live: Live) -> None:
    single = b"".join(b"1\r\n%c\r\n" % byte for byte in SOUND)
    for chunks in (
        b"%x\r\n%s\r\n" % (len(SOUND), SOUND),
        single,
        b"1;a=b\r\n{\r\n%x\r\n%s\r\n" % (len(SOUND) - 1, SOUND[1:]),
    ):
        assert speak(live, HEAD + CHUNKED + chunks + b"0\r\n\r\n").startswith(b"HTTP/1.1 200")


MALFORMED = {
    "a length that is too short": HEAD + b"Content-Length: 10\r\n\r\n" + SOUND,
    "no length": HEAD + b"\r\n" + SOUND,
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n" + SOUND,
    "a length in words": HEAD + b"Content-Length: ten\r\n\r\n" + SOUND,
    "a length of thousands of digits": HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + SOUND,
    "two lengths": HEAD + LENGTH + b"Content-Length: 1\r\n\r\n" + SOUND,
    "a length and chunks": HEAD + LENGTH + CHUNKED + b"0\r\n\r\n",
    "a chunk without a size": HEAD + CHUNKED + b"zz\r\n" + SOUND,
    "a chunk of another size": HEAD + CHUNKED + b"5\r\n" + SOUND + b"\r\n0\r\n\r\n",
    "no host": b"POST /predict HTTP/1.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
    + LENGTH
    + b"\r\n"
    + SOUND,
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
    "another version": b"GET / HTTP/9.9\r\n\r\n",
    "bytes in the path": b"GET /\xff\xfe HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n",
    "a header without a colon": b"GET /info HTTP/1.1\r\nHost here\r\n\r\n",
    "a header of a megabyte": b"GET /info HTTP/1.1\r\nHost: here\r\nConnection: close\r\nA: "
    + b"a" * MIB
    + b"\r\n\r\n",
    "an upgrade": b"GET /info HTTP/1.1\r\nHost: here\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n",
    "a tunnel": b"CONNECT here:443 HTTP/1.1\r\nHost: here:443\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_http(live: Live, name: str) -> None:
    """What the server cannot read as a request it answers itself, with a 400; nothing of it is a failure."""
    failures = live.output().count('"request_failed"')
    received = speak(live, MALFORMED[name])
    assert b" 500 " not in received
    assert b" 50" not in received.split(b"\r\n", 1)[0]
    assert httpx2.post(live.url + "/predict", content=SOUND, headers=JSON).status_code == 200
    assert live.output().count('"request_failed"') == failures
    assert "Traceback" not in live.output()


@pytest.mark.parametrize("sent", [HEAD + b"Content-Length: 100\r\n\r\n" + SOUND, HEAD + CHUNKED + b"30\r\n" + SOUND])
def test_a_client_that_hangs_up_is_no_failure_of_the_service(live: Live, sent: bytes) -> None:
    """It is counted as the client's fault, and no alarm is raised."""
    invalid, failed = (f'predictor_rejected_total{{reason="{reason}"}}' for reason in ("invalid", "engine_error"))
    before = live.metric(invalid), live.metric(failed)
    speak(live, sent, close=True)
    limit = time.monotonic() + 10
    while live.metric(invalid) == before[0]:
        assert time.monotonic() < limit
        time.sleep(0.01)
    assert live.metric(failed) == before[1]
    assert '"request_failed"' not in live.output()


def test_a_body_that_never_ends_is_a_504_at_the_deadline(live: Live) -> None:
    """Slow clients are a proxy's task; here the request's own deadline ends them."""
    sent = HEAD + b"X-Request-Timeout-Ms: 300\r\nContent-Length: 100\r\n\r\n" + SOUND
    received = speak(live, sent)
    assert received.startswith(b"HTTP/1.1 504")
    assert b"/problems/deadline-exceeded" in received


def test_the_service_is_healthy_after_all_this(live: Live) -> None:
    for path in ("/livez", "/readyz"):
        assert httpx2.get(live.url + path).status_code == 200
    assert live.descriptors() < 100
    lines = [json.loads(line) for line in live.output().splitlines()]
    assert not [line for line in lines if line["level"] in ("error", "critical")]
    assert not Path(f"/proc/{live.process.pid}/status").read_text().count("zombie")
