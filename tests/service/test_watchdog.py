"""Lone networks are predicted on the event loop: answered faster, and as dependably as on a thread."""

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from tests.service.live import Live, running
from tests.service.test_chaos import RELU, TRIGGER, body

WHERE = "print('predicted on', __import__('threading').current_thread().name, flush=True)"
STALL = {"PEEPHOLE_STALL_SECONDS": "1"}


def ask(live: Live, *layers: dict) -> httpx2.Response:
    return httpx2.post(live.url + "/predict", json=body(2, *layers), timeout=20)


def settle(live: Live) -> None:
    """Ask until the service has seen that the predictor is quick, with longer networks than any to come."""
    for _ in range(8):
        assert httpx2.post(live.url + "/predict", json=body(20), timeout=20).status_code == 200


@contextmanager
def asked(live: Live, *layers: dict) -> Iterator[list[httpx2.Response]]:
    """Ask on another thread; the list has the answer in the end."""
    answers: list[httpx2.Response] = []
    thread = threading.Thread(target=lambda: answers.append(ask(live, *layers)))
    thread.start()
    yield answers
    thread.join(30)
    assert answers


def test_only_what_comes_alone_is_predicted_on_the_event_loop(tiny: Path) -> None:
    """The first request tells how quick the predictor is; several networks go to a thread."""
    with running(tiny, WHERE) as live:
        settle(live)
        live.wait_printed("predicted on MainThread")
        before = live.output().count("predicted on inference-")
        pair = {"architectures": body(1)["architectures"] + body(2)["architectures"]}
        assert httpx2.post(live.url + "/predict", json=pair).status_code == 200
        live.wait_printed("predicted on")
        assert live.output().count("predicted on inference-") == before + 1


def test_a_slow_predictor_stays_off_the_event_loop(tiny: Path) -> None:
    """Nobody waits for a loop that is busy with somebody else's network for long."""
    with running(tiny, f"time.sleep(0.02); {WHERE}") as live:
        settle(live)
        assert live.output().count("predicted on inference-") >= 5
        assert "predicted on MainThread" not in live.output()


def test_callers_who_come_at_once_get_their_own_answers(tiny: Path) -> None:
    """Wherever each was computed."""
    with running(tiny, PEEPHOLE_CACHE_ENTRIES="0") as live:
        settle(live)
        bodies = [{"architectures": [{"layers": [RELU] * n}]} for n in range(1, 13)]
        url = live.url + "/predict"
        alone = [httpx2.post(url, json=one).json()["predictions"][0] for one in bodies]
        assert len({str(one["accuracy"]) for one in alone}) > 1
        answers: list[list[dict]] = [[] for _ in bodies]

        def hammer(number: int) -> None:
            with httpx2.Client(timeout=20) as client:
                answers[number].extend(
                    client.post(url, json=bodies[number]).json()["predictions"][0] for _ in range(20)
                )

        callers = [threading.Thread(target=hammer, args=(n,)) for n in range(12)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(60)
        assert answers == [[one] * 20 for one in alone]


@pytest.mark.parametrize(
    "action",
    [
        "if trigger: raise RuntimeError",
        "if trigger: curves = plain(self, codes, lengths, epochs); curves.accuracy[:] = float('nan'); return curves",
    ],
    ids=["raises", "nan"],
)
def test_a_poisonous_network_fails_alone(tiny: Path, action: str) -> None:
    """A 500 that points at it; the service goes on."""
    with running(tiny, action) as live:
        settle(live)
        answer = ask(live, TRIGGER)
        assert answer.status_code == 500
        assert answer.json()["errors"][0]["pointer"] == "/architectures/0"
        settle(live)


def test_a_lone_network_that_fails_is_tried_once(tiny: Path) -> None:
    """And a caller for whom it comes too late is told so."""
    with running(tiny, "if trigger: print('tried', flush=True); time.sleep(0.3); raise RuntimeError") as live:
        settle(live)
        assert ask(live, TRIGGER).status_code == 500
        assert live.output().count("tried") == 1
    with running(tiny, "if trigger: time.sleep(0.3)") as live:
        settle(live)
        late = httpx2.post(live.url + "/predict", json=body(2, TRIGGER), headers={"X-Request-Timeout-Ms": "100"})
        assert late.status_code == 504


def test_a_predictor_that_ends_its_thread_ends_the_service(tiny: Path) -> None:
    """The caller hears of it, the process exits non-zero with a reason."""
    with running(tiny, "if trigger: raise SystemExit") as live:
        settle(live)
        assert ask(live, TRIGGER).status_code == 503
        code, output = live.wait(20)
        assert code == 70, output
        assert "an inference thread died" in output


def test_a_stuck_event_loop_leaves_nobody_waiting(tiny: Path) -> None:
    """Who asked, who asks on a connection of before and who connects now hear 503, at once; then the process ends."""
    with running(tiny, "if trigger: time.sleep(3600)", **STALL) as live, httpx2.Client(timeout=20) as kept:
        settle(live)
        assert kept.get(live.url + "/livez").status_code == 200
        began = time.monotonic()
        with asked(live, TRIGGER) as killers:
            time.sleep(0.3)
            with socket.create_connection(("127.0.0.1", live.port), timeout=20) as silent:
                assert httpx2.get(live.url + "/readyz", timeout=20).status_code == 503
                assert time.monotonic() - began < 2
                waited = kept.post(live.url + "/predict", json=body(1) | {"filler": " " * 500_000})
                assert silent.recv(1) == b"", "nobody asked, nobody is answered"
        for answer in (*killers, waited):
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["retry-after"]) > 0
            assert answer.json()["type"] == "/problems/unavailable"
        code, output = live.wait(20)
        assert code == 70, output
        assert "a prediction on the event loop is stalled" in output


def test_a_pause_of_the_process_is_not_held_against_the_predictor(tiny: Path) -> None:
    """Stopped in the middle of a prediction and continued later, the service answers as if nothing had happened."""
    with running(tiny, "if trigger: time.sleep(0.6)", **STALL) as live:
        settle(live)
        with asked(live, TRIGGER) as answers:
            time.sleep(0.3)
            live.signal(signal.SIGSTOP)
            time.sleep(3)
            live.signal(signal.SIGCONT)
        assert answers[0].status_code == 200
        settle(live)


def test_everybody_hears_of_a_stall_though_no_descriptor_is_left(tiny: Path) -> None:
    """What takes the loop's place needs none; the process ends as it should."""
    most = "n = len(os.listdir('/proc/self/fd')) - 1; r.setrlimit(r.RLIMIT_NOFILE, (n, n))"
    action = f"if trigger: import os, resource as r; {most}; time.sleep(3600)"
    with running(tiny, action, **STALL) as live, httpx2.Client(timeout=20) as kept:
        settle(live)
        assert kept.get(live.url + "/livez").status_code == 200
        with asked(live, TRIGGER) as killers:
            time.sleep(0.3)
            assert kept.get(live.url + "/readyz").status_code == 503
        assert killers[0].status_code == 503
        assert live.wait(20)[0] == 70


def test_who_connects_just_before_a_stall_is_not_lost(tiny: Path) -> None:
    """The operating system may have connected him already, when the application does not know of him yet."""
    with running(tiny, "if trigger: time.sleep(3600)", **STALL) as live:
        settle(live)
        with socket.create_connection(("127.0.0.1", live.port), timeout=20) as killer, ExitStack() as stack:
            text = json.dumps(body(2, TRIGGER)).encode()
            head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(text)}"
            killer.sendall(head.encode() + b"\r\n\r\n" + text)
            crowd = [killer]
            for _ in range(25):
                crowd.append(stack.enter_context(socket.create_connection(("127.0.0.1", live.port), timeout=20)))
                crowd[-1].sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n")
            answers = [one.makefile("rb").read() for one in crowd]
        assert {answer[:12] for answer in answers} <= {b"HTTP/1.1 503", b"HTTP/1.1 415"}
        assert answers[0].startswith(b"HTTP/1.1 503")


def test_an_unfinished_answer_is_cut_short_rather_than_continued_with_another(tiny: Path) -> None:
    """Somebody who reads slowly, and has asked for more already, must not find a 503 within his curves."""
    many = json.dumps({"architectures": [{"layers": [RELU] * (1 + n % 20)} for n in range(4096)]}).encode()
    head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(many)}\r\n\r\n"
    with running(tiny, "if trigger: time.sleep(3600)", **STALL) as live, socket.socket() as slow:
        settle(live)
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(20)
        slow.connect(("127.0.0.1", live.port))
        slow.sendall(6 * (head.encode() + many))
        time.sleep(2)
        with asked(live, TRIGGER):
            time.sleep(0.3)
            with suppress(ConnectionError):
                got = b""
                while chunk := slow.recv(65536):
                    got += chunk
    assert got.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 503" not in got


def test_deadlines_hold_on_the_event_loop(tiny: Path) -> None:
    """Whoever has little time is told in time, from a thread; nobody gets curves that come too late."""
    with running(tiny, "if trigger: time.sleep(0.5)", **STALL) as live:
        settle(live)
        for patience in ("40", "200"):
            late = httpx2.post(
                live.url + "/predict", json=body(2, TRIGGER), headers={"X-Request-Timeout-Ms": patience}, timeout=20
            )
            assert late.status_code == 504


def test_a_network_longer_than_any_before_is_tried_on_a_thread(tiny: Path) -> None:
    """Though short ones were quick: who knows how long it takes."""
    with running(tiny, WHERE) as live:
        settle(live)
        live.wait_printed("predicted on MainThread")
        before = live.output().count("predicted on inference-")
        for layers in (100, 100, 50):
            assert httpx2.post(live.url + "/predict", json=body(layers), timeout=20).status_code == 200
        live.wait_printed("predicted on")
        assert live.output().count("predicted on inference-") == before + 1
