"""The operations guide lists what there is, and nothing else: every setting, every metric."""

import re

from prometheus_client import Metric

from service.observability.metrics import Metrics
from service.settings import Settings, variable_of
from tests.deploy.compose import ROOT

GUIDE = (ROOT / "docs/operations.md").read_text()


def rows(heading: str) -> list[str]:
    """Return the rows of the table under a heading, without the table's own head."""
    section = GUIDE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| `")]


def written(default: object) -> str:
    """Return a default as one writes it in the environment."""
    if default is None:
        return "none"
    if default in ("", ()):
        return "empty"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def exposed(family: Metric) -> str:
    """Return a metric's name as Prometheus shows it."""
    return f"{family.name}_total" if family.type == "counter" else family.name


def test_the_guide_lists_every_setting_with_its_default_and_description() -> None:
    expected = []
    for name, field in Settings.model_fields.items():
        default = getattr(field.default, "get_secret_value", lambda field=field: field.default)()
        expected.append(f"| `{variable_of(name)}` | {written(default)} | {field.description} |")
    assert rows("Settings") == expected


def test_the_guide_lists_every_metric_with_its_type_labels_and_description() -> None:
    expected = []
    for metric in vars(Metrics()).values():
        if not hasattr(metric, "describe") or metric._labelvalues:  # children are part of their metric
            continue
        family = next(iter(metric.describe()))
        labels = ", ".join(f"`{label}`" for label in metric._labelnames)
        kind = f"{family.type}: {labels}" if labels else family.type
        expected.append(f"| `{exposed(family)}` | {kind} | {family.documentation} |")
    assert rows("Metrics") == expected


def test_every_rule_and_panel_uses_metrics_that_exist() -> None:
    known = {exposed(family) for family in Metrics().registry.collect()}
    for path in (ROOT / "docker/prometheus/rules.yml", ROOT / "docker/grafana/dashboards/peephole.json"):
        for name in set(re.findall(r"(?<![:\w])(?:http_|predictor_)\w+", path.read_text())):
            assert name in known or re.sub(r"_(bucket|sum|count)$", "", name) in known, name
