"""docker/nginx with a real nginx in front of a real service: TLS, slow clients, limits, a path prefix."""

import json
import re
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import yaml

from service.settings import Settings
from tests.deploy.compose import ROOT, free_port, wait_for
from tests.deploy.processes import service
from tests.deploy.proxy import FILES, UNDER_PREFIX, Proxy, counted, nginx

needs_nginx = pytest.mark.skipif(
    not (shutil.which("nginx") and shutil.which("openssl")),
    reason="no `nginx` or no `openssl` on the PATH (Debian: apt install nginx-light openssl)",
)
KEY = "a-key-of-the-tests"
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
BODY = json.dumps({"architectures": [{"layers": [{"type": "relu"}]}]}).encode()
SETTINGS = {
    "PEEPHOLE_MODELS": str(ROOT / "model/zoo/mnist-mini"),
    "PEEPHOLE_SHIPPED": "false",
    "PEEPHOLE_API_KEYS": KEY,
    "PEEPHOLE_PROVIDER": "cpu",
    "PEEPHOLE_THREADS": "1",
}
SHORT = 1.0  # seconds that slow clients are given here
SHORT_TIMES = [
    (f"{name} 10s", f"{name} {SHORT:g}s") for name in ("client_header_timeout", "client_body_timeout", "send_timeout")
]
SMALL_BUFFERS = ("listen 8443 ssl", "listen 8443 ssl sndbuf=4k")  # the kernel's would take a whole response
BEGUN_HEADERS = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
BEGUN_BODY = BEGUN_HEADERS + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with service(tmp_path_factory.mktemp("service") / "log", **SETTINGS) as number:
        yield number


@pytest.fixture(scope="module")
def proxy(port: int) -> Iterator[Proxy]:
    with nginx(port, SMALL_BUFFERS, *SHORT_TIMES) as running:
        yield running


def seconds_until_cut(connection: socket.socket, send: bytes = b"") -> float:
    """Return how long it took until nginx closed a connection on which `send` is sent five times a second."""
    began = time.monotonic()
    connection.settimeout(0.2)
    with suppress(ConnectionError, ssl.SSLError):
        while time.monotonic() < began + 20:
            connection.sendall(send)
            with suppress(TimeoutError):
                if not connection.recv(4096):
                    break
    return time.monotonic() - began


@needs_nginx
def test_predictions_pass_over_tls_with_their_id_and_timing(proxy: Proxy) -> None:
    response, body = proxy.request("POST", "/predict", BODY, {**HEADERS, "X-Request-ID": "mine"})
    assert response.status == 200
    assert len(json.loads(body)["predictions"]) == 1
    assert response.headers["X-Request-ID"] == "mine"
    assert "infer" in response.headers["Server-Timing"]


@needs_nginx
def test_without_tls_or_without_a_key_a_request_is_rejected(proxy: Proxy) -> None:
    assert Proxy(proxy.port, None).request("GET", "/livez")[0].status == 400
    response, body = proxy.request("POST", "/predict", BODY, {"Content-Type": "application/json"})
    assert response.status == json.loads(body)["status"] == 401


@needs_nginx
def test_metrics_are_not_public(proxy: Proxy, port: int) -> None:
    assert counted(port)
    assert proxy.request("GET", "/metrics")[0].status == 404


@needs_nginx
def test_headers_that_arrive_slowly_are_cut(proxy: Proxy, port: int) -> None:
    before = counted(port).get("/predict", 0)
    with proxy.open(BEGUN_HEADERS) as connection:
        assert SHORT / 2 < seconds_until_cut(connection, b"X-A: b\r\n") < 5 * SHORT
    assert counted(port).get("/predict", 0) == before


@needs_nginx
def test_a_body_that_stalls_is_cut_and_never_reaches_the_service(proxy: Proxy, port: int) -> None:
    before = counted(port).get("/predict", 0)
    with proxy.open(BEGUN_BODY) as connection:
        assert SHORT / 2 < seconds_until_cut(connection) < 5 * SHORT
    assert counted(port).get("/predict", 0) == before


@needs_nginx
def test_slow_bodies_occupy_nginx_only(proxy: Proxy, port: int) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(proxy.open(BEGUN_BODY)) for _ in range(20)]
        for _ in range(3):
            for connection in connections:
                connection.sendall(b" ")
            assert proxy.request("POST", "/predict", BODY, HEADERS)[0].status == 200
            time.sleep(SHORT / 5)
        assert counted(port)["in flight"] == 0


@needs_nginx
def test_a_client_that_does_not_read_is_cut(proxy: Proxy) -> None:
    _, page = proxy.request("GET", "/docs")
    script = re.search(r'src="([^"]+swagger-ui-bundle[^"]*)"', page.decode())
    assert script is not None
    with proxy.open(f"GET {script[1]} HTTP/1.1\r\nHost: x\r\n\r\n".encode()) as connection:
        received = len(connection.recv(1))
        time.sleep(2.5 * SHORT)
        with suppress(OSError):
            while data := connection.recv(1 << 20):
                received += len(data)
    assert received < 500_000, "the script has more than a megabyte"


@needs_nginx
def test_a_body_over_the_limit_is_a_413_of_nginx(proxy: Proxy, port: int) -> None:
    before = counted(port).get("/predict", 0)
    response, body = proxy.request("POST", "/predict", b" " * (8 * 2**20 + 1), HEADERS)
    assert response.status == json.loads(body)["status"] == 413
    assert response.headers["Content-Type"] == "application/problem+json"
    assert counted(port).get("/predict", 0) == before
    response, body = proxy.request("POST", "/predict", BODY + b" " * (8 * 2**20 - len(BODY)), HEADERS)
    assert response.status == 200


@needs_nginx
def test_an_address_has_a_number_of_requests_at_a_time(port: int) -> None:
    with nginx(port, ("limit_conn peephole_requests 100", "limit_conn peephole_requests 3")) as few:
        with ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(few.open(BEGUN_BODY))
            wait_for(lambda: few.request("GET", "/livez")[0].status == 429, "the limit to hold", seconds=5)
            response, body = few.request("POST", "/predict", BODY, HEADERS)
            assert response.status == json.loads(body)["status"] == 429
            assert response.headers["Retry-After"] == "2"
        wait_for(lambda: few.request("GET", "/livez")[0].status == 200, "room for requests", seconds=5)


@needs_nginx
def test_an_address_has_a_rate_of_requests(port: int) -> None:
    with nginx(port, ("rate=200r/s", "rate=1r/s"), ("burst=400", "burst=5")) as slow:
        responses = [slow.request("GET", "/livez")[0] for _ in range(12)]
    assert {response.status for response in responses} == {200, 429}
    assert responses[-1].headers["Retry-After"] == "2"


@needs_nginx
def test_without_the_service_the_error_is_a_problem_document() -> None:
    with nginx(free_port()) as alone:
        response, body = alone.request("POST", "/predict", BODY, HEADERS)
    assert response.status == json.loads(body)["status"] == 502
    assert response.headers["Retry-After"] == "2"
    assert response.headers["Content-Type"] == "application/problem+json"


@needs_nginx
def test_under_a_path_prefix_every_link_works(tmp_path: Path) -> None:
    with (
        service(tmp_path / "log", **SETTINGS, PEEPHOLE_ROOT_PATH="/peephole") as port,
        nginx(port, main=UNDER_PREFIX) as proxy,
    ):
        _, page = proxy.request("GET", "/peephole/docs")
        links = re.findall(r"""(?:src=|href=|url: )["']([^"']+)["']""", page.decode())
        assert "/peephole/openapi.json" in links
        for link in links:
            assert proxy.request("GET", link)[0].status == 200, link
        document = json.loads(proxy.request("GET", "/peephole/openapi.json")[1])
        assert document["servers"] == [{"url": "/peephole"}]
        assert "/predict" in document["paths"]
        assert proxy.request("POST", "/peephole/predict", BODY, HEADERS)[0].status == 200
        problem = json.loads(proxy.request("POST", "/peephole/predict", b"{}", HEADERS)[1])
        assert proxy.request("GET", problem["type"])[0].status == 200
        assert proxy.request("GET", "/peephole/metrics")[0].status == 404
        assert proxy.request("GET", "/docs")[0].status == 404
        too_large = proxy.request("POST", "/peephole/predict", b" " * (8 * 2**20 + 1), HEADERS)
        assert json.loads(too_large[1])["status"] == 413


def test_the_limits_fit_the_settings_of_the_service() -> None:
    text = (FILES / "proxy.conf").read_text()
    settings = Settings.model_fields
    assert f"client_max_body_size {settings['max_body_bytes'].default >> 20}m;" in text
    deadline = settings["max_deadline_ms"].default / 1000
    assert int(re.findall(r"proxy_read_timeout (\d+)s;", text)[0]) > deadline
    public = yaml.load((ROOT / "docker/compose.public.yml").read_text(), Loader=Override)
    assert int(public["services"]["nginx"]["stop_grace_period"].removesuffix("s")) > deadline


def test_the_public_service_is_reached_through_nginx_only() -> None:
    services = yaml.load((ROOT / "docker/compose.public.yml").read_text(), Loader=Override)["services"]
    assert services["peephole"]["ports"] == []
    assert services["peephole"]["environment"]["PEEPHOLE_API_KEYS"].startswith("${PEEPHOLE_API_KEYS:?")
    assert [port.rpartition(":")[2] for port in services["nginx"]["ports"]] == ["8443"]


class Override(yaml.SafeLoader):
    """Reads compose files with their own tags, `!reset` and `!override`."""


Override.add_multi_constructor("!", lambda loader, tag, node: loader.construct_sequence(node))
