"""API keys: what they guard, what stays open, and that they are never repeated."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.service.conftest import Serve
from tests.service.in_process import serving
from tests.service.live import running
from tests.service.requests import metric, problem

BODY = {"architectures": [{"layers": [{"type": "relu"}]}]}


@pytest.fixture(scope="module")
def guarded(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service with two keys from the environment and one from a file, written by an editor that marks UTF-8."""
    file = tmp_path_factory.mktemp("guarded") / "keys"
    file.write_text("from-file\n\n# of the search in March\n", encoding="utf-8-sig")
    with serving(models=(tiny,), api_keys="old-key, new-key", api_keys_file=file) as client:
        yield client


@pytest.mark.parametrize("key", ["old-key", "new-key", "from-file"])
def test_every_key_is_accepted(guarded: TestClient, key: str) -> None:
    """Several keys at once, so that they can be changed without an outage; in either header."""
    for headers in ({"Authorization": f"Bearer {key}"}, {"authorization": f"bearer  {key}"}, {"X-API-Key": key}):
        assert guarded.post("/predict", json=BODY, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/predict", "/stop", "/predict-weights", "/v2/models/tiny/infer"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": "wrong"},
        {"X-API-Key": ""},
        {"Authorization": "Basic old-key"},
        {"Authorization": "old-key"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong", "X-API-Key": "old-key"},
        {"X-API-Key": "old-ke"},
        {"X-API-Key": "old-key, new-key"},
        {"X-API-Key": "# of the search in March"},
        {"X-API-Key": "schl\u00fcssel".encode()},
    ],
    ids=str,
)
def test_without_a_key_nothing_is_predicted(guarded: TestClient, path: str, headers: dict[str, Any]) -> None:
    """401 with a challenge, before the body is looked at; a bearer token counts before the other header."""
    before = metric(guarded, 'predictor_rejected_total{reason="unauthorized"}')
    response = guarded.post(path, content="not even JSON", headers=headers)
    document = problem(response, 401)
    assert document["detail"] == "A valid key is needed, as Authorization: Bearer KEY or X-API-Key: KEY."
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert metric(guarded, 'predictor_rejected_total{reason="unauthorized"}') == before + 1


@pytest.mark.parametrize(
    "path",
    ["/livez", "/readyz", "/healthz", "/metrics", "/info", "/tasks", "/v2/health/ready", "/docs", "/problems"],
)
def test_health_metrics_and_documentation_stay_open(guarded: TestClient, path: str) -> None:
    """Probes and scrapers carry no keys."""
    assert guarded.get(path).status_code == 200


def test_the_key_is_checked_before_anything_else(serve: Serve) -> None:
    """A client without a key is not told whether the service is ready."""
    client = serve(api_keys="key")
    client.app.state.service.draining = True  # type: ignore[attr-defined]
    problem(client.post("/predict", json=BODY), 401)
    problem(client.post("/predict", json=BODY, headers={"X-API-Key": "key"}), 503)


def test_keys_are_nowhere_to_be_seen(tiny: Path) -> None:
    """Not in /info, not in the metrics, not in the log, neither right ones nor wrong ones."""
    with running(tiny, PEEPHOLE_API_KEYS="right-key", PEEPHOLE_LOG_LEVEL="debug") as live:
        seen = ""
        for key in ("right-key", "wrong-key"):
            with socket.create_connection(("127.0.0.1", live.port)) as connection:
                text = json.dumps(BODY)
                connection.sendall(
                    f"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nX-API-Key: {key} \r\n"
                    f"Content-Length: {len(text)}\r\nX-Request-ID: mine \r\nConnection: close\r\n\r\n{text}".encode()
                )
                response = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
            assert response.startswith("HTTP/1.1 200" if key == "right-key" else "HTTP/1.1 401")
            assert "x-request-id: mine\r\n" in response, "blanks behind a header are no part of it: RFC 9110, 5.5"
            seen += response
        for path in ("/info", "/metrics"):
            with socket.create_connection(("127.0.0.1", live.port)) as connection:
                connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                seen += b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        live.wait_printed('"status": 401')
        seen += live.output()
    assert "right-key" not in seen
    assert "wrong-key" not in seen
