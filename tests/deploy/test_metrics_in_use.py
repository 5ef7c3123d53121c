"""Rules and dashboard use metrics that exist."""

import re

from prometheus_client import Metric

from service.observability.metrics import Metrics
from tests.deploy.compose import ROOT


def exposed(family: Metric) -> str:
    """Return a metric's name as Prometheus shows it."""
    return f"{family.name}_total" if family.type == "counter" else family.name


def test_every_rule_and_panel_uses_metrics_that_exist() -> None:
    known = {exposed(family) for family in Metrics().registry.collect()}
    for path in (ROOT / "docker/prometheus/rules.yml", ROOT / "docker/grafana/dashboards/peephole.json"):
        for name in set(re.findall(r"(?<![:\w])(?:http_|predictor_)\w+", path.read_text())):
            assert name in known or re.sub(r"_(bucket|sum|count)$", "", name) in known, name
