"""Batches, queue, deadlines, cache: what concurrent callers get is theirs, on time or refused honestly."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from service.cache import CurveCache
from starlette.testclient import TestClient

from model.artifact import read_artifact
from model.runtime import Predictor
from service.cores import available
from tests.service import graphs
from tests.service.conftest import Serve
from tests.service.live import running
from tests.service.test_errors import problem

RELU = {"type": "relu"}


def network(layers: int, seed: int = 0, **conv: Any) -> dict[str, Any]:
    """A network that only `seed` tells from others of its length."""
    first = [{"type": "conv", "kernel_size": 3, "out_channels": 16, **conv}, {"type": "dropout", "p": seed / 10_000}]
    return {"id": f"{layers}-{seed}", "layers": [*first, *[RELU] * layers]}


def together(calls: list[Callable[[], Any]]) -> list[Any]:
    """Make calls at the same time; return their results in order."""
    results: list[Any] = [None] * len(calls)

    def call(index: int) -> None:
        results[index] = calls[index]()

    threads = [threading.Thread(target=call, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def value(client: TestClient, name: str) -> float:
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(name + " ")]
    return float(lines[0].split()[-1])


def test_inference_threads_share_a_request(tiny: Path) -> None:
    """As many threads as there are cores to use work on a population; each gives way to the event loop."""
    action = "print('on ' + __import__('threading').current_thread().name, flush=True); time.sleep(0.3)"
    with running(tiny, action, PEEPHOLE_THREADS="3", PEEPHOLE_CACHE_ENTRIES="0") as live:
        population = {"architectures": [network(40, seed) for seed in range(64)]}
        assert httpx2.post(live.url + "/predict", json=population, timeout=20).status_code == 200
        assert {f"on inference-{n}" in live.output() for n in range(3)} == {True}
        stats = []
        for task in Path(f"/proc/{live.process.pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # faulthandler renews its thread every second
                stats.append((task / "stat").read_text().rpartition(")")[2].split())
        niceness = sorted(int(fields[16]) for fields in stats)
    given_way = 10 if available() > 1 else 0
    assert niceness[-3:] == [min(19, niceness[0] + given_way)] * 3, "they give way to the event loop"


def test_a_network_gets_the_same_answer_whatever_its_batch_mates(serve: Serve) -> None:
    """Alone, in a population, and beside other callers: within 1e-5, and its own."""
    client = serve(cache_entries=0)
    networks = [network(layers, seed) for seed, layers in enumerate([1, 5, 30, 2, 50, 17, 9, 33] * 4)]

    def ask(*asked: dict[str, Any]) -> list[dict[str, Any]]:
        response = client.post("/predict", json={"architectures": list(asked)})
        assert response.status_code == 200, response.text
        return response.json()["predictions"]

    population = ask(*networks)
    concurrent = together([lambda one=one: ask(one) for one in networks])
    for one, joint, crowd in zip(networks, population, concurrent, strict=True):
        (alone,) = ask(one)
        assert alone["id"] == joint["id"] == crowd[0]["id"] == one["id"]
        np.testing.assert_allclose(joint["accuracy"], alone["accuracy"], atol=1e-5)
        np.testing.assert_allclose(crowd[0]["accuracy"], alone["accuracy"], atol=1e-5)


def test_shipped_predictors_give_the_same_answer_whatever_the_batch_mates(serve: Serve) -> None:
    """The same for the real predictors, with networks of a real kind."""
    client = serve(models=(), shipped=True, cache_entries=0)
    networks = [network(layers, seed) for seed, layers in enumerate([1, 5, 30, 2, 17])]
    for task in client.get("/info").json()["tasks"]:

        def ask(*asked: dict[str, Any], task: str = task) -> list[dict[str, Any]]:
            return client.post("/predict", json={"task": task, "architectures": list(asked)}).json()["predictions"]

        for one, joint in zip(networks, ask(*networks), strict=True):
            np.testing.assert_allclose(ask(one)[0]["accuracy"], joint["accuracy"], atol=1e-5)


def test_concurrent_requests_share_batches(serve: Serve, slow: Path) -> None:
    """While one call runs, the others that wait are answered by fewer calls than there are requests."""
    client = serve(models=(slow,))
    results = together(
        [lambda n=n: client.post("/predict", json={"architectures": [network(3, n)]}).status_code for n in range(16)]
    )
    assert results == [200] * 16
    assert value(client, 'predictor_batches_total{task="tiny"}') < 16


def test_identical_networks_are_computed_once_and_remembered(serve: Serve) -> None:
    """Repeats within a request and across requests do not reach the predictor."""
    client = serve()
    body = {"architectures": [{"layers": network(4)["layers"]}] * 50}
    first = client.post("/predict", json=body).json()["predictions"]
    assert len({tuple(p["accuracy"]) for p in first}) == 1
    assert value(client, "predictor_batch_architectures_sum") == 1
    assert client.post("/predict", json=body).json()["predictions"] == first
    assert value(client, "predictor_batch_architectures_sum") == 1
    assert value(client, 'predictor_cache_requests_total{result="hit"}') == 99


def test_a_poisonous_network_fails_alone(serve: Serve) -> None:
    """A network on which the predictor raises or gives NaN is a 500 of its request; batch-mates get their curves."""
    client = serve()
    bodies = [network(3, n) for n in range(6)]
    bodies[2] = network(3, 2, kernel_size=graphs.POISON_KERNEL)
    bodies[4] = network(3, 4, kernel_size=graphs.NAN_KERNEL)
    responses = together([lambda one=one: client.post("/predict", json={"architectures": [one]}) for one in bodies])
    assert [response.status_code for response in responses] == [200, 200, 500, 200, 500, 200]
    assert problem(responses[2], 500)["type"] == "/problems/prediction-failed"
    again = client.post("/predict", json={"architectures": [bodies[0], bodies[1], bodies[2]]})
    assert problem(again, 500)["errors"][0]["pointer"] == "/architectures/2"
    assert client.get("/readyz").status_code == 200


def test_clients_that_hung_up_are_skipped(tmp_path: Path) -> None:
    """Work that nobody waits for any more is not done, and counted."""
    slower = graphs.artifact(tmp_path / "slower", model=graphs.graph(loops=2000))
    with running(slower, PEEPHOLE_HANG_SECONDS="60", PEEPHOLE_STALL_SECONDS="60") as live:

        def ask(n: int) -> None:
            with suppress(httpx2.TimeoutException):
                httpx2.post(live.url + "/predict", json={"architectures": [network(40, n)]}, timeout=0.1)

        def gone() -> float:
            text = httpx2.get(live.url + "/metrics").text
            line = next(line for line in text.splitlines() if 'reason="client_gone"' in line)
            return float(line.split()[-1])

        for first in range(0, 40, 8):  # on a busy machine nothing of a round may be read before its clients hang up
            together([lambda n=first + n: ask(n) for n in range(8)])
            if gone():
                break
        assert gone() > 0
        assert httpx2.post(live.url + "/predict", json={"architectures": [network(2)]}, timeout=60).status_code == 200


def test_a_large_request_does_not_hold_up_a_small_one(serve: Serve, tmp_path: Path) -> None:
    """A small request that arrives during a large one is answered before it, after at most a batch or two."""
    medium = graphs.artifact(tmp_path / "medium", model=graphs.graph(loops=60))
    client = serve(models=(medium,), batch_cost=64)
    finished: list[str] = []

    def ask(name: str, networks: list[dict[str, Any]], wait: float) -> None:
        time.sleep(wait)
        assert client.post("/predict", json={"architectures": networks}).status_code == 200
        finished.append(name)

    large = [network(30, n) for n in range(150)]
    together([lambda: ask("large", large, 0), lambda: ask("small", [network(3, 7)], 0.4)])
    assert finished == ["small", "large"]


def test_loading_is_a_503_until_it_is_done(monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    """While predictors load the process is alive, not ready, and says so to whoever asks."""
    release = threading.Event()
    init = Predictor.__init__

    def slow_init(self: Predictor, *args: Any, **kwargs: Any) -> None:
        assert release.wait(20)
        init(self, *args, **kwargs)

    monkeypatch.setattr(Predictor, "__init__", slow_init)
    client = serve(wait=False)
    assert client.get("/livez").status_code == 200
    assert "loading" in problem(client.get("/readyz"), 503)["detail"]
    refused = client.post("/predict", json={"architectures": [network(1)]})
    problem(refused, 503)
    assert int(refused.headers["retry-after"]) > 0
    release.set()
    while client.get("/readyz").status_code != 200:
        time.sleep(0.02)
    assert client.post("/predict", json={"architectures": [network(1)]}).status_code == 200


def test_the_fixture_predictor_is_what_it_says(tiny: Path) -> None:
    """The formula that the other tests compare with is the graph's own."""
    artifact = read_artifact(tiny)
    codes = np.ones((1, 2, 9), dtype=np.int32)
    curves = Predictor(artifact).run(codes, np.array([2], dtype=np.int32), [1, 2])
    expected = [1 / (1 + np.exp(-graphs.expected_logit(codes, epoch))) for epoch in (1, 2)]
    np.testing.assert_allclose(curves.accuracy[0], expected, rtol=1e-6)


def test_reading_does_not_hold_up_what_was_met_before(serve: Serve) -> None:
    """With every reader busy a population of known layers is still looked up, predicted and written."""
    client = serve()
    body = {"architectures": [network(5, n) for n in range(90)]}
    expected = client.post("/predict", json=body).json()["predictions"]
    service = client.app.state.service  # type: ignore[attr-defined]
    release = threading.Event()
    busy = [service.readers.submit(release.wait) for _ in range(2)] + [service.large_reader.submit(release.wait)]
    try:
        answer = client.post("/predict", json=body, headers={"X-Request-Timeout-Ms": "20000"})
        new = {
            "architectures": [
                {"layers": [{"type": "conv", "kernel_size": 3, "out_channels": 8 + n % 9}] * 400} for n in range(4)
            ]
        }
        late = client.post("/predict", json=new, headers={"X-Request-Timeout-Ms": "50"})
    finally:
        release.set()
    assert all(one.result() for one in busy)
    assert answer.json()["predictions"] == expected
    assert problem(late, 504)["type"] == "/problems/deadline-exceeded"


def test_a_remembered_curve_does_not_keep_its_population() -> None:
    cache = CurveCache(10)
    population = np.zeros((1000, 31), dtype=np.float32)
    cache.put([b"one"], [population[0]])
    (found,) = cache.get([b"one"])
    assert found is not None
    assert found.base is None
