"""The compose file on a real engine: build, up, predict, scrape, stop under load, restart. `make compose-test`."""

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.deploy.compose import Compose, fetch, wait_for
from tests.deploy.load import Load


def missing() -> str:
    """Return why these tests cannot run here; nothing when they can."""
    if os.environ.get("PEEPHOLE_TEST_COMPOSE") != "1":
        return "builds images and starts containers: run `make compose-test`"
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "there is no docker here"
    return f"no Docker engine answers: {done.stderr.strip()[:200]}" if done.returncode else ""


REASON = missing()
pytestmark = [pytest.mark.docker, pytest.mark.skipif(bool(REASON), reason=REASON)]

NETWORK = {
    "layers": [
        {"type": "conv", "kernel_size": 3, "out_channels": 16},
        {"type": "relu"},
        {"type": "max_pool", "kernel_size": 2, "stride": 2},
    ]
}


@pytest.fixture(scope="module")
def project() -> Iterator[Compose]:
    compose = Compose("peephole-test")
    compose("build", "peephole")
    try:
        compose("up", "--detach", "--wait", "--wait-timeout", "60", "peephole", "prometheus")
        yield compose
    finally:
        compose("down", "--volumes", "--timeout", "5")


@pytest.fixture
def task(project: Compose) -> str:
    """Return a task of the service, which is made to run."""
    project("up", "--detach", "--wait", "--wait-timeout", "60", "peephole", "prometheus")
    return str(next(iter(fetch(f"{project.url}/info")["tasks"])))


def test_a_published_port_answers_predictions_on_this_machine_only(project: Compose, task: str) -> None:
    answer = fetch(f"{project.url}/predict", {"task": task, "architectures": [NETWORK]})
    assert 0 < answer["predictions"][0]["final_accuracy"] < 1
    for service, port in (("peephole", "8000"), ("prometheus", "9090")):
        assert project("port", service, port).startswith("127.0.0.1:")


def test_prometheus_scrapes_the_service(project: Compose, task: str) -> None:
    fetch(f"{project.url}/predict", {"task": task, "architectures": [NETWORK]})
    wait_for(lambda: project.query('up{job="peephole"} == 1'), "the scrape to succeed")
    wait_for(lambda: project.query('http_requests_total{route="/predict"} > 0'), "the request to be counted")
    assert project.query("predictor_ready == 1")


def test_the_container_can_do_nothing_but_serve(project: Compose, task: str) -> None:
    status = project.python("peephole", "print(open('/proc/self/status').read())")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["10001"] * 4
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert "Read-only file system" in project.python("peephole", "open('/opt/probe', 'w')", check=False)
    assert project.python("peephole", "print(open('/tmp/probe', 'w').write('x'))").strip() == "1"
    host = project.inspect("peephole")["HostConfig"]
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert host["Init"]


@pytest.mark.parametrize("module", ["torch", "onnx", "sklearn", "pandas", "pyarrow", "training"])
def test_the_image_holds_nothing_of_the_offline_side(project: Compose, module: str) -> None:
    code = f"import importlib.util as u; print(u.find_spec({module!r}))"
    assert project.python("peephole", code).strip() == "None"


def test_the_image_holds_no_compiler(project: Compose) -> None:
    code = "import shutil; print([name for name in ('cc', 'gcc', 'c++', 'clang', 'make') if shutil.which(name)])"
    assert project.python("peephole", code).strip() == "[]"


def test_stopping_under_load_answers_every_request(project: Compose, task: str) -> None:
    with Load(project.address("peephole"), 8000, task) as load:
        wait_for(lambda: load.answered[200] > 50, "the load to be on")
        project("stop", "peephole")
    assert load.lost == []
    assert set(load.answered) == {200, 503}, "answered until the end, then told to go elsewhere"
    assert load.refused > 0, "the load went on after the end"
    lines = project("logs", "--no-log-prefix", "--no-color", "peephole").splitlines()
    logged = [json.loads(line[line.index("{") :]) for line in lines if "{" in line]  # compose adds control characters
    served = {line["request_id"]: line["status"] for line in logged if line.get("event") == "request"}
    ours = {name: status for name, status in served.items() if name.startswith(load.prefix)}
    assert ours == load.answers, "what the service answered is what the clients got"
    assert project.inspect("peephole")["State"]["ExitCode"] == 0
    project("up", "--detach", "--wait", "--wait-timeout", "60", "peephole")
    assert fetch(f"{project.url}/predict", {"task": task, "architectures": [NETWORK]})["predictions"]


def test_a_killed_service_comes_back(project: Compose, task: str) -> None:
    before = project.inspect("peephole")["RestartCount"]
    kill = (
        "import os, pathlib, signal; [os.kill(int(p.parent.name), signal.SIGKILL)"
        " for p in pathlib.Path('/proc').glob('[0-9]*/cmdline') if p.read_bytes() == b'python\\0-m\\0service\\0']"
    )
    project.python("peephole", kill, check=False)
    wait_for(lambda: project.inspect("peephole")["RestartCount"] > before, "the engine to restart the container")
    wait_for(lambda: fetch(f"{project.url}/readyz"), "the service to be ready again")
    assert fetch(f"{project.url}/predict", {"task": task, "architectures": [NETWORK]})["predictions"]
