"""The compose files on a real engine: build, predict, scrape, nginx, stop under load, restart. `make compose-test`."""

import json
import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from model.network.schema import LAYERS
from tests.deploy.compose import ROOT, Compose, fetch, free_port, wait_for
from tests.deploy.load import Load
from tests.deploy.proxy import Proxy, certificate
from training.observations.read import read


def missing() -> str:
    """Return why these tests cannot run here; nothing when they can."""
    if os.environ.get("PEEPHOLE_TEST_COMPOSE") != "1":
        return "builds images and starts containers: run `make compose-test`"
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "there is no docker here"
    return f"no Docker engine responds: {done.stderr.strip()[:200]}" if done.returncode else ""


REASON = missing()
pytestmark = [pytest.mark.docker, pytest.mark.skipif(bool(REASON), reason=REASON)]

KEY = "a-key-of-the-tests"
NGINX = re.findall(r"image: (nginx:\S+)", (ROOT / "docker/compose.public.yml").read_text())[0]
POSTGRES = re.findall(r"image: (postgres:\S+)", (ROOT / "docker/compose.learning.yml").read_text())[0]
FIND = (("image", "inspect"), ("pull",))
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
    """Start the service if it is not running; return one of its tasks."""
    project("up", "--detach", "--wait", "--wait-timeout", "60", "peephole", "prometheus")
    return str(next(iter(fetch(f"{project.url}/info")["tasks"])))


def test_the_published_port_serves_predictions_on_this_machine_only(project: Compose, task: str) -> None:
    response = fetch(f"{project.url}/predict", {"task": task, "architectures": [NETWORK]})
    assert 0 < response["predictions"][0]["final_accuracy"] < 1
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


def predict_through(proxy: Proxy, key: str) -> int:
    """Return the status of a prediction through nginx."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = json.dumps({"task": "mnist-mini", "architectures": [NETWORK]}).encode()
    return proxy.request("POST", "/predict", body, headers)[0].status


def is_here(image: str) -> bool:
    """Whether the engine has an image or can pull it."""
    return any(subprocess.run(["docker", *words, image], capture_output=True, check=False).returncode == 0
               for words in FIND)  # fmt: skip


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, Compose]]:
    """Start docker/compose.public.yml with a certificate of its own; its service and nginx, nothing else."""
    if not is_here(NGINX):
        pytest.skip(f"there is no image {NGINX} here, and it cannot be pulled")
    folder = tmp_path_factory.mktemp("certificates")
    tls = certificate(folder)
    folder.chmod(0o755)
    (folder / "privkey.pem").chmod(0o644)  # for user 101
    port = free_port()
    compose = Compose(
        "peephole-public-test",
        "docker-compose.yml",
        "docker/compose.public.yml",
        PEEPHOLE_API_KEYS=KEY,
        PEEPHOLE_CERTIFICATES=str(folder),
        PEEPHOLE_PUBLISH="127.0.0.1",
        HTTPS_PORT=str(port),
    )
    compose("build", "peephole")
    try:
        compose("up", "--detach", "--wait", "--wait-timeout", "60", "nginx")
        yield Proxy(port, tls), compose
    finally:
        compose("down", "--volumes", "--timeout", "5")


def test_the_public_service_is_reached_over_tls_with_a_key_and_in_no_other_way(public: tuple[Proxy, Compose]) -> None:
    proxy, compose = public
    assert predict_through(proxy, KEY) == 200
    assert predict_through(proxy, "another") == 401
    assert not any(compose.inspect("peephole")["NetworkSettings"]["Ports"].values())
    host = compose.inspect("nginx")["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert compose.inspect("nginx")["Config"]["User"] == "101:101"


def test_nginx_finds_a_service_that_moved_to_another_address(public: tuple[Proxy, Compose]) -> None:
    proxy, compose = public
    before = compose.address("peephole")
    compose("rm", "--stop", "--force", "peephole")
    assert predict_through(proxy, KEY) in {502, 504}
    compose("up", "--detach", "--no-deps", "prometheus")  # takes the free address
    compose("up", "--detach", "--wait", "--wait-timeout", "60", "peephole")
    assert compose.address("peephole") != before
    wait_for(lambda: predict_through(proxy, KEY) == 200, "nginx to find the service", seconds=20)


@pytest.fixture(scope="module")
def learning() -> Iterator[Compose]:
    """Start docker/compose.learning.yml: the service, a worker, PostgreSQL."""
    if not is_here(POSTGRES):
        pytest.skip(f"there is no image {POSTGRES} here, and it cannot be pulled")
    files = "docker-compose.yml", "docker/compose.learning.yml"
    compose = Compose("peephole-learning-test", *files, PEEPHOLE_FIT_EVERY="40")
    compose("build", "peephole", "worker")
    try:
        compose("up", "--detach", "--wait", "--wait-timeout", "120", "peephole", "worker", "postgres")
        yield compose
    finally:
        compose("down", "--volumes", "--timeout", "5")


def test_a_worker_fits_what_the_service_stores(learning: Compose) -> None:
    """New networks queue a fit; the worker's container carries it out, also when it is killed in between."""
    rows = [row for row in read(ROOT / "data/cifar10-mini.parquet") if row.seed == 0][:40]
    new = [{"layers": LAYERS.dump_python(row.layers, mode="json"), "accuracy": row.accuracy[-1]} for row in rows]
    task = f"{learning.url}/tasks/leaves"
    fetch(task, {"input": [3, 16, 16], "prior": None}, method="PUT")
    assert fetch(f"{task}/observations", {"observations": new})["networks"] == 40
    wait_for(lambda: fetch(f"{task}/fits/1")["state"] == "running", "the worker to take it up")
    learning("restart", "--timeout", "20", "worker")
    wait_for(lambda: fetch(f"{task}/fits/1")["state"] == "done", "the fit to be done", seconds=180)
    fit = fetch(f"{task}/fits/1")
    served = fetch(f"{task}/versions")["served"]
    assert served == (fit["result"]["version"] if fit["result"]["published"] else "context")
    assert fetch(f"{learning.url}/predict", {"task": "leaves", "architectures": [NETWORK]})["predictions"]
    assert not any(learning.inspect("postgres")["NetworkSettings"]["Ports"].values())


def test_stopping_under_load_answers_every_request(project: Compose, task: str) -> None:
    with Load(project.address("peephole"), 8000, task) as load:
        wait_for(lambda: load.answered[200] > 50, "the load to be on")
        project("stop", "peephole")
    assert load.lost == []
    assert set(load.answered) == {200, 503}, "served until the end, then rejected"
    assert load.refused > 0, "the load went on after the end"
    lines = project("logs", "--no-log-prefix", "--no-color", "peephole").splitlines()
    logged = [json.loads(line[line.index("{") :]) for line in lines if "{" in line]  # compose adds control characters
    served = {line["request_id"]: line["status"] for line in logged if line.get("event") == "request"}
    ours = {name: status for name, status in served.items() if name.startswith(load.prefix)}
    assert ours == load.answers, "the log has the statuses that the clients got"
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
