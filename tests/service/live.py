"""A real service process for the tests, with or without a sabotaged predictor."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

START_SECONDS = 60.0
SABOTAGE = """
import sys, time
import model.runtime
plain = model.runtime.Predictor.run
def run(self, codes, lengths, epochs, lane=0):
    trigger = (codes[:, :, 1] == 9).any()
    {action}
    return plain(self, codes, lengths, epochs, lane=lane)
model.runtime.Predictor.run = run
{before}
from service.start import main
sys.exit(main())
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Live:
    """A started process: its address, its output (unless a descriptor for it is given), its exit code."""

    def __init__(
        self, models: Path | None, action: str | None = None, stdout: int | None = None, before: str = "", **env: str
    ) -> None:
        self.printed = ""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        sabotage = SABOTAGE.format(action=action or "pass", before=before)
        command = ["-c", sabotage] if action or before else ["-m", "service"]
        values = {"PORT": str(self.port), "PEEPHOLE_SHIPPED": "false", "PEEPHOLE_THREADS": "2"}
        if models is not None:
            values["PEEPHOLE_MODELS"] = str(models)
        self.log = tempfile.NamedTemporaryFile()  # noqa: SIM115 - a pipe that nobody empties would stop the process
        self.process = subprocess.Popen(
            [sys.executable, *command],
            env=os.environ | values | env,
            stdout=self.log if stdout is None else stdout,
            stderr=subprocess.STDOUT,
            cwd=Path(__file__).parents[2],
        )

    def wait_ready(self) -> None:
        limit = time.monotonic() + START_SECONDS
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

    def rss_kib(self) -> int:
        return self._status_kib("VmRSS")

    def peak_kib(self) -> int:
        """Return the most memory held since `forget_peak`."""
        return self._status_kib("VmHWM")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def _status_kib(self, name: str) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in text.splitlines() if line.startswith(name)))

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


@contextmanager
def running(
    models: Path | None, action: str | None = None, stdout: int | None = None, before: str = "", **env: str
) -> Iterator[Live]:
    """Start a process, wait until it is ready, end it afterwards however the test ended.

    `action` is done in every prediction, `before` when the process starts.
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
