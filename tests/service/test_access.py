"""Keys, public addresses, security headers; what must stay open stays open."""

import json
import socket
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.settings import Settings, misspelt
from service.start import is_public, main
from tests.service.conftest import Serve
from tests.service.live import running
from tests.service.test_errors import problem

BODY = {"architectures": [{"layers": [{"type": "relu"}]}]}


@pytest.fixture
def guarded(serve: Serve, tmp_path: Path) -> TestClient:
    """A service with two keys from the environment and one from a file, written by an editor that marks UTF-8."""
    file = tmp_path / "keys"
    file.write_text("from-file\n\n# of the search in March\n", encoding="utf-8-sig")
    return serve(api_keys="old-key, new-key", api_keys_file=file)


@pytest.mark.parametrize("key", ["old-key", "new-key", "from-file"])
def test_every_key_opens(guarded: TestClient, key: str) -> None:
    """Several keys at once, so that they can be changed without an outage; in either header."""
    assert guarded.post("/predict", json=BODY, headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert guarded.post("/predict", json=BODY, headers={"X-API-Key": key}).status_code == 200


@pytest.mark.parametrize("name", ["x-api-key", "x-request-id", "x-request-timeout-ms"])
def test_blanks_behind_a_header_are_no_part_of_it(tiny: Path, name: str) -> None:
    """RFC 9110, 5.5; on the short way of predictions and on the long one."""
    values = {"x-api-key": "key", "x-request-id": "mine", "x-request-timeout-ms": "5000"}
    with running(tiny, PEEPHOLE_API_KEYS="key") as live:
        for path in ("/predict", "/predict?"):
            head = "".join(f"{key}: {value}{' ' * (key == name)}\r\n" for key, value in values.items())
            body = json.dumps(BODY)
            with socket.create_connection(("127.0.0.1", live.port)) as connection:
                connection.sendall(
                    f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nConnection: close\r\n"
                    f"Content-Length: {len(body)}\r\n{head}\r\n{body}".encode()
                )
                answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
            assert answer.startswith("HTTP/1.1 200"), answer
            assert "x-request-id: mine\r\n" in answer


@pytest.mark.parametrize("path", ["/predict", "/stop", "/v2/models/tiny/infer"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": "wrong"},
        {"X-API-Key": ""},
        {"Authorization": "Basic old-key"},
        {"X-API-Key": "old-ke"},
        {"X-API-Key": "# of the search in March"},
    ],
)
def test_without_a_key_nothing_is_predicted(guarded: TestClient, path: str, headers: dict[str, str]) -> None:
    """401 with a challenge, before the body is looked at."""
    response = guarded.post(path, content="not even JSON", headers=headers)
    problem(response, 401)
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert 'reason="unauthorized"} 0.0' not in guarded.get("/metrics").text


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz", "/metrics", "/info", "/v2/health/ready", "/docs"])
def test_health_metrics_and_documentation_stay_open(guarded: TestClient, path: str) -> None:
    """Probes and scrapers carry no keys."""
    assert guarded.get(path).status_code == 200


def test_keys_are_nowhere_to_be_seen(guarded: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    """Not in /info, not in the metrics, not in the log."""
    guarded.post("/predict", json=BODY, headers={"X-API-Key": "old-key"})
    seen = guarded.get("/info").text + guarded.get("/metrics").text + capsys.readouterr().out
    assert "old-key" not in seen
    assert "from-file" not in seen


def test_security_headers_are_on_every_answer(guarded: TestClient) -> None:
    """Answers and refusals alike are not sniffed, framed or stored; no CORS is granted."""
    for path in ("/info", "/nope", "/metrics"):
        headers = guarded.get(path, headers={"Origin": "https://evil.example"}).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


@pytest.mark.parametrize(
    ("host", "public"),
    [("127.0.0.1", False), ("::1", False), ("localhost", False), ("0.0.0.0", True), ("::", True), ("10.0.0.7", True)],
)
def test_public_addresses_are_told_from_private_ones(host: str, public: bool) -> None:
    """Only what others can reach needs a key."""
    assert is_public(host) is public


def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **env: str) -> str:
    """Start with these settings, which must be refused; return the line that says why."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert main() == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert len(printed.err.splitlines()) == 1, printed.err
    return printed.err


def test_public_without_key_needs_to_be_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A public address without a key refuses to start and says which settings would do."""
    line = refusal(monkeypatch, capsys, HOST="0.0.0.0")
    assert "PEEPHOLE_API_KEYS" in line
    assert "PEEPHOLE_PUBLIC_WITHOUT_KEY" in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PEEPHOLE_THREADS", "many"),
        ("PORT", "99999"),
        ("PEEPHOLE_PROVIDER", "tpu"),
        ("PEEPHOLE_API_KEYS_FILE", "/no/such"),
        ("PEEPHOLE_API_KEYS_FILE", "/dev/null"),
        ("PEEPHOLE_API_KEYS", "good, schl\u00fcssel"),
        ("PEEPHOLE_API_KEYS", "k\udcff"),
        ("PEEPHOLE_DRAIN_SECONDS", "inf"),
    ],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    """One line that names the setting; the value, which may be a secret, is not repeated."""
    line = refusal(monkeypatch, capsys, **{name: value})
    assert name in line
    assert value not in line


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PEEPHOLE_MAX_LAYER", "PEEPHOLE_MAX_LAYERS"),
        ("PEEPHOLE_API_KEY", "PEEPHOLE_API_KEYS"),
        ("PEEPHOLE_MODEL", "PEEPHOLE_MODELS"),
        ("peephole_thread", "PEEPHOLE_THREADS"),
        ("PEEPHOLE_PORT", "PORT"),
    ],
)
def test_a_misspelt_setting_is_noticed(name: str, meant: str) -> None:
    """The name that was probably meant is known; nothing is said of what is set right or belongs to others."""
    assert misspelt([name, "PATH"]) == {name: meant}


def test_no_setting_is_taken_for_a_misspelt_one() -> None:
    """Nor are compose's own variables."""
    names = [f"PEEPHOLE_{name.upper()}" for name in Settings.model_fields.keys() - {"host", "port", "trace_endpoint"}]
    assert not misspelt([*names, "HOST", "PORT", "peephole_threads", "PEEPHOLE_CPUS", "PEEPHOLE_MEMORY"])
    assert not misspelt(["PEEPHOLE_PUBLISH", "PEEPHOLE_BENCH_PORT", "PEEPHOLE_SERVICE_HOST", "POST"])


def test_every_setting_is_documented() -> None:
    """docs/api.md lists each setting of the service."""
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    others = {"host": "HOST", "port": "PORT", "trace_endpoint": "OTEL_EXPORTER_OTLP_ENDPOINT"}
    names = [others.get(name, f"PEEPHOLE_{name.upper()}") for name in Settings.model_fields]
    assert not [name for name in names if f"`{name}`" not in text]
