"""Prometheus' rules: promtool's own cases, and every alert has a case and an explanation."""

import shutil
import subprocess

import pytest
import yaml

from tests.deploy.compose import ROOT

FOLDER = ROOT / "docker/prometheus"
RULES = [rule for group in yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"] for rule in group["rules"]]
ALERTS = [rule["alert"] for rule in RULES if "alert" in rule]
CASES = [
    case
    for test in yaml.safe_load((FOLDER / "rules.test.yml").read_text())["tests"]
    for case in test.get("alert_rule_test", [])
]


@pytest.mark.parametrize("words", [("test", "rules", "rules.test.yml"), ("check", "config", "prometheus.yml")])
def test_promtool_finds_no_fault(words: tuple[str, ...]) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("no `promtool` on the PATH (Debian: apt install prometheus)")
    done = subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_case_in_which_it_fires(alert: str) -> None:
    assert any(case["alertname"] == alert and case["exp_alerts"] for case in CASES)


@pytest.mark.parametrize("alert", ALERTS)
def test_the_operations_guide_says_what_to_do_about_every_alert(alert: str) -> None:
    assert f"### {alert}\n" in (ROOT / "docs/operations.md").read_text()
