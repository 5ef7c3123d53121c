"""The engine: whatever the order of requests, deadlines, failures and shutdown, each request is answered once.

And what the limits say: 413, 429, 503, the cache, small work on the event loop.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from time import monotonic
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from model.runtime import Curves
from service.errors import Problem
from service.inference import batching, queue
from service.inference.engine import CPU, INLINE_LAYERS, Engine
from service.observability.metrics import Metrics
from service.settings import Settings

RAISES, NAN, KILLS = 901, 902, 903
MAX_COST, MAX_BATCH, MIN_BATCH = 400, 60, 8


@pytest.fixture
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (batching, queue):
        monkeypatch.setattr(module, "MIN_BATCH", MIN_BATCH)


class FakePredictor:
    """Answers sum(codes) * 1000 + epoch; waits at a gate; fails, gives NaN or ends its thread on marked networks."""

    def __init__(self, provider: str = CPU) -> None:
        self.provider = provider
        self.gate = threading.Event()
        self.gate.set()
        self.largest = 0
        self.computed = 0
        self.threads: set[str] = set()
        self._busy: set[int] = set()

    def run(self, codes: np.ndarray, lengths: np.ndarray, epochs: tuple[int, ...], *, lane: int) -> Curves:
        assert lane not in self._busy, "a session is used by one thread at a time"
        self._busy.add(lane)
        try:
            return self._run(codes, lengths, epochs)
        finally:
            self._busy.remove(lane)

    def _run(self, codes: np.ndarray, lengths: np.ndarray, epochs: tuple[int, ...]) -> Curves:
        assert codes.shape[:2] == (len(lengths), lengths.max()), "no more padding than the batch needs"
        self.threads.add(threading.current_thread().name)
        self.computed += len(codes)
        self.largest = max(self.largest, codes.shape[0] * codes.shape[1])
        if threading.current_thread() is not threading.main_thread():
            assert self.gate.wait(20)
        if (codes == KILLS).any():
            raise SystemExit
        if (codes == RAISES).any():
            raise RuntimeError("a failing network")
        total = codes.sum(axis=(1, 2)).astype(np.float32)[:, None]
        accuracy = total * 1000 + np.asarray(epochs, dtype=np.float32)
        accuracy[(codes == NAN).any(axis=(1, 2))] = np.nan
        return Curves(accuracy, accuracy, accuracy, lengths.astype(np.float32))


def model_of(predictor: FakePredictor) -> Any:
    return SimpleNamespace(card=SimpleNamespace(sha256="0" * 64, task="fake"), predictor=predictor)


def column(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)[:, None]


@dataclass
class Request:
    """A request in the machine below, and what it was answered."""

    networks: list[np.ndarray]
    epochs: tuple[int, ...]
    marks: set[int]
    has_short_deadline: bool = False
    task: "asyncio.Task[Any]" = field(init=False)

    def check(self, *, is_down: bool) -> None:
        """The answer is the request's own, or an error there was reason for."""
        assert self.task.done()
        try:
            curves = self.task.result().curves
        except TimeoutError:
            assert self.has_short_deadline
        except Problem as problem:
            self._check_problem(problem, is_down=is_down)
        else:
            assert not self.marks
            expected = [[one.sum() * 1000.0 + epoch for epoch in self.epochs] for one in self.networks]
            np.testing.assert_array_equal(curves.accuracy, np.array(expected, dtype=np.float32))
            np.testing.assert_array_equal(curves.distance, [len(one) for one in self.networks])

    def _check_problem(self, problem: Problem, *, is_down: bool) -> None:
        reasons = {
            "queue-full": True,
            "too-large": sum(map(len, self.networks)) > MAX_COST / 2,
            "prediction-failed": bool(self.marks & {RAISES, NAN}),
            "unavailable": is_down,
        }
        assert reasons[problem.slug], problem.slug
        if problem.slug == "prediction-failed":
            assert [fault.pointer for fault in problem.faults] == [f"/architectures/{len(self.networks) - 1}"]


class EngineMachine(RuleBasedStateMachine):
    """Requests come and end around one engine with real worker threads."""

    workers = 1

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.predictor = FakePredictor()
        self.model = model_of(self.predictor)
        limits = Settings(max_queue_cost=MAX_COST, batch_cost=MAX_BATCH, cache_entries=0)
        self.engine = Engine(limits, Metrics(), workers=self.workers)
        self.engine.start()
        self.stopped = False
        self.failed = False
        self.killed = False
        self.requests: list[Request] = []

    def run(self, work: Coroutine[Any, Any, Any]) -> None:
        self.loop.run_until_complete(work)

    async def _start(self, request: Request, deadline: float) -> None:
        predicted = self.engine.predict(self.model, request.networks, request.epochs, deadline)
        request.task = asyncio.create_task(predicted)
        await asyncio.sleep(0)

    def send(self, request: Request, seconds: float = 20.0) -> None:
        self.requests.append(request)
        self.run(self._start(request, monotonic() + seconds))

    @rule(
        networks=st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=12), min_size=1, max_size=9),
        epochs=st.sampled_from([(1,), (1, 2, 3), (5,)]),
        mark=st.sampled_from([None, None, None, None, RAISES, NAN]),
        seconds=st.sampled_from([20, 20, 0.0, 0.03]),
    )
    def arrive(self, networks: list[list[int]], epochs: tuple[int, ...], mark: int | None, seconds: float) -> None:
        rows = [*networks, *([] if mark is None else [[mark]])]
        marks = set() if mark is None else {mark}
        self.send(Request([column(*row) for row in rows], epochs, marks, has_short_deadline=seconds < 1), seconds)

    @rule()
    def hold(self) -> None:
        self.predictor.gate.clear()

    @rule(seconds=st.sampled_from([0.0, 0.001, 0.04]))
    def go_on(self, seconds: float) -> None:
        self.predictor.gate.set()
        self.run(asyncio.sleep(seconds))

    @precondition(lambda self: not self.killed)
    @rule()
    def kill_a_worker(self) -> None:
        self.killed = True
        self.send(Request([column(KILLS), column(KILLS, 1)], (1,), {KILLS}))

    @rule()
    def stop(self) -> None:
        self.stopped = True
        self.engine.stop()

    async def _supervise(self) -> None:
        if self.engine.has_dead_worker() and not self.failed:
            self.failed = True
            self.engine.fail("a worker died")

    @rule()
    def supervise(self) -> None:
        self.run(self._supervise())

    @invariant()
    def the_queue_is_bounded(self) -> None:
        cost = self.engine.queue.cost  # first: workers lessen both
        assert 0 <= self.engine.queue.waiting <= cost <= MAX_COST

    def teardown(self) -> None:
        self.predictor.gate.set()
        tasks = [request.task for request in self.requests]
        for request in self.requests:
            if KILLS in request.marks:
                self.run(self._settle(lambda request=request: request.task.done() or self.engine.has_dead_worker()))
                self.supervise()
        if tasks:
            _, pending = self.loop.run_until_complete(asyncio.wait(tasks, timeout=30))
            assert not pending, "a request was never answered"
        for request in self.requests:
            request.check(is_down=self.stopped or self.failed)
        if not self.failed:
            self.run(self._settle(lambda: self.engine.queue.cost == 0))
            assert self.engine.queue.cost == self.engine.queue.waiting == 0, "every admitted layer is given back"
            assert not self.engine._jobs
        assert self.predictor.largest <= MAX_BATCH
        self.engine.stop()
        for worker in self.engine.workers:
            worker.join(5)
        self.loop.close()

    async def _settle(self, condition: Callable[[], bool]) -> None:
        for _ in range(200):
            if condition():
                return
            await asyncio.sleep(0.01)


class SharingMachine(EngineMachine):
    """Several workers, which share the networks of one job."""

    workers = 3


for machine in (EngineMachine, SharingMachine):
    machine.TestCase.pytestmark = [
        pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
        pytest.mark.usefixtures("_small_batches"),
    ]
    machine.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestOneWorker = EngineMachine.TestCase
TestThreeWorkers = SharingMachine.TestCase


@pytest.fixture
def predictor() -> FakePredictor:
    return FakePredictor()


def engine_of(**limits: Any) -> Engine:
    engine = Engine(Settings(**limits), Metrics(), workers=1)
    engine.start()
    return engine


def predict(engine: Engine, predictor: FakePredictor, *requests: list[np.ndarray], seconds: float = 20.0) -> list[Any]:
    """Send requests at once; return what becomes of each: an `Inference` or the error."""

    async def run() -> list[Any]:
        deadline = monotonic() + seconds
        calls = [engine.predict(model_of(predictor), one, (1,), deadline) for one in requests]
        return await asyncio.gather(*calls, return_exceptions=True)

    try:
        return asyncio.run(run())
    finally:
        engine.stop()


def test_a_single_short_network_is_predicted_on_the_event_loop_when_nothing_waits(predictor: FakePredictor) -> None:
    predict(engine_of(), predictor, [column(*range(1, INLINE_LAYERS + 1))])
    assert predictor.threads == {"MainThread"}


@pytest.mark.parametrize(
    ("networks", "provider"),
    [
        pytest.param([column(1), column(2)], CPU, id="two networks"),
        pytest.param([column(*range(1, INLINE_LAYERS + 2))], CPU, id="a long network"),
        pytest.param([column(1)], "CUDAExecutionProvider", id="a GPU, which may hang"),
    ],
)
def test_other_work_goes_to_a_worker(networks: list[np.ndarray], provider: str) -> None:
    predictor = FakePredictor(provider)
    predict(engine_of(), predictor, networks)
    assert predictor.threads == {"inference-0"}


def test_a_single_network_does_not_overtake_what_waits(predictor: FakePredictor) -> None:
    predict(engine_of(), predictor, [column(1), column(2)], [column(3)])
    assert predictor.threads == {"inference-0"}


def test_equal_networks_are_computed_once_and_cached(predictor: FakePredictor) -> None:
    engine = engine_of()
    (inference,) = predict(engine, predictor, [column(1), column(2), column(1)])
    assert inference.curves.accuracy.tolist() == [[1001], [2001], [1001]]
    assert predictor.computed == 2
    (again,) = predict(engine, predictor, [column(2), column(1)])
    assert again.curves.accuracy.tolist() == [[2001], [1001]]
    assert predictor.computed == 2, "a stopped engine answers from the cache"
    assert engine.metrics.cache_hits._value.get() == 3
    assert engine.metrics.cache_misses._value.get() == 2


def test_every_failing_network_is_pointed_at(predictor: FakePredictor) -> None:
    """In the order of the request, equal ones too: without them the request succeeds."""
    networks = [column(1), column(RAISES), column(NAN, 1), column(RAISES)]
    (error,) = predict(engine_of(), predictor, networks)
    assert error.slug == "prediction-failed"
    assert [fault.pointer for fault in error.faults] == [f"/architectures/{index}" for index in (1, 2, 3)]


def test_a_batch_shared_by_requests_fails_for_the_one_with_the_failing_network(predictor: FakePredictor) -> None:
    requests = [[column(n, 1), column(RAISES if n == 3 else n, 2)] for n in range(1, 7)]
    answers = predict(engine_of(), predictor, *requests)
    assert [isinstance(answer, Problem) for answer in answers] == [False, False, True, False, False, False]
    assert answers[2].faults[0].pointer == "/architectures/1"


def test_more_work_than_the_queue_could_ever_hold_is_a_413(predictor: FakePredictor) -> None:
    inside, outside = [column(*[1] * 50), column(*[2] * 50)], [column(*[1] * 51), column(*[2] * 50)]
    (answer,) = predict(engine_of(max_queue_cost=100), predictor, inside)
    assert answer.curves.accuracy.shape == (2, 1)
    (error,) = predict(engine_of(max_queue_cost=100), predictor, outside)
    assert (error.slug, error.extensions) == ("too-large", {"limit": 100})


def test_a_full_queue_is_a_429_with_the_seconds_to_wait(predictor: FakePredictor) -> None:
    predictor.gate.clear()
    threading.Timer(0.1, predictor.gate.set).start()
    requests = [[column(*[n] * 30), column(*[n + 100] * 30)] for n in range(1, 4)]
    first, *rejected = predict(engine_of(max_queue_cost=100), predictor, *requests)
    assert first.curves.accuracy.shape == (2, 1)
    for error in rejected:
        assert error.slug == "queue-full"
        assert int(error.headers["Retry-After"]) >= 1


def test_a_passed_deadline_leaves_no_work_behind(predictor: FakePredictor) -> None:
    predictor.gate.clear()
    engine = engine_of()
    answers = predict(engine, predictor, *([column(n), column(n, n)] for n in range(1, 5)), seconds=0.1)
    assert [type(answer) for answer in answers] == [TimeoutError] * 4
    predictor.gate.set()
    engine.workers[0].join(5)
    assert engine.queue.cost == 0
    assert predictor.computed <= 8, "each network at most once"


def test_a_failed_engine_answers_what_waits_and_accepts_no_more(predictor: FakePredictor) -> None:
    predictor.gate.clear()
    engine = engine_of()

    async def run() -> list[Any]:
        deadline = monotonic() + 20
        waiting = [
            asyncio.create_task(engine.predict(model_of(predictor), [column(n), column(n, n)], (1,), deadline))
            for n in range(1, 4)
        ]
        await asyncio.sleep(0.05)
        engine.fail("a worker died")
        late = engine.predict(model_of(predictor), [column(7)], (1,), deadline)
        return await asyncio.gather(*waiting, late, return_exceptions=True)

    for error in asyncio.run(run()):
        assert (error.slug, error.detail) == ("unavailable", "a worker died")
    predictor.gate.set()
