"""Many requests at once: each gets its own results, in time or with an honest error; small ones beside large ones."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from model.artifact import read_artifact
from model.encoding.layer_code import EXTENDED
from model.runtime import Predictor
from tests.service import graphs
from tests.service.conftest import Serve
from tests.service.live import Live, running, until
from tests.service.requests import RELU, TRIGGER, body, metric, network, pair, problem, single, together

PATIENT = {"PEEPHOLE_STALL_SECONDS": "60", "PEEPHOLE_HANG_SECONDS": "60"}


def predictions(client: Any, *networks: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    response = client.post("/predict", json=body(*networks, **fields))
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["predictions"]
    return found


def test_the_fixture_predictor_computes_its_formula(tiny: Path) -> None:
    """The other tests compare with it."""
    artifact = read_artifact(tiny)
    codes = np.ones((1, 2, len(EXTENDED.columns)), dtype=np.int32)
    curves = Predictor(artifact).run(codes, np.array([2], dtype=np.int32), [1, 2])
    expected = [1 / (1 + np.exp(-graphs.expected_logit(codes, epoch))) for epoch in (1, 2)]
    np.testing.assert_allclose(curves.accuracy[0], expected, rtol=1e-6)


def test_results_do_not_depend_on_the_batch(serve: Serve) -> None:
    """Alone, in a large request, and beside other requests: within 1e-5, and each its own."""
    client = serve(cache_entries=0)
    networks = [network(layers, seed) for seed, layers in enumerate([1, 5, 30, 2, 50, 17, 9, 33] * 4)]
    joint = predictions(client, *networks)
    crowd = together([lambda one=one: predictions(client, one)[0] for one in networks])
    for one, in_request, in_crowd in zip(networks, joint, crowd, strict=True):
        (alone,) = predictions(client, one)
        assert alone["id"] == in_request["id"] == in_crowd["id"] == one["id"]
        np.testing.assert_allclose(in_request["accuracy"], alone["accuracy"], atol=1e-5)
        np.testing.assert_allclose(in_crowd["accuracy"], alone["accuracy"], atol=1e-5)


def test_results_of_shipped_predictors_do_not_depend_on_the_batch(serve: Serve) -> None:
    """The shipped predictors read padding; each must ignore it."""
    client = serve(models=(), shipped=True, cache_entries=0)
    networks = [network(layers, seed) for seed, layers in enumerate([1, 5, 30, 2, 17])]
    tasks = client.get("/info").json()["tasks"]
    assert tasks
    for task in tasks:
        fields = {"task": task}
        paper = [{**one, "layers": [one["layers"][0], *one["layers"][2:]]} for one in networks]  # it has no dropout
        for one, joint in zip(paper, predictions(client, *paper, **fields), strict=True):
            (alone,) = predictions(client, one, **fields)
            np.testing.assert_allclose(alone["accuracy"], joint["accuracy"], atol=1e-5)


def test_concurrent_requests_share_batches(serve: Serve, slow: Path) -> None:
    """While one call of the predictor runs, the requests that wait are gathered into fewer calls than requests."""
    client = serve(models=(slow,))
    results = together([lambda n=n: len(predictions(client, network(3, n), network(3, 100 + n))) for n in range(16)])
    assert results == [2] * 16
    assert metric(client, 'predictor_batches_total{task="tiny"}') < 16


def test_workers_share_a_request(tiny: Path) -> None:
    """Each computes a part, at the same time."""
    action = "print('on ' + threading.current_thread().name, flush=True); time.sleep(0.3)"
    with running(tiny, action, PEEPHOLE_THREADS="3") as live:
        large = body(*(network(40) for _ in range(64)))
        assert httpx2.post(live.url + "/predict", json=large, timeout=20).status_code == 200
        assert [f"on inference-{n}" in live.output() for n in range(3)] == [True] * 3


def test_a_failing_network_fails_alone(serve: Serve) -> None:
    """A network on which ONNX Runtime raises or gives NaN is a 500 of its request; batch-mates get their curves."""
    client = serve()
    kernels = {2: graphs.POISON_KERNEL, 4: graphs.NAN_KERNEL}
    networks = [network(3, n, kernel_size=kernels.get(n, 3)) for n in range(6)]
    for partners in (0, 1):  # on the event loop, and on a worker
        bodies = [body(one, *(network(3) for _ in range(partners))) for one in networks]
        responses = together([lambda one=one: client.post("/predict", json=one) for one in bodies])
        assert [response.status_code for response in responses] == [200, 200, 500, 200, 500, 200]
        for failed in (responses[2], responses[4]):
            found = problem(failed, 500)
            assert found["type"] == "/problems/prediction-failed"
            assert [error["pointer"] for error in found["errors"]] == ["/architectures/0"]
    assert client.get("/readyz").status_code == 200


def test_a_full_queue_is_a_429_with_retry_after(serve: Serve, slow: Path) -> None:
    """Work beyond the limit is rejected at once; what was admitted is answered."""
    client = serve(models=(slow,), max_queue_cost=100, batch_cost=20)
    requests = [body(network(18, n), network(18, 100 + n)) for n in range(24)]
    responses = together([lambda one=one: client.post("/predict", json=one) for one in requests])
    statuses = [response.status_code for response in responses]
    assert set(statuses) == {200, 429}
    rejected = next(response for response in responses if response.status_code == 429)
    assert problem(rejected, 429)["type"] == "/problems/queue-full"
    assert int(rejected.headers["retry-after"]) >= 1
    assert metric(client, 'predictor_rejected_total{reason="queue_full"}') == statuses.count(429)
    assert metric(client, "predictor_queue_cost") == metric(client, "predictor_queue_requests") == 0


def test_a_request_that_can_never_fit_is_a_413(serve: Serve) -> None:
    """One step inside the limit of the queue is answered, one outside is rejected for good."""
    client = serve(max_queue_cost=100)
    inside = [{"layers": [RELU] * 50}, {"layers": [{"type": "tanh"}] * 50}]
    outside = [{"layers": [RELU] * 51}, {"layers": [{"type": "tanh"}] * 51}]
    assert len(predictions(client, *inside)) == 2
    assert problem(client.post("/predict", json=body(*outside)), 413)["limit"] == 100


def test_a_passed_deadline_is_a_504(serve: Serve, slow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The header sets it, the limit caps it, other values are rejected; that the machine is busy is no reason here."""
    monkeypatch.setattr("service.supervisor.Supervisor.lateness", lambda self: 0.0)
    client = serve(models=(slow,))
    late = client.post("/predict", json=pair(), headers={"X-Request-Timeout-Ms": "1"})
    assert problem(late, 504)["type"] == "/problems/deadline-exceeded"
    assert client.post("/predict", json=pair(), headers={"X-Request-Timeout-Ms": "999999"}).status_code == 200
    for wrong in ("0", "-1", "soon", "1.5", "9" * 40, "٣"):
        problem(client.post("/predict", json=pair(), headers={b"X-Request-Timeout-Ms": wrong.encode()}), 400)
    capped = serve(models=(slow,), max_deadline_ms=1)
    problem(capped.post("/predict", json=pair(), headers={"X-Request-Timeout-Ms": "60000"}), 504)


def test_small_requests_are_served_while_all_readers_are_busy(serve: Serve) -> None:
    """Large bodies wait for a reader thread until their deadline; small ones are read on the event loop."""
    client = serve()
    service = client.app.state.service  # type: ignore[attr-defined]
    release = threading.Event()
    busy = [service.readers.submit(release.wait) for _ in range(2)]
    try:
        assert client.post("/predict", json=pair()).status_code == 200
        large = body(*(network(100) for _ in range(100)))
        late = client.post("/predict", json=large, headers={"X-Request-Timeout-Ms": "50"})
    finally:
        release.set()
    assert all(one.result() for one in busy)
    assert problem(late, 504)["type"] == "/problems/deadline-exceeded"


def test_a_small_request_overtakes_a_large_one(tiny: Path) -> None:
    """After a batch or two, though the large one came first and takes seconds."""
    slow = "time.sleep(0.1 * (len(codes) > 5))"
    with running(tiny, slow, PEEPHOLE_BATCH_COST="512", PEEPHOLE_THREADS="1") as live, ThreadPoolExecutor(1) as pool:
        large = body(*(network(30) for _ in range(480)))
        first = pool.submit(httpx2.post, live.url + "/predict", json=large, timeout=60)
        until(lambda: live.metric("predictor_queue_cost") > 0, "in the queue")
        for _ in range(3):
            assert httpx2.post(live.url + "/predict", json=pair(), timeout=20).status_code == 200
        assert not first.done()
        assert first.result().status_code == 200


def test_small_requests_are_served_beside_requests_of_4096_networks() -> None:
    """With a shipped predictor, whatever the large ones cost: reading, predicting, writing."""
    rng = np.random.default_rng(0)
    with running(None, PEEPHOLE_SHIPPED="true", PEEPHOLE_CACHE_ENTRIES="0") as live, ThreadPoolExecutor(2) as pool:

        def send_large() -> float:
            networks = (network(int(layers)) for layers in rng.integers(1, 40, size=4096))
            began = time.monotonic()
            large = body(*networks, task="mnist-mini")
            assert httpx2.post(live.url + "/predict", json=large, timeout=60).status_code == 200
            return time.monotonic() - began

        large = [pool.submit(send_large) for _ in range(2)]
        until(lambda: live.metric("predictor_inflight_requests") > 0, "in flight")
        waits = []
        with httpx2.Client(timeout=20) as client:
            while not all(one.done() for one in large):
                began = time.monotonic()
                small = client.post(live.url + "/predict", json={**single(), "task": "mnist-mini"})
                assert small.status_code == 200, small.text
                waits.append(time.monotonic() - began)
        seconds = max(one.result() for one in large)
    assert len(waits) >= 5
    assert np.median(waits) < seconds / 5
    assert max(waits) < 2


def first_line(live: Live, timeout_ms: int) -> bytes:
    """Announce a body, do not send it, and return the first line of the response; nothing when none comes soon."""
    head = (
        "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
        f"X-Request-Timeout-Ms: {timeout_ms}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", live.port), timeout=5) as client:
        client.sendall(head.encode())
        client.settimeout(0.4)
        with suppress(TimeoutError):
            return client.recv(4096).partition(b"\r\n")[0]
    return b""


def test_a_request_that_would_wait_too_long_is_rejected_before_its_body(tiny: Path, tmp_path: Path) -> None:
    """While much waits, a short deadline is a 429 without a body; with a long one the service waits for the body."""
    gate = tmp_path / "gate"
    action = f"while trigger and not __import__('os').path.exists({str(gate)!r}): time.sleep(0.02)"
    with running(tiny, action, PEEPHOLE_THREADS="1", **PATIENT) as live, ThreadPoolExecutor(2) as pool:
        assert first_line(live, 50).startswith(b"HTTP/1.1 504"), "an idle service waits for the body"
        held = pool.submit(httpx2.post, live.url + "/predict", json=pair(TRIGGER), timeout=60)
        until(lambda: live.metric("predictor_queue_cost") > 0, "in inference")
        many = body(*(network(900) for _ in range(100)))
        queued = pool.submit(httpx2.post, live.url + "/predict", json=many, timeout=60)
        until(lambda: live.metric("predictor_queue_cost") > 50_000, "in the queue")
        assert first_line(live, 50).startswith(b"HTTP/1.1 429")
        assert first_line(live, 60_000) == b""
        gate.touch()
        assert [held.result().status_code, queued.result().status_code] == [200, 200]


def test_a_body_of_many_networks_is_read_while_others_are_computed(live: Live) -> None:
    """Two large requests and one small one at the same time; each gets its own networks back."""
    requests = [body(*(network(n % 30) for n in range(2000))), body(*(network(n % 7) for n in range(2000))), single()]
    responses = together([lambda one=one: httpx2.post(live.url + "/predict", json=one, timeout=60) for one in requests])
    for sent, response in zip(requests, responses, strict=True):
        found = [one["id"] for one in response.json()["predictions"]]
        assert found == [one["id"] for one in sent["architectures"]]
    assert json.loads(responses[0].content)["request_id"] == responses[0].headers["x-request-id"]
