"""Processes of this machine that a test starts and ends."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.deploy.compose import ROOT, fetch, free_port, wait_for


@contextmanager
def process(log: Path, *words: str, **environment: str) -> Iterator[None]:
    """Run a command until the block ends; its output goes to the log."""
    with log.open("wb") as output:
        running = subprocess.Popen(
            words, cwd=ROOT, env=os.environ | environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            running.terminate()
            running.wait()


@contextmanager
def service(log: Path, **settings: str) -> Iterator[int]:
    """Run the service with these settings until the block ends; yields its port once it is ready."""
    port = free_port()
    with process(log, sys.executable, "-m", "service", HOST="127.0.0.1", PORT=str(port), **settings):
        wait_for(lambda: fetch(f"http://127.0.0.1:{port}/readyz"), "the service to be ready")
        yield port
