"""Traces: with a collector configured, a request's span is exported and its trace id is in the log."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx2
import pytest

from tests.service.live import running, until
from tests.service.requests import body, network

TRACE = "0af7651916cd43dd8448eb211c80319c"
CANARY = "c4n4ry"


class Collector:
    """An OTLP endpoint that keeps what it is sent."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.append(self.path.encode() + self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join(5)


def test_spans_go_to_the_collector(tiny: Path, collector: Collector) -> None:
    """In the trace of the client's `traceparent`; probes have none; nothing of the body is exported."""
    with running(tiny, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, OTEL_BSP_SCHEDULE_DELAY="100") as live:
        headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        sent = body(network(1) | {"id": CANARY})
        assert httpx2.post(live.url + "/predict", json=sent, headers=headers).status_code == 200
        assert live.status_of("/livez") == 200
        live.wait_printed(f'"trace_id": "{TRACE}"')
        until(lambda: collector.received, "a span is exported")
    received = b"".join(collector.received)
    assert received.startswith(b"/v1/traces")
    assert bytes.fromhex(TRACE) in received
    assert b"POST /predict" in received
    assert b"livez" not in received
    assert CANARY.encode() not in received
