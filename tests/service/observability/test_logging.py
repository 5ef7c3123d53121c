"""Log lines: JSON with a request's id, sizes and times; never a body or a key; a reader cannot stall the service."""

import fcntl
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.service.live import running, until
from tests.service.requests import TRIGGER, body, network, pair, single

CANARY = "c4n4ry"
KEY = "secret-key"
NAMED = body(network(3) | {"id": CANARY}, network(3))


def requests_in(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == "request" and line["route"] not in ("/readyz", "/livez")]


@pytest.fixture(scope="module")
def printed(tiny: Path) -> str:
    """What a process prints that answers requests of many kinds, and is stopped."""
    fails = "import service.api.stop as s; s._read = None"
    with running(tiny, before=fails, PEEPHOLE_API_KEYS=KEY, PEEPHOLE_MAX_LAYER="3") as live:
        url, key = live.url + "/predict", {"X-API-Key": KEY}
        assert httpx2.post(url, json=NAMED, headers=key | {"X-Request-ID": "run-1"}).status_code == 200
        assert httpx2.post(url, content=b"{" + CANARY.encode(), headers=key).status_code == 415
        wrong = NAMED | {CANARY: CANARY}
        assert httpx2.post(url, json=wrong, headers=key | {"X-Request-ID": "odd\tid"}).status_code == 422
        assert httpx2.post(url, json=single(), headers={"X-API-Key": CANARY}).status_code == 401
        assert httpx2.get(f"{live.url}/{CANARY}?{CANARY}").status_code == 404
        assert httpx2.post(live.url + "/info").status_code == 405
        failed = httpx2.post(live.url + "/stop", json={}, headers=key | {"X-Request-ID": "run-2"})
        assert (failed.status_code, failed.json()["request_id"]) == (500, "run-2")
        assert "NoneType" not in failed.text
        for path in ("/livez", "/readyz", "/healthz", "/metrics", "/v2/health/ready", "/v2/models/tiny/ready"):
            assert live.status_of(path) == 200
        live.signal(signal.SIGTERM)
        until(lambda: live.status_of("/readyz") != 200, "not ready")
        live.wait(20)
    return live.printed


@pytest.fixture
def lines(printed: str) -> list[dict[str, Any]]:
    """Every line, each one JSON object."""
    return [json.loads(line) for line in printed.splitlines()]


def test_a_prediction_is_one_line_with_its_id_sizes_and_times(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        assert {"event", "level", "timestamp"} <= set(line)
    predicted = requests_in(lines)[0]
    assert predicted["request_id"] == "run-1"
    assert (predicted["method"], predicted["route"], predicted["status"]) == ("POST", "/predict", 200)
    assert (predicted["networks"], predicted["bytes_in"]) == (2, len(json.dumps(NAMED, separators=(",", ":"))))
    times = [predicted[name] for name in ("validate_ms", "queue_ms", "infer_ms", "encode_ms")]
    assert 0 < sum(times) <= predicted["ms"]


def test_an_error_response_is_a_line_with_its_problem(lines: list[dict[str, Any]]) -> None:
    assert [(line["route"], line["status"], line["problem"]) for line in requests_in(lines)[1:]] == [
        ("/predict", 415, "unsupported-media-type"),
        ("/predict", 422, "invalid-request"),
        ("/predict", 401, "unauthorized"),
        ("unmatched", 404, "not-found"),
        ("/info", 405, "method-not-allowed"),
        ("/stop", 500, "internal-error"),
    ]


def test_nothing_that_a_client_sent_is_logged_but_a_well_formed_id(printed: str) -> None:
    """No body, name, key, path or query string."""
    assert CANARY not in printed
    assert "odd" not in printed
    assert KEY not in printed


def test_successful_probes_are_not_logged(lines: list[dict[str, Any]]) -> None:
    """Those that fail are: while predictors are loading, and at the end."""
    probes = {"/livez", "/readyz", "/healthz", "/metrics", "/v2/health/ready", "/v2/models/{name}/ready"}
    found = {(line["route"], line["status"]) for line in lines if line.get("route") in probes}
    assert found <= {("/readyz", 503)}


def test_an_unexpected_error_is_logged_with_the_id_of_its_request(lines: list[dict[str, Any]]) -> None:
    (failed,) = [line for line in lines if line["event"] == "request_failed"]
    assert (failed["level"], failed["request_id"]) == ("error", "run-2")
    assert "TypeError" in failed["exception"]


def test_a_misspelt_setting_is_named(lines: list[dict[str, Any]]) -> None:
    (warning,) = [line for line in lines if line["event"] == "unknown_setting"]
    found = (warning["level"], warning["name"], warning["did_you_mean"])
    assert found == ("warning", "PEEPHOLE_MAX_LAYER", "PEEPHOLE_MAX_LAYERS")


def test_the_first_and_the_last_line_tell_the_processes_life(lines: list[dict[str, Any]]) -> None:
    events = [line["event"] for line in lines if line["event"] not in ("request", "unknown_setting", "request_failed")]
    assert events == ["listening", "ready", "stopped"]


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that holds one page."""
    ends = os.pipe()
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 4096)
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


def hang_up(end: int) -> None:
    """Close our end of a pipe; the descriptor stays valid."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, end)
    os.close(null)


def test_a_log_reader_that_is_gone_does_not_matter(tiny: Path) -> None:
    with pipe() as (read, write), running(tiny, stdout=write) as live:
        hang_up(write)
        hang_up(read)
        assert httpx2.post(live.url + "/predict", json=single()).status_code == 200
        live.signal(signal.SIGTERM)
        assert live.wait(20)[0] == 0


@pytest.mark.parametrize("ending", [signal.SIGTERM, None], ids=["SIGTERM", "failure"])
def test_a_log_reader_that_does_not_read_stalls_nothing(tiny: Path, ending: signal.Signals | None) -> None:
    """Requests are answered long after the pipe is full, and the process ends."""
    with pipe() as (_, write), running(tiny, "if trigger: raise SystemExit", stdout=write) as live:
        with httpx2.Client() as client:
            for _ in range(60):
                assert client.post(live.url + "/predict", json=single()).status_code == 200
        if ending is None:
            assert httpx2.post(live.url + "/predict", json=pair(TRIGGER), timeout=20).status_code == 503
        else:
            live.signal(ending)
        assert live.wait(20)[0] == (70 if ending is None else 0)


def test_a_slow_log_reader_gets_every_line(tiny: Path) -> None:
    """One JSON object a line, in order, down to the last."""
    found: list[dict[str, Any]] = []
    with pipe() as (read, write), running(tiny, stdout=write) as live:
        hang_up(write)
        with httpx2.Client() as client:
            for n in range(50):
                client.post(live.url + "/predict", json=single(), headers={"X-Request-ID": str(n)})
        with os.fdopen(os.dup(read), "rb") as reader:
            gather = threading.Thread(target=lambda: found.extend(map(json.loads, reader)))
            gather.start()
            live.signal(signal.SIGTERM)
            live.wait(20)
            gather.join(20)
    assert [line["request_id"] for line in requests_in(found)] == [str(n) for n in range(50)]
    assert found[-1]["event"] == "stopped"
