"""A dead or hung worker, a blocked event loop: seen within two seconds, answered where possible, exit 70."""

import asyncio
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from service.supervisor import Supervisor
from tests.service.conftest import Serve
from tests.service.live import Live, running, until
from tests.service.load import Load
from tests.service.requests import TRIGGER, pair, problem, single

RED_SECONDS = 2.0
NOISE = 0.7  # a machine that runs other tests beside this one
HANGS = "if trigger: print(f'hangs at={time.time()}', flush=True); time.sleep(3600)"


def sent(pool: ThreadPoolExecutor, live: Live, body: dict[str, Any]) -> Future[httpx2.Response]:
    return pool.submit(httpx2.post, live.url + "/predict", json=body, timeout=30)


def seconds_until_red(live: Live) -> float:
    """Wait until /livez is red (no answer within a second counts); return the seconds since the predictor hung."""
    live.wait_printed("hangs at=")
    hung = float(live.output().partition("hangs at=")[2].split()[0])
    while live.status_of("/livez", seconds=1) == 200:
        assert time.time() - hung < 20
        time.sleep(0.02)
    return time.time() - hung


def test_a_dead_worker_ends_the_process_and_every_request_is_answered(tiny: Path) -> None:
    dies = "if trigger: raise SystemExit"
    with running(tiny, dies, PEEPHOLE_THREADS="1") as live, Load(live, stops_on_503=True) as load:
        killer = httpx2.post(live.url + "/predict", json=pair(TRIGGER), timeout=20)
        assert "an inference thread died" in problem(killer, 503)["detail"]
        code, output = live.wait(20)
    assert code == 70, output
    assert "thread_died" in output
    assert "an inference thread died" in output
    assert set(load.outcomes) <= {"200", "503", "refused"}, load.outcomes


def test_a_hung_worker_is_seen_within_two_seconds_and_ends_the_process(tiny: Path) -> None:
    """Requests that wait for it get 503 in the end; meanwhile others are told by /readyz."""
    with (
        running(tiny, HANGS, PEEPHOLE_THREADS="1", PEEPHOLE_HANG_SECONDS="3") as live,
        ThreadPoolExecutor(3) as pool,
    ):
        waiting = [sent(pool, live, pair(TRIGGER)), sent(pool, live, pair(TRIGGER))]
        assert seconds_until_red(live) < RED_SECONDS + NOISE
        assert "inference-0 is stalled" in problem(httpx2.get(live.url + "/livez"), 503)["detail"]
        assert problem(httpx2.get(live.url + "/readyz"), 503)["reasons"] == ["inference-0 is stalled"]
        problem(httpx2.post(live.url + "/predict", json=single()), 503)
        assert live.metric("predictor_ready") == 0
        for response in waiting:
            assert "stalled for more than 3 s" in problem(response.result(), 503)["detail"]
        code, output = live.wait(20)
    assert code == 70, output
    assert "inference-0 is stalled for more than 3 s" in output
    assert "in run" in output, "where it hangs"


def test_a_worker_that_recovers_is_healthy_again(tiny: Path) -> None:
    with running(tiny, HANGS.replace("3600", "2"), PEEPHOLE_STALL_SECONDS="0.5") as live, ThreadPoolExecutor(1) as pool:
        slow = sent(pool, live, pair(TRIGGER))
        assert seconds_until_red(live) < 1 + NOISE
        assert slow.result().status_code == 200
        until(lambda: live.status_of("/livez") == 200, "healthy", seconds=2)
        assert live.status_of("/readyz") == 200


def test_a_blocked_event_loop_ends_the_process(tiny: Path) -> None:
    """No probe is answered; the log says what was blocked, and where."""
    with running(tiny, HANGS, PEEPHOLE_HANG_SECONDS="2") as live, ThreadPoolExecutor(1) as pool:
        blocker = sent(pool, live, single(TRIGGER))
        assert seconds_until_red(live) < RED_SECONDS
        code, output = live.wait(20)
        assert isinstance(blocker.exception(), httpx2.TransportError)
    assert code == 70, output
    assert "the event loop is stalled for more than 2 s" in output
    assert "in run_predictor" in output, "where it was blocked"


def pause(live: Live, seconds: float) -> None:
    live.signal(signal.SIGSTOP)
    time.sleep(seconds)
    live.signal(signal.SIGCONT)


def test_a_pause_of_the_process_is_no_failure(tiny: Path) -> None:
    """`docker pause`, a debugger, a laptop's lid: one worker is in the middle of a batch, one is idle."""
    slow = "for _ in range(6 * trigger): time.sleep(0.1)"
    limits = {"PEEPHOLE_STALL_SECONDS": "1", "PEEPHOLE_HANG_SECONDS": "2"}
    with running(tiny, slow, **limits) as live, ThreadPoolExecutor(8) as pool:
        requests = [pair(TRIGGER), single(), pair(), pair(), single()]
        answers = [sent(pool, live, body) for body in requests]
        time.sleep(0.2)
        pause(live, 3)
        began = time.monotonic()
        while time.monotonic() - began < 1:
            assert live.status_of("/livez") == 200
            assert live.status_of("/readyz") == 200
        assert [answer.result().status_code for answer in answers] == [200] * len(requests)


@pytest.mark.parametrize(("computes", "late"), [(True, True), (False, False)])
def test_an_event_loop_that_computes_is_late_and_one_that_was_paused_is_not(
    serve: Serve, computes: bool, late: bool
) -> None:
    service = serve().app.state.service  # type: ignore[attr-defined]
    supervisor = Supervisor(service.engine, service.settings, on_failure=print)

    async def occupy() -> float:
        beats = asyncio.create_task(supervisor.beat())
        await asyncio.sleep(0.05)
        began = time.monotonic()
        while time.monotonic() - began < 1:
            if not computes:
                time.sleep(1)
        beats.cancel()
        return supervisor.lateness()

    assert (asyncio.run(occupy()) > 0.3) is late


def test_a_loop_that_is_late_takes_no_request_that_it_could_not_answer_in_time(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()
    monkeypatch.setattr(client.app.state.service.supervisor, "lateness", lambda: 0.2)  # type: ignore[attr-defined]
    rejected = client.post("/predict", json=single(), headers={"X-Request-Timeout-Ms": "1000"})
    assert problem(rejected, 429)["type"] == "/problems/queue-full"
    assert client.post("/predict", json=single()).status_code == 200


def test_a_failed_application_answers_503_and_does_not_end_a_process_that_is_not_its_own(serve: Serve) -> None:
    """As in Ray Serve, or in this test."""
    client = serve()
    service = client.app.state.service  # type: ignore[attr-defined]
    (worker,) = service.engine.workers
    service.engine.queue.close()
    worker.join(5)
    worker.has_ended = False  # as if it had died
    until(lambda: service.failure is not None, "the failure is seen", seconds=2)
    assert "died" in problem(client.get("/livez"), 503)["detail"]
    assert problem(client.get("/readyz"), 503)["reasons"][0] == "an inference thread died"
    problem(client.post("/predict", json=single()), 503)
