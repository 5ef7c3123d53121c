"""A real process under load: killed and stalled inference threads, SIGTERM, cancelled clients, poisonous networks."""

import signal
import threading
import time
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from tests.service import graphs
from tests.service.live import Live, running

RELU = {"type": "relu"}
TRIGGER = {"type": "conv", "kernel_size": 9, "out_channels": 8}


def body(layers: int, *extra: dict) -> dict:
    """A request of one network that no earlier request had, as its dropout is counted up."""
    body.count += 1
    unique = {"type": "dropout", "p": (body.count % 9000) / 10_000}
    return {"architectures": [{"id": str(layers), "layers": [unique, *extra, *[RELU] * layers]}]}


body.count = 0


class Load:
    """Clients on keep-alive connections that ask until told to stop, and what became of each request."""

    def __init__(self, live: Live, clients: int = 8) -> None:
        self.url = live.url
        self.outcomes: Counter[str] = Counter()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(n,)) for n in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in self.threads), "a client was never answered"

    def wait_for_answers(self) -> None:
        """Wait until the load is under way."""
        limit = time.monotonic() + 30
        while self.outcomes["200"] < 20 and time.monotonic() < limit:
            time.sleep(0.02)

    def _run(self, number: int) -> None:
        with httpx2.Client(timeout=20) as client:
            while not self.stopping.is_set():
                try:
                    response = client.post(self.url + "/predict", json=body(number + 1))
                except httpx2.ConnectError:
                    self.outcomes["refused"] += 1
                    return
                except httpx2.TransportError as error:
                    self.outcomes[type(error).__name__] += 1
                    return
                self.outcomes[str(response.status_code)] += 1
                if response.status_code == 503:
                    assert int(response.headers["retry-after"]) > 0
                    return  # as a client would, that heeds Retry-After
                if response.status_code == 200:
                    assert response.json()["predictions"][0]["id"] == str(number + 1)


def not_ready(live: Live) -> bool:
    try:
        return httpx2.get(live.url + "/readyz", timeout=2).status_code != 200
    except httpx2.TransportError:
        return True


@pytest.mark.parametrize(
    "action", ["if trigger: raise SystemExit", "if trigger: time.sleep(3600)"], ids=["killed", "stalled"]
)
def test_dead_inference_thread_is_noticed_and_everybody_answered(tiny: Path, action: str) -> None:
    """Killed or stalled: not ready soon, every waiter gets an answer, the process exits non-zero with a reason."""
    with running(tiny, action, PEEPHOLE_STALL_SECONDS="1", PEEPHOLE_HANG_SECONDS="2") as live:
        with Load(live) as load:
            load.wait_for_answers()
            pair = {"architectures": body(1, TRIGGER)["architectures"] + body(2)["architectures"]}
            killer = httpx2.post(live.url + "/predict", json=pair, timeout=20)  # one alone would run on the event loop
            assert killer.status_code == 503
            assert killer.headers["content-type"] == "application/problem+json"
            assert not_ready(live)
            code, output = live.wait(20)
        assert code == 70, output
        assert "an inference thread" in output
        assert load.outcomes["200"] > 0
        assert set(load.outcomes) <= {"200", "503", "refused"}, load.outcomes


def test_sigterm_under_load_loses_no_accepted_request(tiny: Path) -> None:
    """After SIGTERM every request still gets an answer, 200 or 503; nobody is cut off; the exit is clean."""
    with running(tiny) as live, Load(live) as load:
        load.wait_for_answers()
        live.signal(signal.SIGTERM)
        code, output = live.wait(20)
        assert code == 0, output
    assert load.outcomes["200"] > 0
    assert set(load.outcomes) <= {"200", "503", "refused"}, load.outcomes


def test_sigterm_waits_for_a_slow_prediction(tmp_path: Path) -> None:
    """A request that was accepted before SIGTERM is answered with its curves, however long the model takes."""
    slow = graphs.artifact(tmp_path / "slow", model=graphs.graph(loops=1500))
    answers: list[int] = []
    with running(slow, PEEPHOLE_HANG_SECONDS="60") as live:
        ask = threading.Thread(
            target=lambda: answers.append(httpx2.post(live.url + "/predict", json=body(3), timeout=60).status_code)
        )
        ask.start()
        limit = time.monotonic() + 10
        while time.monotonic() < limit and "inflight_requests 1.0" not in httpx2.get(live.url + "/metrics").text:
            time.sleep(0.01)
        live.signal(signal.SIGTERM)
        assert not_ready(live)
        ask.join(60)
        code, _ = live.wait(20)
    assert answers == [200]
    assert code == 0


def test_a_second_sigterm_ends_the_wait(tmp_path: Path) -> None:
    """Who sends SIGTERM twice does not want to wait for the drain."""
    with running(graphs.artifact(tmp_path / "tiny")) as live:
        live.signal(signal.SIGTERM)
        time.sleep(0.1)
        live.signal(signal.SIGTERM)
        code, _ = live.wait(20)
        assert code == 0
