"""The service and a Prometheus that scrapes it with the shipped configuration, as processes of this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from tests.deploy.compose import ROOT, fetch, free_port, wait_for
from tests.deploy.processes import process, service

SCRAPE_SECONDS = 1


@dataclass(frozen=True)
class Watched:
    """A running service and its Prometheus."""

    port: int
    prometheus: str
    task: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the result of an instant query."""
        return self._get("query", query=expression)

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """Return the result of a range query."""
        return self._get("query_range", query=expression, start=start, end=end, step=step)

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules with their health and, for alerts, their state."""
        groups = fetch(f"{self.prometheus}/api/v1/rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def _get(self, call: str, **parameters: Any) -> list[dict[str, Any]]:
        return list(fetch(f"{self.prometheus}/api/v1/{call}?{urlencode(parameters)}")["data"]["result"])


def configuration(port: int) -> dict[str, Any]:
    """Return the shipped configuration, made to scrape a local port every second."""
    folder = ROOT / "docker" / "prometheus"
    config: dict[str, Any] = yaml.safe_load((folder / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"}
    config["rule_files"] = [str(folder / name) for name in config["rule_files"]]
    for job in config["scrape_configs"]:
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    return config


@contextmanager
def watched(folder: Path, **settings: str) -> Iterator[Watched]:
    """Run the service with these settings and Prometheus until the block ends.

    Args:
        folder: for the configuration, the data and the logs.
        settings: environment variables of the service.
    """
    with service(folder / "service.log", **settings) as port:
        prometheus_port = free_port()
        config = folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(configuration(port)))
        words = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
        words.append(f"--web.listen-address=127.0.0.1:{prometheus_port}")
        with process(folder / "prometheus.log", *words):
            task = next(iter(fetch(f"http://127.0.0.1:{port}/info")["tasks"]))
            running = Watched(port, f"http://127.0.0.1:{prometheus_port}", task)
            wait_for(lambda: running.query("predictor_ready == 1"), "the first scrape")
            yield running
