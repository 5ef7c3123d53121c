"""What the server process does for the service: its heap, and its end when the event loop does not go around."""

import gc
import re
import signal
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from service.server import settle_heap
from tests.service.live import Live, running

IMPATIENT = "import service.server; service.server.FROZEN_SECONDS = 2"
FREEZE_COUNT = "import gc; print('frozen:', gc.get_freeze_count(), flush=True)"

BODY = {"architectures": [{"layers": [{"type": "conv", "kernel_size": 3, "out_channels": 8}]}]}


class _Knot:
    """An object that only the garbage collector can free."""

    def __init__(self) -> None:
        self.itself = self


def test_what_a_reload_replaced_is_freed_though_the_heap_was_settled() -> None:
    knot = _Knot()
    seen = weakref.ref(knot)
    try:
        settle_heap()
        del knot
        gc.collect()
        assert seen() is not None, "frozen objects are out of the collector's sight"
        settle_heap()
        assert seen() is None
    finally:
        gc.unfreeze()


def test_a_ready_server_has_settled_its_heap(tiny: Path) -> None:
    """Everything that was imported and loaded is out of the collector's sight before the first answer."""
    with running(tiny, action=FREEZE_COUNT) as live:
        assert httpx2.post(live.url + "/predict", json=BODY).status_code == 200
        before, *_, after = map(int, re.findall(r"frozen: (\d+)", live.output()))
    assert before == 0, "the warm-up comes first"
    assert after > 10_000


def test_a_reload_asked_for_before_there_is_anything_to_reload_does_no_harm(tiny: Path) -> None:
    live = Live(tiny)
    try:
        for _ in range(30):
            time.sleep(0.1)
            live.signal(signal.SIGHUP)
        live.wait_ready()
        assert httpx2.post(live.url + "/predict", json=BODY).status_code == 200
    finally:
        live.process.kill()
        live.wait()


def test_a_frozen_event_loop_ends_the_process(tiny: Path) -> None:
    """Not only in a prediction; the output says where it was stuck."""
    stuck = "import service.quick; service.quick.parse = lambda _: time.sleep(3600)"
    with running(tiny, before=f"{IMPATIENT}; {stuck}") as live:
        with pytest.raises(httpx2.TransportError):
            httpx2.post(live.url + "/predict", json=BODY, timeout=20)
        code, output = live.wait(20)
    assert code == 70, output
    assert "the event loop is stuck" in output
    assert "in look_up_call" in output, "where"


def test_a_pause_of_the_process_is_not_held_against_the_event_loop(tiny: Path) -> None:
    """`docker pause` and `docker unpause` cost nothing but the time between them."""
    with running(tiny, before=IMPATIENT) as live:
        live.signal(signal.SIGSTOP)
        time.sleep(4)
        live.signal(signal.SIGCONT)
        time.sleep(2.5)
        assert httpx2.post(live.url + "/predict", json=BODY).status_code == 200


def test_a_pause_of_the_process_is_not_held_against_the_inference_threads(tiny: Path) -> None:
    """One is in the middle of a batch when the pause begins, and still is after it."""
    with running(tiny, "for _ in range(6): time.sleep(0.2)") as live, ThreadPoolExecutor(8) as callers:

        def call() -> int:
            return httpx2.post(live.url + "/predict", json=BODY, timeout=30).status_code

        first = callers.submit(call)
        time.sleep(0.3)
        live.signal(signal.SIGSTOP)
        others = [callers.submit(call) for _ in range(7)]
        time.sleep(3)
        live.signal(signal.SIGCONT)
        assert [answer.result() for answer in (first, *others)] == [200] * 8
