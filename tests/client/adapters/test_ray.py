"""Ray Tune with the stopper and with the scheduler, in real runs."""

import pickle
from math import nan

import pytest

import peephole
from tests.client.adapters import trainables
from tests.client.adapters.conftest import LAYERS
from tests.client.stub import HTML, Reply, stub

ray = pytest.importorskip("ray")
tune = pytest.importorskip("ray.tune")
from peephole.adapters.ray import PeepholeScheduler, PeepholeStopper  # noqa: E402

METRIC = "eval/accuracy"


@pytest.fixture(scope="module", autouse=True)
def _cluster():
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


def epochs(tmp_path, *, trainable=trainables.report, scheduler=None, stop=None, failures=0, indices=(0, 1, 2, 3)):
    """Run a trial of each index, one after another, and return how many epochs each had."""
    tuner = tune.Tuner(
        trainable,
        param_space={"index": tune.grid_search(list(indices)), "folder": str(tmp_path / "checkpoints")},
        tune_config=tune.TuneConfig(metric=METRIC, mode="max", scheduler=scheduler, max_concurrent_trials=1),
        run_config=tune.RunConfig(
            storage_path=str(tmp_path), stop=stop, verbose=0, failure_config=tune.FailureConfig(max_failures=failures)
        ),
    )
    found = tuner.fit()
    assert found.num_errors == 0
    return {one.config["index"]: one.metrics["training_iteration"] for one in found}


def test_the_stopper_ends_hopeless_and_diverged_trials(tmp_path, predictor):
    """The best runs to its end, twenty epochs; a trial that diverges ends at the epoch where it does."""
    found = epochs(tmp_path, stop=PeepholeStopper(predictor, metric=METRIC))
    assert found[0] == 20
    assert found[2] <= 3
    assert max(found[1], found[3]) <= 5


def test_the_scheduler_does_the_same_with_the_tuner_s_metric(tmp_path, predictor):
    found = epochs(tmp_path, scheduler=PeepholeScheduler(predictor), indices=(0, 1, 2))
    assert found[0] == 20
    assert max(found[1], found[2]) <= 5


def test_a_restarted_trial_goes_on_with_its_curve(tmp_path, predictor):
    found = epochs(
        tmp_path,
        trainable=trainables.restarted,
        stop=PeepholeStopper(predictor, metric=METRIC, min_epochs=6),
        failures=1,
        indices=(0, 1),
    )
    assert found == {0: 20, 1: 6}


def test_a_proxy_without_a_service_ends_nothing(tmp_path, warnings):
    with stub(Reply(502, HTML)) as server:
        stopper = PeepholeStopper(peephole.Client(server.url), metric=METRIC)
        assert epochs(tmp_path, stop=stopper, indices=(0, 1)) == {0: 20, 1: 20}
    assert len(warnings) == 1


def drive(stopper, trial, curve, **config):
    """Call a stopper as Ray does; return how many epochs the trial had."""
    for epoch, accuracy in enumerate(curve, 1):
        result = {"eval": {"accuracy": accuracy}, "training_iteration": epoch, "config": config}
        if stopper(trial, result):
            return epoch
    stopper(trial, result | {"done": True})
    return len(curve)


def test_the_layers_of_the_configuration_reach_the_predictor(asked):
    stopper = PeepholeStopper(asked, metric=METRIC)
    drive(stopper, "a", [0.9])
    drive(stopper, "b", [0.1], layers=LAYERS)
    assert asked.asked[0][0] == {"observed": [0.1], "layers": LAYERS}


def test_a_number_of_epochs_ends_trials(predictor):
    stopper = PeepholeStopper(predictor, metric=METRIC, epochs=3)
    assert drive(stopper, "a", [0.5, 0.6, 0.7, 0.8]) == 3
    assert stopper._trials.best == {1: 0.5, 2: 0.6, 3: 0.7}
    assert not stopper.stop_all()


def test_a_pickled_stopper_knows_its_trials(predictor, curves):
    stopper = PeepholeStopper(predictor, metric=METRIC)
    drive(stopper, "a", [0.9] * 20)
    copy = pickle.loads(pickle.dumps(stopper))
    assert drive(copy, "b", [0.1] * 20) < 20
    pickle.loads(pickle.dumps(PeepholeScheduler(peephole.Client("http://127.0.0.1:9"))))


def test_results_without_the_metric_are_named_once(predictor, warnings):
    stopper = PeepholeStopper(predictor, metric="accuracy")
    assert drive(stopper, "a", [0.5, nan]) == 2
    assert len(warnings) == 1
    assert "no 'accuracy', only config, eval" in warnings[0]


def test_a_scheduler_that_minimises_stops_nothing(predictor, warnings):
    scheduler = PeepholeScheduler(predictor)
    assert scheduler.set_search_properties("loss", "min")
    assert scheduler.on_trial_result(None, None, {"loss": nan}) == "CONTINUE"
    assert "mode='max'" in warnings[0]
