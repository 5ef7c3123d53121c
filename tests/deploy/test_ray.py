"""Two replicas under Ray Serve on a local cluster, one of them killed under load."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.deploy.compose import fetch, free_port, wait_for
from tests.deploy.load import Load

pytest.importorskip("ray.serve", reason="needs Ray: pip install 'peephole-service[cluster]'")

import ray
from ray import serve

from service.ray_app import app


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    number = free_port()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False)
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": number})
        serve.run(app)
        yield number
    finally:
        serve.shutdown()
        ray.shutdown()


def replicas() -> set[int]:
    """Return the process ids of the replicas; Ray names their processes."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if path.read_bytes().startswith(b"ray::ServeReplica:default:peephole"):
                found.add(int(path.parent.name))
    return found


def test_the_replicas_serve_predictions(port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    assert fetch(f"{url}/readyz") == {"status": "ready"}
    info = fetch(f"{url}/info")
    assert info["threads"] == 1, "a replica uses the cores that Ray assigned to it"
    response = fetch(
        f"{url}/predict", {"task": next(iter(info["tasks"])), "architectures": [{"layers": [{"type": "relu"}]}]}
    )
    assert len(response["predictions"]) == 1


def test_when_a_replica_is_killed_under_load_every_request_is_answered(port: int) -> None:
    before = wait_for(lambda: len(found := replicas()) == 2 and found, "two replicas")
    task = next(iter(fetch(f"http://127.0.0.1:{port}/info")["tasks"]))
    with Load("127.0.0.1", port, task, retries=5) as load:
        wait_for(lambda: load.answered[200] > 50, "the load to be on")
        victim = before.pop()
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()
        wait_for(lambda: len(found := replicas()) == 2 and victim not in found, "another replica in its place")
        replaced = time.monotonic() - killed
        count = load.answered[200]
        wait_for(lambda: load.answered[200] > count + 50, "the load to go on")
    print(f"{dict(load.answered)}, retried {load.retried}, replaced after {replaced:.1f} s")
    assert load.lost == []
    assert set(load.answered) == {200}
