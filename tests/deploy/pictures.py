"""Draw the dashboard's graphs from what a real Prometheus returned: python -m tests.deploy.pictures [--seconds 240].

The service runs with a queue small enough to overflow, under one, then three, then a dozen clients, then one again.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl

from tests.deploy import stored
from tests.deploy.compose import ROOT, fetch
from tests.deploy.load import Load
from tests.deploy.stored import stored_task
from tests.deploy.watched import Watched, watched

mpl.use("Agg")
import matplotlib.pyplot as plt

DASHBOARD = ROOT / "docker/grafana/dashboards/peephole.json"
PICTURES = ROOT / "docs/pictures"
PHASES = ((1, 8), (3, 8), (12, 64), (1, 8))  # clients, networks a request
QUEUE = "2000"
COLUMNS = 3
UNITS = {"none": "", "s": "seconds", "reqps": "requests / s", "ops": "1 / s", "percentunit": "share"}


def rows() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the title and the graphs of each row of the dashboard that has graphs."""
    found: dict[str, list[dict[str, Any]]] = {}
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        if panel["type"] == "row":
            graphs = found.setdefault(panel["title"], [])
        elif panel["type"] == "timeseries":
            graphs.append(panel)
    yield from ((title, graphs) for title, graphs in found.items() if graphs)


def picture(title: str) -> Path:
    """Return the path of a row's picture."""
    return PICTURES / f"dashboard-{title.lower().replace(' ', '-')}.png"


def queries(panels: list[dict[str, Any]]) -> str:
    """Return the panels' titles and queries; each picture holds its own, so that a test notices an old one."""
    return json.dumps([[panel["title"], [target["expr"] for target in panel["targets"]]] for panel in panels])


def legend(target: dict[str, Any], labels: dict[str, str]) -> str:
    """Return a series' name as Grafana writes it."""
    text = str(target["legendFormat"])
    for name, value in labels.items():
        text = text.replace("{{" + name + "}}", value)
    return text


def _draw(axes: Any, panel: dict[str, Any], running: Watched, start: float, end: float) -> None:
    axes.set_title(panel["title"], fontsize=9)
    for target in panel["targets"]:
        for series in running.query_range(target["expr"], start, end, 2):
            times = [datetime.fromtimestamp(float(at)) for at, _ in series["values"]]
            numbers = [float(value) for _, value in series["values"]]
            axes.plot(times, numbers, lw=1, label=legend(target, series["metric"]))
    axes.set_ylim(0, max(axes.get_ylim()[1], 1e-9) * 1.3)
    axes.xaxis.set_major_formatter(mpl.dates.DateFormatter("%H:%M"))
    axes.xaxis.set_major_locator(mpl.dates.MinuteLocator())
    axes.set_ylabel(UNITS[panel["fieldConfig"]["defaults"]["unit"]], fontsize=7)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=6, loc="upper left")
    axes.grid(alpha=0.3)


def draw(running: Watched, start: float, end: float) -> None:
    """Write one picture for each row of the dashboard."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for title, panels in rows():
        lines = -(-len(panels) // COLUMNS)
        figure, grid = plt.subplots(lines, COLUMNS, figsize=(11, 2.4 * lines), squeeze=False, layout="constrained")
        for axes, panel in zip(grid.flat, panels, strict=False):
            _draw(axes, panel, running, start, end)
        for axes in list(grid.flat)[len(panels) :]:
            axes.axis("off")
        figure.savefig(picture(title), dpi=110, metadata={"Title": title, "Description": queries(panels)})
        plt.close(figure)
        print(picture(title).relative_to(ROOT))


def main() -> None:
    """Run the service under changing load and draw what Prometheus saw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=240, help="length of the load")
    seconds = parser.parse_args().seconds
    with (
        tempfile.TemporaryDirectory() as folder,
        watched(Path(folder), PEEPHOLE_MAX_QUEUE_COST=QUEUE, PEEPHOLE_PROVIDER="cpu", PEEPHOLE_STATE=folder) as running,
    ):
        start = time.time()
        url = f"http://127.0.0.1:{running.port}"
        stored_task(url, Path(folder))
        for phase, (clients, networks) in enumerate(PHASES):
            more = {"observations": stored.networks(100 * (phase + 1), 10 * (phase + 1))}
            fetch(f"{url}/tasks/leaves/observations", more)
            load = Load("127.0.0.1", running.port, running.task, clients=clients, networks=networks)
            with load:
                time.sleep(seconds / len(PHASES))
            print(f"{clients} clients, {networks} networks a request: {dict(load.answered)}, lost {len(load.lost)}")
        draw(running, start, time.time())


if __name__ == "__main__":
    main()
