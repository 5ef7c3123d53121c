"""The engine: in any order of arrivals, hang-ups, deadlines, failures and shutdown, each waiter is answered once."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from service.cache import CurveCache
from service.engine import Engine, supervise
from service.intake import Intake
from service.ledger import Ledger
from service.metrics import Metrics
from service.predicting import predict_curves
from service.problems import ClientGoneError, Problem

from model.runtime import Curves
from service import backlog

RAISES, NAN, KILLS = 901, 902, 903
MAX_COST, MAX_BATCH, LEAST_BATCH = 400, 60, 8


@pytest.fixture
def _small_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "LEAST_BATCH", LEAST_BATCH)


class FakePredictor:
    """Answers sum(codes) * 1000 + epoch; waits at a gate; fails, gives NaN or dies on marked networks."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.largest = 0
        self.busy: set[int] = set()

    def run(self, codes: np.ndarray, lengths: np.ndarray, epochs: tuple[int, ...], *, lane: int) -> Curves:
        assert lane not in self.busy, "threads that predict at the same time have a lane each"
        self.busy.add(lane)
        try:
            return self._run(codes, lengths, epochs)
        finally:
            self.busy.remove(lane)

    def _run(self, codes: np.ndarray, lengths: np.ndarray, epochs: tuple[int, ...]) -> Curves:
        assert codes.shape[:2] == (len(lengths), lengths.max()), "no more padding than the batch needs"
        self.largest = max(self.largest, codes.shape[0] * codes.shape[1])
        assert self.gate.wait(20)
        if (codes == KILLS).any():
            raise SystemExit
        if (codes == RAISES).any():
            raise RuntimeError("a poisonous network")
        total = codes.sum(axis=(1, 2)).astype(np.float32)[:, None]
        accuracy = total * 1000 + np.asarray(epochs, dtype=np.float32)
        accuracy[(codes == NAN).any(axis=(1, 2))] = np.nan
        return Curves(accuracy, accuracy, accuracy, lengths.astype(np.float32))


class FakeRequest:
    """A caller that can hang up."""

    def __init__(self, deadline: float) -> None:
        self.scope: dict[str, Any] = {"state": {"deadline": deadline}}
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, str]:
        await self.gone.wait()
        return {"type": "http.disconnect"}


@dataclass
class Waiter:
    """A caller, what it asked, and what it was answered."""

    codes: list[np.ndarray]
    epochs: tuple[int, ...]
    request: FakeRequest
    marks: set[int]
    task: "asyncio.Task[Curves]" = field(init=False)

    def check(self, *, hung_up: bool, had_deadline: bool, is_down: bool) -> None:
        """The answer is the caller's own, or an error there was reason for."""
        assert self.task.done()
        try:
            curves = self.task.result()
        except ClientGoneError:
            assert hung_up
        except Problem as problem:
            reasons = {
                "queue-full": True,
                "too-large": True,
                "prediction-failed": bool(self.marks & {RAISES, NAN}),
                "deadline-exceeded": had_deadline,
                "unavailable": is_down,
            }
            assert reasons[problem.slug], problem.slug  # noqa: PT017 - either outcome is right
        else:
            assert not self.marks
            expected = [[one.sum() * 1000.0 + epoch for epoch in self.epochs] for one in self.codes]
            np.testing.assert_array_equal(curves.accuracy, np.array(expected, dtype=np.float32))
            np.testing.assert_array_equal(curves.distance, [len(one) for one in self.codes])


class EngineMachine(RuleBasedStateMachine):
    """Callers come and go around one engine with real inference threads."""

    workers = 1

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.metrics = Metrics()
        self.predictor = FakePredictor()
        self.model = SimpleNamespace(card=SimpleNamespace(sha256="0" * 64, task="fake"), predictor=self.predictor)
        self.engine = Engine(
            self.metrics, Ledger(lambda: False), workers=self.workers, max_cost=MAX_COST, max_batch=MAX_BATCH
        )
        self.failures: list[str] = []
        self.closed = False
        self.killed = False
        self.waiters: list[Waiter] = []
        self.hung_up: set[int] = set()
        self.with_deadline: set[int] = set()
        self.service = SimpleNamespace(
            metrics=self.metrics,
            ledger=self.engine.ledger,
            engine=self.engine,
            cache=CurveCache(0),
            intake=Intake(),
            settings=SimpleNamespace(batch_cost=MAX_BATCH),
        )
        self.run(self._start())

    def run(self, work: Any) -> None:
        self.loop.run_until_complete(work)

    async def _start(self) -> None:
        self.engine.start()
        watch = supervise(self.engine, stall_seconds=60, on_failure=self.failures.append)
        self.watcher = asyncio.create_task(watch)

    async def _arrive(self, waiter: Waiter) -> None:
        arguments: Any = (self.service, waiter.request, self.model, waiter.codes, waiter.epochs)
        waiter.task = asyncio.create_task(predict_curves(*arguments))
        await asyncio.sleep(0)

    @rule(
        networks=st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=12), min_size=1, max_size=9),
        epochs=st.sampled_from([(1,), (1, 2, 3), (5,)]),
        mark=st.sampled_from([None, None, None, None, RAISES, NAN]),
        deadline=st.sampled_from([None, None, 0.0, 0.03]),
    )
    def arrive(
        self, networks: list[list[int]], epochs: tuple[int, ...], mark: int | None, deadline: float | None
    ) -> None:
        if mark is not None:
            networks = [*networks, [mark]]
        codes = [np.array(rows, dtype=np.int32)[:, None] for rows in networks]
        if deadline is not None:
            self.with_deadline.add(len(self.waiters))
        request = FakeRequest(monotonic() + (20 if deadline is None else deadline))
        waiter = Waiter(codes, epochs, request, set() if mark is None else {mark})
        self.waiters.append(waiter)
        self.run(self._arrive(waiter))

    @precondition(lambda self: self.waiters)
    @rule(data=st.data())
    def hang_up(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.waiters) - 1))
        self.hung_up.add(index)
        self.waiters[index].request.gone.set()

    @rule()
    def hold(self) -> None:
        self.predictor.gate.clear()

    @rule(seconds=st.sampled_from([0.0, 0.001, 0.04]))
    def go_on(self, seconds: float) -> None:
        self.predictor.gate.set()
        self.run(asyncio.sleep(seconds))

    @precondition(lambda self: not self.killed)
    @rule()
    def kill(self) -> None:
        self.killed = True
        request = FakeRequest(monotonic() + 20)
        waiter = Waiter([np.array([[KILLS]], dtype=np.int32)], (1,), request, {KILLS})
        self.waiters.append(waiter)
        self.run(self._arrive(waiter))

    @rule()
    def shut_down(self) -> None:
        self.closed = True
        self.engine.close()

    @invariant()
    def the_backlog_is_bounded(self) -> None:
        cost = self.engine.backlog.cost  # looked at first: inference threads lessen both
        assert 0 <= self.engine.backlog.waiting <= cost <= MAX_COST

    def teardown(self) -> None:
        self.predictor.gate.set()
        tasks = [waiter.task for waiter in self.waiters]
        if tasks:
            _, pending = self.loop.run_until_complete(asyncio.wait(tasks, timeout=30))
            assert not pending, "somebody was never answered"
        for index, waiter in enumerate(self.waiters):
            waiter.check(
                hung_up=index in self.hung_up,
                had_deadline=index in self.with_deadline,
                is_down=self.closed or bool(self.failures),
            )
        self.run(self._settle(lambda: self.engine.backlog.cost == 0 or bool(self.failures)))
        assert self.engine.backlog.cost == 0 or self.failures, "every admitted layer was given back"
        assert self.predictor.largest <= max(MAX_BATCH, 12)
        self.engine.close()
        self.watcher.cancel()
        self.run(asyncio.sleep(0))
        self.loop.close()

    async def _settle(self, condition: Callable[[], bool]) -> None:
        for _ in range(500):
            if condition():
                return
            await asyncio.sleep(0.01)


class SharingMachine(EngineMachine):
    """Several inference threads, which share the networks of one job."""

    workers = 3


for machine in (EngineMachine, SharingMachine):
    machine.TestCase.pytestmark = [
        pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
        pytest.mark.usefixtures("_small_shares"),
    ]
    machine.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestEngine = EngineMachine.TestCase
TestSharingEngine = SharingMachine.TestCase
