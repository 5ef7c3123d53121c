"""The application as a whole: documentation pages, a path prefix, compression, CORS, HEAD, security headers."""

import gzip
import re
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.service.conftest import Serve
from tests.service.live import Live, running
from tests.service.requests import RELU, network, problem

BODY: dict[str, Any] = {"architectures": [{"layers": [RELU]}]}
PREFIX = "/peephole"
ORIGIN = "http://localhost:8888"


@pytest.fixture(scope="module")
def prefixed(tiny: Path) -> Iterator[Live]:
    """A process behind a proxy that strips the prefix; requests to it have no prefix, what it writes has."""
    with running(tiny, PEEPHOLE_ROOT_PATH=PREFIX) as live:
        yield live


def fetch(live: Live, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Send a request as it is: no redirects, no decompression, no other headers."""
    with closing(HTTPConnection("127.0.0.1", live.port, timeout=20)) as connection:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


def strip(path: str) -> str:
    """Do what nginx does with `location /peephole/ { proxy_pass http://service/; }`."""
    assert path.startswith(PREFIX + "/"), f"{path} leads past the proxy"
    return path.removeprefix(PREFIX)


def links(page: bytes) -> list[str]:
    """Return what a page loads: style, icon, script, document."""
    found = re.findall(r"""(?:href=|src=|url: )["']([^"']+)["']""", page.decode())
    assert len(found) == 4, page
    return found


def test_the_documentation_needs_no_other_host(live: Live) -> None:
    """Scripts, styles, the icon and the document come from the service itself."""
    status, headers, page = fetch(live, "/docs")
    assert status == 200
    assert headers["content-type"].startswith("text/html")
    assert not re.search(rb"(https?:)?//[a-z]", page), "no address of another host"
    for path in links(page):
        status, headers, content = fetch(live, path)
        assert status == 200, path
        assert len(content) > 500
        assert headers["content-type"].split(";")[0] in {
            "text/css",
            "image/png",
            "text/javascript",
            "application/javascript",
            "application/json",
        }


def test_the_documentation_works_behind_a_path_prefix(prefixed: Live) -> None:
    """Every link of the page has the prefix, and what a proxy makes of it is answered."""
    _, _, page = fetch(prefixed, "/docs")
    loaded = links(page)
    for path in loaded:
        assert fetch(prefixed, strip(path))[0] == 200, path
    document = fetch(prefixed, strip(loaded[-1]))[2]
    assert b'"servers":[{"url":"/peephole"}]' in document.replace(b" ", b"")


def test_predictions_work_behind_a_path_prefix(prefixed: Live) -> None:
    """The proxy strips the prefix; the types of problems have it, since clients follow them."""
    with closing(HTTPConnection("127.0.0.1", prefixed.port, timeout=20)) as connection:
        connection.request(
            "POST",
            "/predict",
            b'{"architectures":[{"layers":[{"type":"relu"}]}]}',
            {"Content-Type": "application/json"},
        )
        assert connection.getresponse().status == 200
    status, _, content = fetch(prefixed, "/nope")
    assert status == 404
    assert b'"/peephole/problems/not-found"' in content
    assert fetch(prefixed, "/problems/not-found")[0] == 200
    assert fetch(prefixed, "/tasks/tiny")[0] == 200


def test_the_schema_of_a_document_without_a_prefix_names_no_server(live: Live) -> None:
    """Clients then take the address that they got it from."""
    assert b'"servers"' not in fetch(live, "/openapi.json")[2]


@pytest.mark.parametrize("path", ["/docs", "/info", "/tasks", "/metrics", "/livez", "/openapi.json", "/problems"])
def test_head_gives_the_headers_of_get(live: Live, path: str) -> None:
    """And no body, over a real connection."""
    status, headers, content = fetch(live, path, "HEAD")
    expected, of_get, body = fetch(live, path)
    assert (status, content) == (expected, b"") == (200, b"")
    assert headers["content-type"] == of_get["content-type"]
    if path != "/metrics":  # its numbers change
        assert int(headers["content-length"]) == len(body)


def test_head_on_a_post_route_is_a_405(live: Live) -> None:
    status, headers, content = fetch(live, "/predict", "HEAD")
    assert (status, headers["allow"], content) == (405, "POST", b"")


def test_responses_are_compressed_on_request(client: TestClient) -> None:
    """Large ones; small ones and those of clients that do not accept it are not."""
    body = {"architectures": [network(3) for _ in range(200)]}
    with client.stream("POST", "/predict", json=body, headers={"Accept-Encoding": "gzip"}) as response:
        content = b"".join(response.iter_raw())
        assert response.headers["content-encoding"] == "gzip"
        assert "accept-encoding" in response.headers["vary"].lower()
    plain = client.post("/predict", json=body, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(content).partition(b'"predictions"')[2] == plain.content.partition(b'"predictions"')[2]
    assert len(content) < len(plain.content) / 2
    small = client.get("/livez", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in small.headers
    assert "content-encoding" not in client.post("/predict", json=body, headers={"Accept-Encoding": "br"}).headers


def test_without_origins_no_other_page_may_call(client: TestClient) -> None:
    """The default: no CORS header, and a preflight request is an unknown method."""
    response = client.post("/predict", json=BODY, headers={"Origin": ORIGIN})
    assert response.status_code == 200
    assert not [name for name in response.headers if name.startswith("access-control")]
    preflight = client.options("/predict", headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST"})
    problem(preflight, 405)


def test_pages_of_the_origins_of_the_settings_may_call(serve: Serve) -> None:
    """The preflight allows the method and the headers of a prediction with a key; the response can be read."""
    client = serve(cors_origins=(ORIGIN,), api_keys="key")
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type, x-api-key"}
    preflight = client.options("/predict", headers={"Origin": ORIGIN, **wanted})
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in preflight.headers["access-control-allow-methods"]
    allowed = {name.strip() for name in preflight.headers["access-control-allow-headers"].lower().split(",")}
    assert {"content-type", "x-api-key"} <= allowed
    for headers, status in (({"X-API-Key": "key"}, 200), ({}, 401)):
        response = client.post("/predict", json=BODY, headers={"Origin": ORIGIN, **headers})
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == ORIGIN
        exposed = response.headers["access-control-expose-headers"].lower()
        assert {"x-request-id", "retry-after", "server-timing"} <= {name.strip() for name in exposed.split(",")}


def test_pages_of_other_origins_may_not(serve: Serve) -> None:
    client = serve(cors_origins=(ORIGIN,))
    evil = {"Origin": "https://evil.example"}
    assert client.options("/predict", headers=evil | {"Access-Control-Request-Method": "POST"}).status_code == 400
    assert "access-control-allow-origin" not in client.post("/predict", json=BODY, headers=evil).headers


@pytest.mark.parametrize("path", ["/info", "/nope", "/metrics", "/docs", "/static-offline-docs/swagger-ui.css"])
def test_security_headers_are_on_every_response(live: Live, path: str) -> None:
    """Responses and errors alike are not sniffed, framed or stored; the server is not named."""
    _, headers, _ = fetch(live, path)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers
    assert headers["x-request-id"]
