"""Metrics: what the dashboard, the alerts and the autoscaler read exists, starts at zero, and counts."""

import json
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from model.network.schema import MIN_FIT
from service.tasks import figures
from tests.service import graphs
from tests.service.conftest import Serve
from tests.service.live import ROOT
from tests.service.requests import RELU, body, metric, network, pair
from tests.service.tasks.test_fits import fill, predict, publish

DOCKER = ROOT / "docker"
SELECTOR = re.compile(r"(?<![:\w])((?:predictor|http)_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=|!=|=~|!~)"([^"]*)"')
BY_LABEL = re.compile(r"\bby \(([^)]*)\)")
FROM_PROMETHEUS = {"job", "instance", "namespace", "pod"}


def expressions(node: Any) -> Iterator[str]:
    """Yield every PromQL expression in a parsed file."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if key in ("expr", "seriesQuery", "metricsQuery", "query") and isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            yield from expressions(value)


def all_expressions() -> list[str]:
    rules = yaml.safe_load((DOCKER / "prometheus/rules.yml").read_text())
    dashboard = json.loads((DOCKER / "grafana/dashboards/peephole.json").read_text())
    adapter = yaml.safe_load_all((DOCKER / "kubernetes/prometheus-adapter.yaml").read_text())
    texts = [text for document in adapter if document for text in strings(document)]
    return sorted({*expressions(rules), *expressions(dashboard), *(text for text in texts if SELECTOR.search(text))})


def strings(node: Any) -> Iterator[str]:
    """Yield every text in a parsed file: the adapter's rules are YAML in YAML."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from strings(value)


def samples(client: TestClient) -> dict[str, dict[str, set[str]]]:
    """Return the label values of each sample name."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            labels = found[sample.name]
            for name, value in sample.labels.items():
                labels[name].add(value)
    return found


@pytest.fixture
def used(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """A service that has answered one request of each kind, and has a stored task with a published fit."""
    monkeypatch.setattr(figures, "REFRESH_SECONDS", 0.0)
    client = serve(state=tmp_path / "state")
    fill(client, MIN_FIT)
    assert predict(client).status_code == 200
    publish(client, tmp_path, "one")
    assert client.post("/predict", json=pair()).status_code == 200
    assert client.post("/predict", json={}).status_code == 422
    assert client.get("/nope").status_code == 404
    failing = body(network(1, kernel_size=graphs.POISON_KERNEL))
    assert client.post("/predict", json=failing).status_code == 500
    return client


def test_everything_that_is_queried_exists(used: TestClient) -> None:
    """Metrics by name, labels by name, and label values that are compared with `=`."""
    exist = samples(used)
    queried = all_expressions()
    assert len(queried) > 30
    for expression in queried:
        for name, matchers in SELECTOR.findall(expression):
            assert name in exist, f"{name} in {expression}"
            for label, operator, value in MATCHER.findall(matchers):
                if label in FROM_PROMETHEUS:
                    continue
                assert label in exist[name], f"{name}{{{label}}} in {expression}"
                if operator == "=":
                    assert value in exist[name][label], f'{name}{{{label}="{value}"}} in {expression}'


def test_labels_that_are_grouped_by_exist(used: TestClient) -> None:
    known = {label for labels in samples(used).values() for label in labels} | FROM_PROMETHEUS
    grouped = {
        label.strip()
        for expression in all_expressions()
        for labels in BY_LABEL.findall(expression)
        for label in labels.split(",")
    }
    assert grouped <= known


def test_counters_with_known_labels_start_at_zero(client: TestClient) -> None:
    """So that `rate()` sees the first event."""
    text = client.get("/metrics").text
    for reason in ("queue_full", "deadline", "invalid", "unauthorized", "too_large", "unavailable", "engine_error"):
        assert f'predictor_rejected_total{{reason="{reason}"}} 0.0' in text
    for result in ("hit", "miss"):
        assert f'predictor_cache_requests_total{{result="{result}"}} 0.0' in text
    for result in ("ok", "failed"):
        assert f'predictor_reloads_total{{result="{result}"}} 0.0' in text
    assert "predictor_last_reload_ok 1.0" in text
    assert "predictor_provider_fallback 0.0" in text


def test_every_metric_is_explained(client: TestClient) -> None:
    for family in text_string_to_metric_families(client.get("/metrics").text):
        assert family.documentation.endswith("."), family.name


def test_a_prediction_is_counted(client: TestClient) -> None:
    short, long = {"layers": network(3)["layers"]}, {"layers": [RELU] * (graphs.FAR_LAYERS + 1)}
    for _ in range(2):
        assert client.post("/predict", json=body(short, short, long)).status_code == 200
    expected = {
        'http_requests_total{method="POST",route="/predict",status="2xx"}': 2,
        'http_request_duration_seconds_count{method="POST",route="/predict"}': 2,
        'predictor_architectures_total{task="tiny"}': 6,
        'predictor_unfamiliar_inputs_total{task="tiny"}': 2,
        'predictor_cache_requests_total{result="miss"}': 2,
        'predictor_cache_requests_total{result="hit"}': 4,
        "predictor_input_layers_count": 6,
        "predictor_input_layers_sum": 4 * 5 + 2 * (graphs.FAR_LAYERS + 1),
        "predictor_batch_architectures_sum": 2,
        "predictor_batch_cost_sum": 2 * (graphs.FAR_LAYERS + 1),
        "predictor_validate_seconds_count": 2,
        "predictor_encode_seconds_count": 2,
        "predictor_queue_wait_seconds_count": 2,
    }
    assert {name: metric(client, name) for name in expected} == expected
    calls = metric(client, 'predictor_batches_total{task="tiny"}')
    assert calls == metric(client, 'predictor_inference_seconds_count{task="tiny"}') >= 1
    assert metric(client, "predictor_batch_padding_ratio_count") == calls


def test_rejections_are_counted_by_reason(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    client = serve(api_keys="key", max_queue_cost=100)
    service = client.app.state.service  # type: ignore[attr-defined]
    headers = {"X-API-Key": "key"}
    too_much = body(network(100), network(100))

    def post(sent: Any, **more: str) -> int:
        return client.post("/predict", json=sent, headers=headers | more).status_code

    assert client.post("/predict", json=pair()).status_code == 401
    assert post({}) == 422
    assert post(too_much) == 413
    assert post(body(network(1, kernel_size=graphs.POISON_KERNEL))) == 500
    with monkeypatch.context() as patched:
        patched.setattr(service.inflight, "wait", lambda _: 3600.0)
        assert post(pair()) == 429

    async def predict_late(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(service.engine, "predict", predict_late)
    assert post(pair()) == 504
    service.draining = True
    assert post(pair()) == 503
    for reason in ("queue_full", "deadline", "invalid", "unauthorized", "too_large", "unavailable", "engine_error"):
        assert metric(client, f'predictor_rejected_total{{reason="{reason}"}}') == 1, reason
    assert metric(client, "predictor_ready") == 0


def test_what_matches_no_route_is_not_a_rejected_prediction(client: TestClient) -> None:
    """Scanners would else look like a broken client; paths do not become labels."""
    assert client.post("/nope").status_code == 404
    assert client.post("/info").status_code == 405
    assert metric(client, 'predictor_rejected_total{reason="invalid"}') == 0
    assert metric(client, 'http_requests_total{method="POST",route="unmatched",status="4xx"}') == 1
    assert "/nope" not in client.get("/metrics").text


def test_gauges_tell_the_state(client: TestClient) -> None:
    service = client.app.state.service  # type: ignore[attr-defined]
    (worker,) = service.engine.workers
    assert metric(client, "predictor_ready") == 1
    assert samples(client)["predictor_model_info"]["task"] == {"tiny"}
    heartbeat = metric(client, "predictor_worker_heartbeat_timestamp_seconds")
    assert abs(heartbeat - time.time()) < 5
    service.engine.queue.close()
    worker.join(5)
    worker.has_ended, worker.beat = False, worker.beat - 30
    assert metric(client, "predictor_worker_heartbeat_timestamp_seconds") < heartbeat - 20


@pytest.mark.parametrize("version", ["zzz", "1e5", "", "\u0661"])
def test_scrapers_with_odd_accept_headers_get_metrics(client: TestClient, version: str) -> None:
    accept = f"application/openmetrics-text; version={version}".encode()
    assert client.get("/metrics", headers={b"Accept": accept}).status_code == 200


def test_openmetrics_is_served_on_request(client: TestClient) -> None:
    response = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")
