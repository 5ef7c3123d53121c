"""The log is for its reader; the service does not depend on him: slow, absent or gone."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from service.lines import Lines
from service.logs import _json
from tests.service.live import running
from tests.service.test_chaos import TRIGGER, body

F_SETPIPE_SZ = 1031  # `fcntl` has the name on Linux only
PAGE = 4096


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that holds one page; who closes an end replaces it by /dev/null, so that both can be closed afterwards."""
    import fcntl

    ends = os.pipe()
    fcntl.fcntl(ends[1], F_SETPIPE_SZ, PAGE)
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


def hang_up(end: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, end)
    os.close(null)


def notice(lines: int) -> bytes:
    return b"lost %d" % lines


def test_lines_arrive_in_order() -> None:
    with pipe() as (read, write):
        lines = Lines(notice)
        lines.start(write)
        for n in range(500):
            lines.put(b"%d" % n)
        with os.fdopen(os.dup(read), "rb") as reader:
            assert [int(reader.readline()) for _ in range(500)] == list(range(500))


def test_what_is_too_much_is_lost_and_counted() -> None:
    """Every line is either read, in its place, or counted in a line that says so."""
    with pipe() as (read, write):
        lines = Lines(notice, most_bytes=10_000)
        lines.start(write)
        for n in range(50_000):
            lines.put(b"%d" % n)  # far more than the pipe, the queue and a batch between them can hold
        lines.flush(0.05)  # in vain
        seen, lost = [], 0
        with os.fdopen(os.dup(read), "rb") as reader:
            while len(seen) + lost < 50_000:
                line = reader.readline()
                if line.startswith(b"lost"):
                    lost += int(line.split()[1])
                else:
                    seen.append(int(line))
        assert seen == sorted(seen)
        assert lost > 0
        assert len(seen) + lost == 50_000


def test_what_cannot_be_written_is_counted_and_said_later(tmp_path: Path) -> None:
    """A full disk: nothing is raised, and the first line that gets through is followed by the count."""
    target = tmp_path / "log"
    descriptor = os.open("/dev/full", os.O_WRONLY)
    lines = Lines(notice)
    lines.start(descriptor)
    for _ in range(3):
        lines.put(b"line")
        lines.flush(10)
    good = os.open(target, os.O_WRONLY | os.O_CREAT)
    os.dup2(good, descriptor)
    lines.put(b"back")
    lines.flush(10)
    assert target.read_bytes() == b"back\nlost 3\n"


def test_a_name_that_is_not_utf8_can_be_logged() -> None:
    assert json.loads(_json({"file": "a\udcff"})) == {"file": "a\udcff"}


def test_sigterm_drains_without_a_reader(tiny: Path) -> None:
    with pipe() as (read, write), running(tiny, stdout=write) as live:
        hang_up(write)
        hang_up(read)
        assert httpx2.post(live.url + "/predict", json=body(1)).status_code == 200
        live.signal(signal.SIGTERM)
        code, _ = live.wait(20)
        assert code == 0


def test_a_dead_inference_thread_ends_the_process_without_a_reader(tiny: Path) -> None:
    with pipe() as (read, write), running(tiny, "if trigger: raise SystemExit", stdout=write) as live:
        hang_up(write)
        hang_up(read)
        assert httpx2.post(live.url + "/predict", json=body(1, TRIGGER), timeout=20).status_code == 503
        code, _ = live.wait(20)
        assert code == 70


@pytest.mark.parametrize("ending", [signal.SIGTERM, None], ids=["sigterm", "failure"])
def test_a_reader_who_does_not_read_holds_nobody_up(tiny: Path, ending: signal.Signals | None) -> None:
    """Requests are answered long after the pipe is full; so is the end."""
    with pipe() as (_, write), running(tiny, "if trigger: raise SystemExit", stdout=write) as live:
        with httpx2.Client() as client:
            for n in range(100):
                assert client.post(live.url + "/predict", json=body(n)).status_code == 200
        if ending is None:
            assert httpx2.post(live.url + "/predict", json=body(1, TRIGGER), timeout=20).status_code == 503
        else:
            live.signal(ending)
        code, _ = live.wait(20)
        assert code == (70 if ending is None else 0)


def test_a_late_reader_finds_every_line(tiny: Path) -> None:
    """One JSON object a line, in order, down to the last."""
    found: list[dict] = []
    with pipe() as (read, write), running(tiny, stdout=write) as live:
        hang_up(write)
        with httpx2.Client() as client:
            for n in range(50):
                client.post(live.url + "/predict", json=body(1), headers={"X-Request-ID": str(n)})
        with os.fdopen(os.dup(read), "rb") as reader:
            gather = threading.Thread(target=lambda: found.extend(map(json.loads, reader)))
            gather.start()
            live.signal(signal.SIGTERM)
            live.wait(20)
            gather.join(20)
    assert [line["request_id"] for line in found if line.get("route") == "/predict"] == [str(n) for n in range(50)]
    assert "Finished server process" in found[-1]["event"]
