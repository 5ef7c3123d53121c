"""The child process and its queue: full, slow, killed, hung, and at the end of the service. The service goes on."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from model.artifact import ZOO
from service.proxies import scorer
from tests.service.in_process import serving
from tests.service.live import Live, until
from tests.service.proxies.conftest import QUEUE, child_of, children, is_alive, network


def send(live: Live, *widths: int, compute: bool = True, **headers: str) -> httpx2.Response:
    body: dict[str, Any] = {"architectures": [{"layers": network(width)} for width in widths]}
    return httpx2.post(
        f"{live.url}/predict",
        json=body | ({"proxies": "compute"} if compute else {}),
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        timeout=90,
    )


@pytest.fixture
def warm(computing: Live) -> Live:
    """A service whose process runs."""
    assert send(computing, 4).status_code == 200
    return computing


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """Let a process stand still, so that what it computes takes as long as the test wants."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def background() -> Iterator[Callable[..., "Future[httpx2.Response]"]]:
    with ThreadPoolExecutor(4) as threads:
        yield lambda *arguments, **named: threads.submit(send, *arguments, **named)


def computing_now(live: Live, networks: int) -> None:
    until(lambda: live.metric("predictor_proxy_queue") == networks, f"{networks} networks in the queue")


def test_others_do_not_wait_and_a_full_queue_says_when(warm: Live, background: Any) -> None:
    """While the process stands still: 429 and 413, predictions without scores at once, and no request lost."""
    with paused(child_of(warm)):
        waiting = background(warm, *range(20, 20 + QUEUE))
        computing_now(warm, QUEUE)
        full = send(warm, 30)
        assert (full.status_code, full.json()["type"]) == (429, "/problems/queue-full")
        assert int(full.headers["retry-after"]) >= 1
        too_many = send(warm, *range(40, 41 + QUEUE))
        assert (too_many.status_code, too_many.json()["limit"]) == (413, QUEUE)
        same = background(warm, 20)
        began = time.monotonic()
        for _ in range(20):
            assert send(warm, 5, compute=False).status_code == 200
            assert warm.status_of("/livez") == 200
        assert send(warm, 4).status_code == 200  # known
        assert time.monotonic() - began < 5
        assert not waiting.done()
    assert waiting.result().status_code == same.result().status_code == 200
    assert len(waiting.result().json()["predictions"]) == QUEUE
    computing_now(warm, 0)


def test_the_deadline_holds_and_what_was_computed_is_kept(warm: Live) -> None:
    """A network whose request has gone is not begun; the one that was begun is known to the next request."""
    before = warm.metric("predictor_proxy_seconds_count")
    with paused(child_of(warm)):
        began = time.monotonic()
        late = send(warm, 50, 51, X_Request_Timeout_Ms="500")
        assert late.status_code == 504
        assert time.monotonic() - began < 3
    computing_now(warm, 0)
    assert warm.metric("predictor_proxy_seconds_count") == before + 1
    assert send(warm, 50, X_Request_Timeout_Ms="400").status_code == 200


def test_a_killed_process_loses_the_requests_that_wait_for_its_network(warm: Live, background: Any) -> None:
    """They get 503; the next network in the queue gets a new process."""
    pid = child_of(warm)
    with ThreadPoolExecutor(1) as threads:
        os.kill(pid, signal.SIGSTOP)
        lost = background(warm, 60)
        computing_now(warm, 1)
        kept = threads.submit(send, warm, 61)
        computing_now(warm, 2)
        os.kill(pid, signal.SIGKILL)
        assert lost.result().status_code == 503
        assert int(lost.result().headers["retry-after"]) >= 1
        assert kept.result().status_code == 200
    assert child_of(warm) != pid
    assert send(warm, 60).status_code == 200


def test_a_process_that_was_killed_while_idle_is_not_missed(warm: Live) -> None:
    pid = child_of(warm)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_alive(pid))
    time.sleep(0.2)  # the service sees its end
    assert send(warm, 70).status_code == 200


def test_a_process_that_hangs_is_killed(
    images: None, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The request gets 504, the next one a new process."""
    settings = {"models": (ZOO / "cifar10-mini",), "state": tmp_path_factory.mktemp("state"), "provider": "cpu"}
    others = set(children(os.getpid()))
    with serving(max_proxy_seconds=1, **settings) as client:

        def status(width: int) -> int:
            body = {"architectures": [{"layers": network(width)}], "proxies": "compute"}
            return client.post("/predict", json=body).status_code

        assert status(4) == 200
        (pid,) = set(children(os.getpid())) - others
        with monkeypatch.context() as impatient:
            impatient.setattr(scorer, "START_SECONDS", -2)
            os.kill(pid, signal.SIGSTOP)
            assert status(5) == 504
        assert not is_alive(pid)
        assert status(5) == 200


def test_a_drain_answers_what_is_computed_and_ends_the_process(start: Callable[..., Any], background: Any) -> None:
    """Even when the signal goes to the whole process group."""
    with start() as live:
        assert send(live, 4).status_code == 200
        pid = child_of(live)
        os.kill(pid, signal.SIGSTOP)
        waiting = background(live, 5, 6)
        computing_now(live, 2)
        for one in (live.process.pid, pid):
            os.kill(one, signal.SIGTERM)
        live.wait_printed('"/predict"')
        os.kill(pid, signal.SIGCONT)
        assert waiting.result().status_code == 200
        assert live.wait()[0] == 0
        until(lambda: not is_alive(pid), "the end of the process")


@pytest.mark.parametrize("drain", ["0.2", None])
def test_the_process_does_not_outlive_the_service(
    start: Callable[..., Any], background: Any, drain: str | None
) -> None:
    """Neither a drain that is cut off nor a service that is killed leaves it behind."""
    with start(PEEPHOLE_DRAIN_SECONDS=drain or "30") as live:
        assert send(live, 4).status_code == 200
        pid = child_of(live)
        if drain is not None:
            os.kill(pid, signal.SIGSTOP)
            waiting = background(live, 5)
            computing_now(live, 1)
            live.signal(signal.SIGTERM)
            assert waiting.result().status_code == 503
            assert live.wait()[0] == 0
        else:
            live.signal(signal.SIGKILL)
        until(lambda: not is_alive(pid), "the end of the process")
