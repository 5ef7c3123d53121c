"""Logs, traces, metrics: what an operator sees, and what must never be seen."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx2
from starlette.testclient import TestClient

from tests.service.live import running

CANARY = "c4n4ry"
BODY = {"architectures": [{"id": CANARY, "layers": [{"type": "relu"}]}]}


def test_log_lines_are_json_with_ids_sizes_and_stage_times(tiny: Path) -> None:
    """Every line of the process is one JSON object; none holds a body or a key; probes are not logged."""
    key = "secret-key"
    with running(tiny, PEEPHOLE_API_KEYS=key) as live:
        headers = {"X-API-Key": key, "X-Request-ID": "run-1"}
        assert httpx2.post(live.url + "/predict", json=BODY, headers=headers).status_code == 200
        httpx2.post(live.url + "/predict", content=b"{" + CANARY.encode(), headers=headers)
        httpx2.get(live.url + "/readyz")
        httpx2.get(live.url + "/" + CANARY)
        live.wait_printed('"status":404')
    lines = [json.loads(line) for line in live.printed.splitlines()]
    (line,) = [line for line in lines if line.get("status") == 200 and line.get("route") == "/predict"]
    assert line["request_id"] == "run-1"
    assert {"bytes_in", "networks", "validate_ms", "queue_ms", "infer_ms", "encode_ms", "ms"} <= set(line)
    assert not [line for line in lines if line.get("route") == "/readyz" and line["status"] == 200]
    assert CANARY not in live.printed
    assert key not in live.printed


def test_the_log_names_the_problem_of_what_matches_no_route(tiny: Path) -> None:
    """As the answer does; predictions are not counted as refused for it. A misspelt setting is in the log as well."""
    with running(tiny, PEEPHOLE_MAX_LAYER="3") as live:
        assert httpx2.get(live.url + "/nope").status_code == 404
        assert httpx2.post(live.url + "/nope").status_code == 404
        assert httpx2.post(live.url + "/info").status_code == 405
        assert 'predictor_rejected_total{reason="invalid"} 0.0' in httpx2.get(live.url + "/metrics").text
        live.wait_printed('"status":405')
    lines = [json.loads(line) for line in live.printed.splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    problems = [line["problem"] for line in requests if line["route"] != "/readyz"]  # asked here until it was ready
    assert problems == ["not-found", "not-found", "method-not-allowed"]
    (warning,) = [line for line in lines if line["level"] == "warning"]
    assert (warning["name"], warning["did_you_mean"]) == ("PEEPHOLE_MAX_LAYER", "PEEPHOLE_MAX_LAYERS")


def test_whatever_answers_get_answers_head(tiny: Path) -> None:
    """With the same headers and no body; some health checkers ask so."""
    with running(tiny) as live:
        for path in ("/livez", "/readyz", "/healthz", "/info", "/metrics", "/v2/health/ready", "/docs", "/nope"):
            got = httpx2.get(live.url + path)
            asked = httpx2.head(live.url + path)
            assert asked.status_code == got.status_code
            assert asked.headers["content-type"] == got.headers["content-type"]
            assert int(asked.headers["content-length"]) > 0
            assert not asked.content
        assert httpx2.head(live.url + "/predict").headers["allow"] == "POST"
        text = httpx2.get(live.url + "/metrics").text
    assert 'http_requests_total{method="HEAD",route="/livez",status="2xx"} 1.0' in text


def test_traces_go_to_the_collector(tiny: Path) -> None:
    """With an OTLP endpoint configured a request's span is exported, and its trace id is in the log."""
    arrived = threading.Event()
    bodies: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.path.encode() + self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()
            arrived.set()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with running(tiny, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_BSP_SCHEDULE_DELAY="100") as live:
        httpx2.post(live.url + "/predict", json=BODY, headers={"traceparent": parent})
        assert arrived.wait(20)
        live.wait_printed('"trace_id":"0af7651916cd43dd8448eb211c80319c"')
    server.shutdown()
    server.server_close()
    assert any(body.startswith(b"/v1/traces") and b"POST /predict" in body for body in bodies)
    assert CANARY.encode() not in b"".join(bodies)


def test_every_metric_has_a_help_text_and_starts_at_zero(client: TestClient) -> None:
    """Rates see the first event: counters with known labels are there before anything happened."""
    text = client.get("/metrics").text
    for metric in ("predictor_rejected_total", "predictor_cache_requests_total", "predictor_reloads_total"):
        assert f"# HELP {metric}" in text
        assert [line for line in text.splitlines() if line.startswith(metric + "{")]
    assert "predictor_ready 1.0" in text
    assert "predictor_worker_heartbeat_timestamp_seconds" in text
    openmetrics = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
