"""Collecting survives kill -9, resumes without repeating, and records what later work needs."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import count, islice

import pytest
import torch
from typer.testing import CliRunner

from cli.main import app
from model.proxies.names import SCORES
from model.weight_features import QUANTILES
from training.measuring import datasets
from training.measuring.collect import collect, plan
from training.measuring.journal import Journal
from training.measuring.processes import processes
from training.measuring.train import stride_before, train_network
from training.observations.observation import Observation, ObservationError, split_of
from training.observations.read import read
from training.protocols import PROTOCOLS

PROTOCOL = PROTOCOLS["digits-mini"]
QUICK = replace(PROTOCOL, epochs=4, train_images=240, validation_images=120)
COMMAND = [sys.executable, "-m", "cli.main", "collect", "--protocol", PROTOCOL.name, "--workers", "1"]


def keys(rows):
    return [(row.network_id, row.seed) for row in rows]


def group_is_gone(group, seconds):
    """Whether no process of a group is left before so many seconds have passed."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_kill_in_the_middle_then_resume(tmp_path):
    out = tmp_path / "digits.parquet"
    journal = Journal(out)
    process = subprocess.Popen([*COMMAND, "--networks", "3", "--out", str(out)], start_new_session=True)
    try:
        give_up = time.monotonic() + 300
        while not (journal.path.is_file() and journal.path.read_text().count("\n") >= 1):
            assert process.poll() is None, "the collector ended early"
            assert time.monotonic() < give_up
            time.sleep(0.05)
        process.kill()
        process.wait()
        assert group_is_gone(process.pid, seconds=20), "workers live on"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    with journal.path.open("a") as file:
        file.write('{"id": "half a li')  # what a kill in the middle of a write leaves
    before = journal.path.read_text().count("\n")
    added = collect(PROTOCOL, out, plan(PROTOCOL, 3), partial(processes, workers=1))
    rows = read(out)
    assert before >= 1
    assert added == 3 - before
    assert not journal.path.exists()
    assert keys(rows) == [(one.network_id, 0) for one in islice(PROTOCOL.population(), 3)]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    out = tmp_path_factory.mktemp("collect") / "digits.parquet"
    collect(QUICK, out, plan(QUICK, 2, 2), partial(processes, workers=2))
    return out


@pytest.fixture
def inline():
    """A backend that measures without training, and has no room for every third job that it is asked to start."""
    asked = count(1)

    @contextmanager
    def start(protocol, deadline):
        def submit(job):
            if next(asked) % 3 == 0:
                return None
            future = Future()
            if job.seed == 9:
                future.set_exception(BrokenProcessPool("a worker died"))
            elif job.seed == 8:
                future.set_result(None)
            else:
                row = Observation(task="t", protocol=protocol.key, seed=job.seed, layers=job.layers, accuracy=[0.5])
                future.set_result(row)
            return future

        yield submit

    return start


def test_each_missing_run_is_started_once_while_there_is_room(tmp_path, inline):
    out, measured, counted = tmp_path / "t.parquet", [], []
    assert collect(QUICK, out, plan(QUICK, 1, 2), inline) == 2
    options = {"on_start": lambda *counts: counted.append(counts), "on_row": measured.append}
    assert collect(QUICK, out, plan(QUICK, 3, 2), inline, **options) == 4
    assert counted == [(2, 6)]
    assert sorted(row.seed for row in measured) == [0, 0, 1, 1]
    assert {row.canonical for row in measured} == {job.network_id for job in plan(QUICK, 3)[1:]}
    assert len(read(out)) == 6


def test_a_network_that_kills_its_process_is_named_and_the_others_are_measured(tmp_path):
    """Real processes; the next run tries that one alone again."""
    deadly, *others = plan(QUICK, 4)
    jobs = [others[0], replace(deadly, layers=Deadly()), *others[1:]]
    out, lost = tmp_path / "t.parquet", []
    assert collect(QUICK, out, jobs, partial(processes, workers=2), on_lost=lost.append) == 3
    assert [job.network_id for job in lost] == [deadly.network_id]
    assert {row.canonical for row in read(out)} == {job.network_id for job in others}
    assert collect(QUICK, out, [deadly, *others], partial(processes, workers=1)) == 1


class Deadly:
    """Ends the process that unpickles it, as a fault in a library does."""

    def __reduce__(self):
        return os._exit, (9,)


def test_what_was_measured_is_kept_when_process_after_process_dies(tmp_path, inline):
    """The cause is not in the networks then: the command ends."""
    jobs, lost = plan(QUICK, 6, 2), []
    jobs = [*jobs[:2], *(replace(job, seed=9) for job in jobs[2:])]
    with pytest.raises(RuntimeError, match="5 worker processes died one after another"):
        collect(QUICK, tmp_path / "t.parquet", jobs, inline, on_lost=lost.append)
    assert len(lost) == 5
    assert len(read(tmp_path / "t.parquet")) == 2


def test_a_second_run_adds_nothing(table):
    assert collect(QUICK, table, plan(QUICK, 2, 2), partial(processes, workers=1)) == 0
    assert len(read(table)) == 4


def test_two_collections_do_not_share_a_table(table):
    """Folding would lose the rows of one of them; the second gets an error, and measures nothing."""
    with Journal(table).alone():
        done = subprocess.run(
            [*COMMAND, "--networks", "4", "--out", str(table)], capture_output=True, text=True, check=False, timeout=300
        )
    assert done.returncode == 1
    assert "another process is collecting into it" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(read(table)) == 4
    with Journal(table).alone():  # the one rejected, and the one that ended, leave the table free
        pass


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.lock", "rows"])
def test_a_table_of_another_kind_is_rejected_and_left_as_it_is(tmp_path, name):
    """The journal beside a table is a .jsonl file, which goes once it is folded into the table."""
    out = tmp_path / name
    out.write_text("measured elsewhere")
    with pytest.raises(ObservationError, match=r"must end in \.parquet"):
        collect(PROTOCOL, out, plan(PROTOCOL, 1, 1), partial(processes, workers=1))
    assert out.read_text() == "measured elsewhere"
    assert list(tmp_path.iterdir()) == [out]


def test_a_row_says_all_that_later_work_needs(table):
    for row in read(table):
        assert row.protocol == QUICK.key
        assert len(row.accuracy) == len(row.train_loss) == QUICK.epochs
        assert row.status in {"ok", "failed_to_train"}
        assert row.params > 0
        assert row.flops > 0
        assert row.seconds > 0
        assert row.device
        assert row.started_at
        assert set(row.weight_stats) == {"quarter", "final"}
        assert row.weight_stats["quarter"] != row.weight_stats["final"]
        assert len(row.weight_stats["final"]["layer0.weight"]) == 2 + len(QUANTILES)
        assert "head.weight" in row.weight_stats["final"]
        assert row.proxies.keys() == SCORES.keys()


def test_a_row_can_be_measured_again(table):
    row = read(table)[0]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    train, validation = (
        datasets.Images(part.images.contiguous(memory_format=torch.channels_last), part.labels)
        for part in datasets.load(QUICK)
    )
    again = train_network(row.layers, QUICK, (train, validation), seed=row.seed)
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)
    assert again.accuracy == row.accuracy


def test_the_time_limit_stops_the_run(tmp_path):
    out = tmp_path / "digits.parquet"
    assert collect(PROTOCOL, out, plan(PROTOCOL, 1000), partial(processes, workers=1), time_limit=0.0) == 0
    assert not out.exists()


def test_a_diverged_network_is_a_row(tmp_path):
    wild = replace(QUICK, learning_rate=1e9, clip=None, epochs=4)
    images = datasets.load(wild)
    layers = next(wild.population()).layers
    row = train_network(layers, wild, images, seed=0)
    assert row.status == "diverged"
    assert 1 <= len(row.accuracy) <= 4


def test_a_plan_of_held_out_networks_takes_the_first_of_the_test_split():
    jobs = plan(PROTOCOL, 4, 2, only_held_out=True)
    chosen = [one.network_id for one in islice(PROTOCOL.population(), 100) if split_of(one.network_id) == "test"][:4]
    assert [(job.network_id, job.seed) for job in jobs] == [(one, seed) for one in chosen for seed in range(2)]


def request_body(tmp_path, in_channels=1):
    networks = [
        {"id": one.network_id, "in_channels": in_channels, "layers": one.layers}
        for one in islice(PROTOCOL.population(), 2)
    ]
    file = tmp_path / "networks.json"
    file.write_text(json.dumps({"task": PROTOCOL.name, "architectures": networks}))
    return file


def test_networks_from_a_file_are_trained_as_a_collection_would(tmp_path, table, monkeypatch):
    monkeypatch.setitem(PROTOCOLS, PROTOCOL.name, QUICK)
    out = tmp_path / "own.parquet"
    arguments = ["train", str(request_body(tmp_path)), "--protocol", PROTOCOL.name, "--out", str(out), "--workers", "1"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    collected = {(row.network_id, row.seed): row.accuracy for row in read(table)}
    trained = {(row.network_id, row.seed): row.accuracy for row in read(out)}
    assert len(trained) == 2
    assert all(collected[key] == accuracy for key, accuracy in trained.items())


def test_networks_for_other_images_are_rejected(tmp_path):
    out = tmp_path / "own.parquet"
    arguments = ["train", str(request_body(tmp_path, 3)), "--protocol", PROTOCOL.name, "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, ValueError)
    assert "/0/in_channels: the images of digits-mini have 1 channels" in str(result.exception)
    assert not out.exists()


def test_a_stride_before_a_convolution_changes_nothing_but_the_order():
    """Strided 1x1 convolutions of few channels give the same values and gradients; others keep their stride."""
    torch.manual_seed(0)
    layers = [
        torch.nn.Conv2d(4, 8, 1, stride=2),
        torch.nn.Conv2d(8, 4, 3, stride=2),
        torch.nn.Conv2d(16, 4, 1, stride=2),
    ]
    network, images = torch.nn.Sequential(*layers[:2]), torch.randn(2, 4, 9, 9, requires_grad=True)
    expected = network(images)
    (slopes,) = torch.autograd.grad(expected.square().sum(), images)
    stride_before(torch.nn.Sequential(*layers))
    found = network(images)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found.square().sum(), images)[0], slopes)
    assert [layer.stride for layer in layers] == [(1, 1), (2, 2), (2, 2)]
