"""The dashboard: every query of every panel goes to a real Prometheus that scrapes the service under load."""

import json
import math
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from tests.deploy import pictures
from tests.deploy.compose import ROOT, wait_for
from tests.deploy.load import Load
from tests.deploy.stored import stored_task
from tests.deploy.watched import Watched, watched

DASHBOARD = json.loads((ROOT / "docker/grafana/dashboards/peephole.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [
    pytest.param(target["expr"], id=f"{panel['title']}-{target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
]


def has_data(result: list[dict[str, Any]]) -> bool:
    """Whether a query returned a number that can be drawn."""
    return any(math.isfinite(float(series["value"][1])) for series in result)


@pytest.fixture(scope="module")
def under_load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    if shutil.which("prometheus") is None:
        pytest.skip("no `prometheus` on the PATH (Debian: apt install prometheus)")
    state = tmp_path_factory.mktemp("state")
    with (
        watched(tmp_path_factory.mktemp("watched"), PEEPHOLE_PROVIDER="cpu", PEEPHOLE_STATE=str(state)) as running,
        Load("127.0.0.1", running.port, running.task, clients=2) as load,
    ):
        wait_for(lambda: load.answered[200] > 20, "the load to be on")
        stored_task(f"http://127.0.0.1:{running.port}", state)
        yield running
    assert load.lost == []


@pytest.mark.parametrize("expression", QUERIES)
def test_every_query_of_the_dashboard_returns_data_under_load(under_load: Watched, expression: str) -> None:
    wait_for(lambda: has_data(under_load.query(expression)), f"data of {expression}", seconds=30)


def test_every_recording_rule_returns_data_under_load(under_load: Watched) -> None:
    rules = under_load.rules()
    recorded = [rule["name"] for rule in rules if rule["type"] == "recording"]
    assert len(recorded) > 5
    for name in recorded:
        wait_for(lambda: has_data(under_load.query(name)), f"data of {name}", seconds=30)  # noqa: B023


def test_no_rule_fails_and_no_alert_fires_on_a_healthy_service(under_load: Watched) -> None:
    for rule in under_load.rules():
        assert rule["health"] != "err", rule
        assert rule.get("state") != "firing", rule


def test_panels_are_named_once_described_and_draw_from_the_provisioned_source() -> None:
    folder = ROOT / "docker/grafana/provisioning/datasources"
    assert "uid: prometheus" in (folder / "prometheus.yml").read_text()
    assert len({panel["title"] for panel in PANELS}) == len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        assert panel["description"], panel["title"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"prometheus"}


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_the_pictures_in_the_docs_show_every_graph_with_its_present_queries() -> None:
    shown = list(pictures.rows())
    assert sum(len(panels) for _, panels in shown) == sum(panel["type"] == "timeseries" for panel in PANELS)
    for title, panels in shown:
        with Image.open(pictures.picture(title)) as image:
            assert image.info["Description"] == pictures.queries(panels), "run `python -m tests.deploy.pictures`"
