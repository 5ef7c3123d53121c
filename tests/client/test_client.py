"""The client against a running service, and beside the predictor in process."""

import asyncio
import copy
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import peephole
from peephole import RequestError
from tests.client.conftest import KEY, OTHER, TASK
from tests.client.populations import CONV, RELU, population
from tests.service.live import Live

COUNT = 50
RUNS = [{"id": "a", "observed": [0.2, 0.3]}, {"observed": [0.2], "layers": population(1)[0]["layers"]}]


def close(one: Any, other: Any) -> bool:
    """Whether results are equal but for the sixth decimal, which the other networks of a batch may change."""
    if isinstance(one, tuple | list | peephole.Predictions):
        return len(one) == len(other) and all(map(close, one, other))
    if isinstance(one, peephole.Prediction | peephole.Decision):
        names = [name for name in one.__dataclass_fields__ if name != "rank"]  # near ties
        return all(close(getattr(one, name), getattr(other, name)) for name in names)
    return one == pytest.approx(other, abs=3e-6) if isinstance(one, float) else bool(one == other)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"epochs": [10, 1], "rank_by": "lower", "out_of_distribution": "last"},
        {"epochs": 10, "rank_by": "upper", "out_of_distribution": "penalise", "input": [3, 32, 32]},
        {"constraints": {"params": 20_000.0}, "objectives": ["accuracy", "flops"]},
    ],
    ids=lambda options: "-".join(options) or "plain",
)
def test_a_service_and_the_predictor_in_process_agree(
    client: peephole.Client, local: peephole.Predictor, options: Any
) -> None:
    """Also where the service is sent several requests; ranks follow from what is predicted."""
    networks = population(COUNT)
    over_http, in_process = (one.predict(networks, task=TASK, **options) for one in (client, local))
    assert close(over_http, in_process)
    assert over_http.model == in_process.model
    assert over_http.epochs == in_process.epochs
    for found in (over_http, in_process):
        last = found.epochs.index(max(found.epochs))

        def score(one: peephole.Prediction, last: int = last) -> tuple[bool, float]:
            value = {"lower": one.lower[last], "upper": one.upper[last]}.get(
                options.get("rank_by", ""), one.final_accuracy
            )
            rule = options.get("out_of_distribution")
            penalty = max(0, one.distance - 1) * (one.upper[last] - one.lower[last])
            is_kept = rule != "last" or one.in_distribution
            return is_kept, round(value - (penalty if rule == "penalise" else 0), 6)

        scores = [score(one) for one in found]
        assert [one.rank for one in found] == [1 + sum(other > mine for other in scores) for mine in scores]


def test_rank_and_top_are_the_best_first(client: peephole.Client) -> None:
    """`top` leaves out what misses the constraints; `index` finds the network."""
    networks = population(COUNT)
    ranked = client.rank(networks, task=TASK, epochs=10)
    assert [one.rank for one in ranked] == sorted(one.rank for one in ranked)
    assert [networks[one.index]["id"] for one in ranked] == [one.id for one in ranked]
    bound = sorted(one.params for one in ranked)[COUNT // 2]
    best = client.top(networks, 5, task=TASK, epochs=10, constraints={"params": bound})
    assert [one.id for one in best] == [one.id for one in ranked if one.params <= bound][:5]
    fronts = client.rank(networks, task=TASK, epochs=10, objectives=["accuracy", "params"])
    assert [one.pareto_rank for one in fronts] == sorted(one.pareto_rank or 0 for one in fronts)


@pytest.mark.parametrize("kind", ["client", "local"])
def test_faults_point_into_the_population(request: pytest.FixtureRequest, kind: str) -> None:
    predictor = request.getfixturevalue(kind)
    networks = population(40)
    networks[37]["layers"][3] = {"type": "Conv2d"}
    with pytest.raises(RequestError) as caught:
        predictor.predict(networks, task=TASK)
    assert [fault.pointer for fault in caught.value.faults] == ["/architectures/37/layers/3/type"]
    assert "did you mean `conv`?" in str(caught.value)
    assert caught.value.status == 422
    for again in (pickle.loads(pickle.dumps(caught.value)), copy.deepcopy(caught.value)):
        assert (str(again), again.faults) == (str(caught.value), caught.value.faults)


@pytest.mark.parametrize("kind", ["client", "local"])
def test_runs_are_stopped(request: pytest.FixtureRequest, kind: str) -> None:
    """One run or many; what is no accuracy is an error, as is a task that is not there."""
    predictor = request.getfixturevalue(kind)
    hopeless, promising = (predictor.stop(RUNS[0], best=best, task=TASK) for best in (0.99, 0.01))
    assert [one.stop for one in (*hopeless, *promising)] == [True, False]
    assert [one.id for one in predictor.stop(RUNS * 1, best=0.5, task=TASK)] == ["a", None]
    assert predictor.stop([], best=0.5) == []
    (decision,) = predictor.stop(RUNS[0], best=0.5, task=TASK, confidence=0.5)
    assert decision.stop == (decision.probability_below >= 0.5)
    for observed in ([0.2, float("nan")], [54.0], []):
        with pytest.raises(RequestError, match="/observed"):
            predictor.stop([{"observed": observed}], best=0.5, task=TASK)
    with pytest.raises(RequestError, match="/task: must be one of"):
        predictor.stop(RUNS, best=0.5, task="no-task")


def test_decisions_agree(client: peephole.Client, local: peephole.Predictor) -> None:
    """Over several requests too."""
    runs = [{"observed": [0.1 + 0.01 * index], "layers": one["layers"]} for index, one in enumerate(population(20))]
    assert close(client.stop(runs, best=0.4, task=TASK), local.stop(runs, best=0.4))


def test_the_tasks_are_listed(client: peephole.Client) -> None:
    found = {task.name: task for task in client.tasks()}
    assert found[TASK].input == (3, 16, 16)
    assert found[TASK].epochs == 10
    assert peephole.load(TASK, OTHER).tasks() == [found[TASK], found[OTHER]]


def test_several_predictors_in_process_need_a_task() -> None:
    both = peephole.load(TASK, OTHER)
    with pytest.raises(RequestError, match="several predictors are loaded; name one of: cifar10-mini, mnist-mini"):
        both.predict([RELU])
    assert both.predict([RELU], task=OTHER).model.task == OTHER
    assert pickle.loads(pickle.dumps(both)).tasks() == both.tasks()
    with pytest.raises(ValueError, match="loaded twice"):
        peephole.load(TASK, TASK)


def test_a_context_is_answered_for_its_own_data_set(client: peephole.Client) -> None:
    """By the service and in process alike, in several requests too; the source says how far to trust it."""
    networks = population(COUNT)
    context = [{"layers": one["layers"], "accuracy": 0.3 + 0.01 * len(one["layers"])} for one in population(28)]
    options: dict[str, Any] = {"context": context, "input": (3, 16, 16), "epochs": 10}
    over_http = client.predict(networks, **options)
    in_process = peephole.load(TASK, OTHER).predict(networks, **options)
    assert close(over_http, in_process)
    assert over_http.model == in_process.model
    assert over_http.model.networks == 28
    assert over_http.model.tau is not None
    assert sorted(one.rank for one in over_http)[:1] == [1]
    assert client.predict(networks, **options, prior=None).model.prior is None
    with pytest.raises(RequestError, match="`input` is missing"):
        client.predict(networks, context=context)
    with pytest.raises(RequestError, match="/prior: only a request with a `context`"):
        peephole.load(TASK).predict(networks, prior=None)


def test_a_stored_task_learns_from_observations(client: peephole.Client) -> None:
    """It is made by the first of them, in as many requests as needed; a repeated call changes nothing."""
    networks = population(40)
    accuracies = [0.3 + 0.01 * len(one["layers"]) for one in networks]
    with pytest.raises(RequestError) as caught:
        client.observe("mine", networks, accuracies)
    assert caught.value.status == 404
    found = client.observe("mine", networks, accuracies, input=(3, 16, 16))
    assert (found.added, found.repeated) == (40, 0)
    again = client.observe("mine", networks, accuracies, input=(3, 16, 16))
    assert (again.added, again.repeated, again.networks) == (0, 40, found.networks)
    (stored,) = [task for task in client.tasks() if task.name == "mine"]
    assert stored.input == (3, 16, 16)
    predictions = client.predict(networks[:20], task="mine", epochs=10)
    assert predictions.model.networks == found.networks
    assert predictions[0].final_accuracy == pytest.approx(accuracies[0], abs=0.05)
    with pytest.raises(RequestError) as caught:
        client.observe("mine", networks[:20], [*accuracies[:19], 19.0])
    assert caught.value.faults[0].pointer == "/observations/19/accuracy", "of the second request"


def test_a_key_is_needed_where_the_service_has_one(service: Live) -> None:
    with peephole.Client(service.url) as client, pytest.raises(RequestError) as caught:
        client.predict([RELU], task=TASK)
    assert caught.value.status == 401


def test_what_an_importer_returns_is_predicted(client: peephole.Client) -> None:
    """Beside others; it says which images are read."""
    request: dict[str, Any] = {"input": [3, 32, 32], "architectures": [{"id": "mine", "layers": [CONV, RELU]}]}
    first, second = client.predict([request, [CONV]], task=TASK, epochs=10)
    assert (first.id, second.id) == ("mine", None)
    assert first.flops == second.flops == 2 * 27 * 16 * 32 * 32


def test_frames_have_a_row_for_each_network(local: peephole.Predictor) -> None:
    pytest.importorskip("pandas")
    predictions = local.rank(population(6), epochs=[1, 10])
    frame = predictions.to_frame()
    assert frame.index.tolist() == [one.index for one in predictions]
    assert frame["lower"].tolist() == [one.lower[1] for one in predictions]
    assert frame["epoch_1"].tolist() == [one.accuracy[0] for one in predictions]
    assert frame["id"].tolist() == [one.id for one in predictions]
    assert "feasible" not in frame
    bounded = local.predict(population(6), epochs=1, constraints={"params": 1}).to_frame()
    assert not bounded["feasible"].any()


def _final(predictor: peephole.Predictor) -> float:
    return predictor.predict(population(1), task=TASK, epochs=10)[0].final_accuracy


@pytest.mark.parametrize("kind", ["client", "local"])
def test_predictors_are_pickled_copied_and_shared_by_threads(request: pytest.FixtureRequest, kind: str) -> None:
    """Also when they are in use: with connections and sessions, which cannot be pickled."""
    predictor = request.getfixturevalue(kind)
    expected = _final(predictor)
    for again in (pickle.loads(pickle.dumps(predictor)), copy.deepcopy(predictor)):
        assert _final(again) == expected
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(_final, [predictor] * 8)) == {expected}


def test_a_forked_process_has_connections_of_its_own(client: peephole.Client) -> None:
    """Two processes on one connection would read each other's answers."""
    expected = _final(client)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_final, [client] * 4) == [expected] * 4
    assert _final(client) == expected


def test_an_artifact_is_loaded_by_name_or_folder(tiny: Any) -> None:
    """A mistake lists the tasks."""
    assert peephole.load(str(tiny)).predict([RELU]).model.task == "tiny"
    assert pickle.loads(pickle.dumps(peephole.load(tiny))).predict([RELU]).model.task == "tiny"
    with pytest.raises(ValueError, match=r"no predictor 'cifar10'; there are .*cifar10-mini"):
        peephole.load("cifar10")


def test_the_predictor_in_process_has_no_limit_of_networks(local: peephole.Predictor) -> None:
    assert len(local.predict([[CONV, RELU]] * 5000, epochs=10)) == 5000


def test_asyncio_has_the_same(service: Live, client: peephole.Client) -> None:
    """Calls may run at the same time, and event loops come one after another."""
    networks = population(40)
    one = peephole.AsyncClient(service.url, key=KEY)

    async def calls() -> list[Any]:
        return list(
            await asyncio.gather(
                one.predict(networks, task=TASK),
                one.rank(networks, task=TASK, epochs=10),
                one.top(networks, 3, task=TASK, epochs=10),
                one.stop(RUNS, best=0.5, task=TASK),
                one.tasks(),
            )
        )

    expected = [
        client.predict(networks, task=TASK),
        client.rank(networks, task=TASK, epochs=10),
        client.top(networks, 3, task=TASK, epochs=10),
        client.stop(RUNS, best=0.5, task=TASK),
        client.tasks(),
    ]
    for _ in range(2):
        assert close(asyncio.run(calls()), expected)
    again = pickle.loads(pickle.dumps(one))

    async def fails() -> None:
        async with again:
            await again.predict(networks, task="no-task")

    with pytest.raises(RequestError, match="/task"):
        asyncio.run(fails())


def test_costs_of_the_caller_count_across_requests(client: peephole.Client) -> None:
    networks = [{**one, "costs": {"ms": float(np.sin(index))}} for index, one in enumerate(population(COUNT))]
    found = client.predict(networks, task=TASK, epochs=10, objectives=["ms"], constraints={"ms": 0.0})
    order = np.argsort([one["costs"]["ms"] for one in networks])
    assert [found[index].pareto_rank for index in order] == list(range(1, COUNT + 1))
    assert [one.feasible for one in found] == [one["costs"]["ms"] <= 0 for one in networks]
