"""A compose project of its own: its name, its ports, its commands."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """Return a port that is not in use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Return the condition's first true value.

    Raises:
        AssertionError: when there is none for that long.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if value := condition():
                return value
        except OSError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds:g} s for {what}")


def fetch(url: str, body: object | None = None, *, method: str | None = None) -> Any:
    """Return the JSON of a URL; POST when there is a body, unless another method is given."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, {"Content-Type": "application/json"}, method=method), timeout=30) as response:
        return json.load(response)


class Compose:
    """`docker compose` for one project made of the repository's files."""

    def __init__(self, name: str, *files: str, **environment: str) -> None:
        self.port, self.prometheus_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = ["docker", "compose", "--project-name", name]
        for file in files or ("docker-compose.yml",):
            self._command += ["--file", str(ROOT / file)]
        ports = {"PORT": str(self.port), "PROMETHEUS_PORT": str(self.prometheus_port)}
        self._environment = os.environ | ports | environment

    def __call__(self, *words: str, check: bool = True) -> str:
        """Run a compose command; return what it printed on standard output."""
        done = subprocess.run(
            [*self._command, *words], cwd=ROOT, env=self._environment, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"docker compose {' '.join(words)}: {done.stderr[-3000:]}")
        return done.stdout + (done.stderr if not check else "")

    def inspect(self, service: str) -> Any:
        """Return the engine's description of a service's container, running or not."""
        container = self("ps", "--all", "--quiet", service).strip()
        done = subprocess.run(["docker", "inspect", container], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)[0]

    def address(self, service: str) -> str:
        """Return a container's own address: no proxy is between it and a client."""
        networks = self.inspect(service)["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])

    def python(self, service: str, code: str, *, check: bool = True) -> str:
        """Run Python inside a running container."""
        return self("exec", "--no-TTY", service, "python", "-c", code, check=check)

    def query(self, expression: str) -> list[Any]:
        """Return the result of a query to the project's Prometheus."""
        url = f"http://127.0.0.1:{self.prometheus_port}/api/v1/query?{urlencode({'query': expression})}"
        return list(fetch(url)["data"]["result"])
