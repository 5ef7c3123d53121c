"""The operations guide lists what there is: every setting with its default, every metric with its labels."""

import re

from prometheus_client import Metric

from service.metrics import Metrics
from service.settings import Settings
from tests.deploy.compose import ROOT

GUIDE = (ROOT / "docs/operations.md").read_text()


def table(heading: str) -> dict[str, list[str]]:
    """Return the rows of the table under a heading, by the name in the first cell."""
    section = GUIDE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:3] == "| `"]
    return {row[0].strip("`"): row[1:] for row in rows}


def variable(name: str) -> str:
    """Return the environment variable of a setting; the first, where several are read."""
    alias = Settings.model_fields[name].validation_alias
    names = [choice for choice in getattr(alias, "choices", []) if str(choice).isupper()]
    return str(names[0]) if names else f"PEEPHOLE_{name.upper()}"


def written(default: object) -> str:
    """Return a default as one would write it in the environment."""
    if default is None:
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`" if str(default).strip("()*") and not isinstance(default, tuple) else "empty"


def exposed(family: Metric) -> str:
    """Return a metric's name as Prometheus shows it."""
    return f"{family.name}_total" if family.type == "counter" else family.name


def test_every_setting_is_listed_and_nothing_else() -> None:
    assert set(table("Settings")) == {variable(name) for name in Settings.model_fields}


def test_the_listed_defaults_are_the_defaults() -> None:
    listed = table("Settings")
    for name, field in Settings.model_fields.items():
        default = getattr(field.default, "get_secret_value", lambda field=field: field.default)()
        assert listed[variable(name)][0].startswith(written(default)), name


def test_every_metric_is_listed_with_its_type_and_labels_and_nothing_else() -> None:
    listed = table("Metrics")
    families = {exposed(family): family for family in Metrics().registry.collect()}
    assert set(listed) == set(families)
    for name, family in families.items():
        assert listed[name][0].startswith(family.type), name


def test_the_labels_of_every_metric_are_listed() -> None:
    listed = table("Metrics")
    for metric in vars(Metrics()).values():
        labels = getattr(metric, "_labelnames", ())
        if labels:
            name = exposed(next(iter(metric.describe())))
            assert re.findall(r"`(\w+)`", listed[name][0]) == list(labels), name


def test_every_rule_and_panel_asks_for_metrics_that_exist() -> None:
    known = {exposed(family) for family in Metrics().registry.collect()}
    for path in (ROOT / "docker/prometheus/rules.yml", ROOT / "docker/grafana/dashboards/peephole.json"):
        for name in set(re.findall(r"(?<![:\w])(?:http_|predictor_)\w+", path.read_text())):
            assert name in known or re.sub(r"_(bucket|sum|count)$", "", name) in known, name
