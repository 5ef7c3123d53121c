"""A real service process for the tests, with or without a patched predictor."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).parents[2]
PATCHED = """
import sys, threading, time
import model.runtime
plain = model.runtime.Predictor.run
def run(self, codes, lengths, epochs, lane=0):
    trigger = (codes[:, :, 1] == 9).any()
    {action}
    return plain(self, codes, lengths, epochs, lane=lane)
model.runtime.Predictor.run = run
{before}
from service.main import main
sys.exit(main())
"""


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], Any], what: str = "the condition", seconds: float = 20.0) -> None:
    """Wait until the condition holds.

    Raises:
        AssertionError: when it does not within `seconds`.
    """
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f"{what}: not within {seconds} s"
        time.sleep(0.01)


class Live:
    """A started process: its address, its output (unless a descriptor for it is given), its exit code."""

    def __init__(
        self, models: Path | None, action: str | None = None, stdout: int | None = None, before: str = "", **env: str
    ) -> None:
        self.printed = ""
        self.port = int(env.get("PORT") or free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        patched = PATCHED.format(action=action or "pass", before=before)
        command = ["-c", patched] if action or before else ["-m", "service"]
        values = {"PORT": str(self.port), "PEEPHOLE_SHIPPED": "false", "PEEPHOLE_THREADS": "2"}
        if models is not None:
            values["PEEPHOLE_MODELS"] = str(models)
        self.log = tempfile.NamedTemporaryFile()  # noqa: SIM115 - a pipe that nobody empties would stop the process
        self.process = subprocess.Popen(
            [sys.executable, *command],
            env=os.environ | values | env,
            stdout=self.log if stdout is None else stdout,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
        )

    def wait_ready(self) -> None:
        """Wait until predictions are served."""
        limit = time.monotonic() + 60
        while time.monotonic() < limit and self.process.poll() is None:
            try:
                if httpx2.get(self.url + "/readyz").status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.05)
        self.process.kill()
        raise AssertionError(f"not ready: {self.output()}")

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        self.process.send_signal(number)

    def wait(self, seconds: float = 60.0) -> tuple[int, str]:
        """Wait for the end; return the exit code and everything printed."""
        self.process.wait(seconds)
        return self.process.returncode, self.output()

    def wait_printed(self, text: str, seconds: float = 20.0) -> None:
        """Wait until a line holds the text: lines are written a few milliseconds after what they tell of."""
        limit = time.monotonic() + seconds
        while text not in self.output():
            assert time.monotonic() < limit, self.output()
            time.sleep(0.01)

    def output(self) -> str:
        """Return what was printed so far."""
        return Path(self.log.name).read_text()

    def metric(self, name: str) -> float:
        """Return the value of a metric; 0.0 while it has none."""
        lines = httpx2.get(self.url + "/metrics").text.splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(name + " ")), 0.0)

    def status_of(self, path: str, seconds: float = 20.0) -> int:
        """Return the status of a GET on a new connection; 0 when there is no response."""
        try:
            return httpx2.get(self.url + path, timeout=seconds).status_code
        except httpx2.TransportError:
            return 0

    def rss_kib(self) -> int:
        """Return the memory in use."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS")))

    def descriptors(self) -> int:
        """Return the number of open file descriptors."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


@contextmanager
def running(
    models: Path | None, action: str | None = None, stdout: int | None = None, before: str = "", **env: str
) -> Iterator[Live]:
    """Start a process, wait until it is ready, end it afterwards however the test ended.

    `action` is done in every prediction, `before` when the process starts. A single-network request is predicted on
    the event loop, a pair of networks by a worker thread.
    """
    live = Live(models, action, stdout, before, **env)
    try:
        live.wait_ready()
        yield live
    finally:
        if live.process.poll() is None:
            live.process.kill()
        live.process.wait()
        live.printed = live.output()
        live.log.close()
