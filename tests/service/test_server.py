"""The server process: how it starts, when it cannot start, what its console says."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.service.live import ROOT, Live, running, until
from tests.service.requests import body, network, single

LOADING = """
init = model.runtime.Predictor.__init__
def slow_init(self, *args, **kwargs):
    {}
    init(self, *args, **kwargs)
model.runtime.Predictor.__init__ = slow_init
"""


@contextmanager
def started(models: Path, before: str = "", **env: str) -> Iterator[Live]:
    """A process that may not be ready yet."""
    live = Live(models, before=before, **env)
    try:
        yield live
    finally:
        live.process.kill()
        live.wait()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_in_use_is_one_line_and_exit_1(tiny: Path, taken: int) -> None:
    with started(tiny, PORT=str(taken)) as live:
        code, output = live.wait(20)
    assert code == 1, output
    (line,) = output.splitlines()
    assert json.loads(line)["level"] == "error"
    assert "address already in use" in line
    assert str(taken) in line


def test_a_wrong_setting_is_one_line_and_exit_2(tiny: Path) -> None:
    with started(tiny, PEEPHOLE_THREADS="many") as live:
        code, output = live.wait(20)
    assert code == 2
    assert output.splitlines() == [output.strip()]
    assert output.startswith("peephole: setting PEEPHOLE_THREADS: ")
    assert "many" not in output


def test_the_log_says_where_the_service_listens(tiny: Path) -> None:
    """Most of all with port 0, when the operating system chooses."""
    with started(tiny, PORT="0") as live:
        live.wait_printed('"ready"')
        lines = [json.loads(line) for line in live.output().splitlines()]
        (address,) = [line["address"] for line in lines if line["event"] == "listening"]
        assert httpx2.get(address + "/livez").status_code == 200
        (ready,) = [line for line in lines if line["event"] == "ready"]
        assert (ready["tasks"], ready["threads"], ready["provider"]) == (["tiny"], 2, "cpu")


def test_the_service_listens_while_predictors_are_loading(tiny: Path) -> None:
    """Alive at once, not ready, and 503 with Retry-After for predictions."""
    with started(tiny, before=LOADING.format("time.sleep(1)")) as live:
        until(lambda: live.status_of("/livez") == 200, "alive")
        began = time.monotonic()
        not_ready = httpx2.get(live.url + "/readyz")
        assert time.monotonic() - began < 0.8, "loading does not hold up the event loop"
        assert not_ready.status_code == 503
        assert "loading" in not_ready.json()["detail"]
        rejected = httpx2.post(live.url + "/predict", json=single())
        assert rejected.status_code == 503
        assert int(rejected.headers["retry-after"]) > 0
        live.wait_printed('"route": "/readyz", "status": 503')
        live.wait_ready()
        assert httpx2.post(live.url + "/predict", json=single()).status_code == 200


def test_sigterm_while_predictors_are_loading_ends_with_0(tiny: Path) -> None:
    with started(tiny, before=LOADING.format("time.sleep(1)")) as live:
        until(lambda: live.status_of("/livez") == 200, "alive")
        live.signal(signal.SIGTERM)
        code, output = live.wait(10)
    assert code == 0, output
    assert "Traceback" not in output


def test_predictors_that_cannot_be_loaded_end_the_process_with_70(tiny: Path) -> None:
    with started(tiny, before=LOADING.format("1 / 0")) as live:
        code, output = live.wait(20)
    assert code == 70, output
    assert "the predictors cannot be loaded" in output


def test_sighup_during_the_start_changes_nothing(tiny: Path) -> None:
    """There is nothing to reload yet; an orchestrator may send it at any time."""
    with started(tiny) as live:
        time.sleep(0.1)
        while live.process.poll() is None and live.status_of("/readyz", seconds=1) != 200:
            live.signal(signal.SIGHUP)
            time.sleep(0.02)
        assert httpx2.post(live.url + "/predict", json=single()).status_code == 200


@pytest.fixture
def terminal() -> Iterator[None]:
    """Heed SIGINT as in a terminal: what a shell starts in the background ignores it, and so do all its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def read_terminal(end: int) -> str:
    """Return what was written to a pseudo-terminal, until its other end is closed."""
    parts = []
    try:
        while part := os.read(end, 65536):
            parts.append(part)
    except OSError:  # Linux: the last writer has closed
        pass
    return b"".join(parts).decode()


@pytest.mark.usefixtures("terminal")
def test_a_terminal_shows_lines_for_people_and_ctrl_c_ends_the_process(tiny: Path) -> None:
    """Not JSON; a request is one line with its route and status; no traceback at the end."""
    ours, theirs = pty.openpty()
    with running(tiny, stdout=theirs) as live:
        os.close(theirs)
        assert httpx2.post(live.url + "/predict", json=body(network(3), network(4))).status_code == 200
        live.signal(signal.SIGINT)
        assert live.wait(20)[0] == 0
    output = read_terminal(ours)
    os.close(ours)
    (line,) = [line for line in output.splitlines() if "/predict" in line]
    assert "request" in line
    assert "200" in line
    assert f"http://127.0.0.1:{live.port}" in output
    assert '{"' not in output
    assert "Traceback" not in output


def test_a_port_in_use_is_one_line_on_a_terminal(tiny: Path, taken: int) -> None:
    ours, theirs = pty.openpty()
    environment = os.environ | {"PORT": str(taken), "PEEPHOLE_MODELS": str(tiny), "PEEPHOLE_SHIPPED": "false"}
    process = subprocess.Popen(
        [sys.executable, "-m", "service"], stdout=theirs, stderr=theirs, env=environment, cwd=ROOT
    )
    os.close(theirs)
    output = read_terminal(ours)
    os.close(ours)
    assert process.wait(20) == 1
    (line,) = output.splitlines()
    assert "address already in use" in line
    assert '{"' not in line
