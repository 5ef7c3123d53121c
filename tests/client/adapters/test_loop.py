"""Early stopping in a loop: which runs are stopped, and what counts as the best."""

import pickle
from math import inf, nan
from typing import Any

import pytest

from peephole.adapters.loop import EarlyStopper
from peephole.adapters.rule import metric_in
from tests.client.adapters.conftest import EPOCHS, LAYERS, TASK


def finished(search, curve):
    """A search with a run that was trained to its end."""
    run = search.start()
    for accuracy in curve:
        run.should_stop(accuracy)
    run.finish()
    return search


def test_epochs_are_saved_and_the_best_is_kept(predictor, curves):
    """Real curves in their order: far fewer epochs, and the best network is found."""
    search, spent = EarlyStopper(predictor), 0
    for curve in curves:
        run = search.start()
        for accuracy in curve:
            spent += 1
            if run.should_stop(accuracy):
                break
        run.finish()
    assert search.best == pytest.approx(curves[:, -1].max(), abs=0.01)
    assert spent < 0.6 * curves.size


def test_the_network_and_the_settings_reach_the_predictor(asked):
    search = finished(EarlyStopper(asked, TASK, confidence=0.9, min_epochs=2), [0.5, 0.9])
    run = search.start(LAYERS)
    run.should_stop(0.2)
    run.should_stop(0.3)
    assert asked.asked == [({"observed": [0.2, 0.3], "layers": LAYERS}, {"best": 0.9, "task": TASK, "confidence": 0.9})]


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_a_run_that_diverged_is_stopped_and_never_the_best(predictor, value):
    search = EarlyStopper(predictor)
    run = search.start()
    assert not run.should_stop(0.4)
    assert run.should_stop(value)
    run.finish()
    run.stopped = False  # a loop that does not listen
    run.finish()
    assert search.best is None


def test_an_epoch_without_a_number_is_ignored_later(asked):
    run = finished(EarlyStopper(asked), [0.8]).start()
    for accuracy in (nan, 0.3, nan, 0.4):
        run.should_stop(accuracy)
    assert asked.asked[-1][0] == {"observed": [0.3, 0.3, 0.3, 0.4]}


def test_later_epochs_than_the_task_has_are_not_looked_at(predictor, warnings):
    """A run of 30 epochs counts with its twentieth, and is never stopped behind it."""
    rising = [0.5 + 0.01 * epoch for epoch in range(30)]
    search = finished(EarlyStopper(predictor), rising)
    assert search.best == pytest.approx(rising[EPOCHS - 1])
    run = search.start(observed=[0.1] * (EPOCHS - 1))
    assert not any(run.should_stop(0.1) for _ in range(11))
    assert len(warnings) == 1
    assert "20 epochs" in warnings[0]


def test_runs_ahead_of_a_longer_best_run_are_not_stopped(predictor):
    """It rises more slowly than the task's curves: what is predicted for them is not what runs like it reach."""
    slow = [0.4 + 0.01 * epoch for epoch in range(30)]
    search = finished(EarlyStopper(predictor), slow)
    ahead, behind = search.start(), search.start()
    assert not any(ahead.should_stop(accuracy + 0.01) for accuracy in slow)
    assert any(behind.should_stop(accuracy / 3) for accuracy in slow)


def test_percent_is_named_once_and_stops_nothing(asked, warnings):
    search = finished(EarlyStopper(asked), [0.9] * EPOCHS)
    for _ in range(2):
        run = search.start()
        assert not any(run.should_stop(accuracy) for accuracy in (10.0, 11.0, 12.0))
        run.finish()
    assert search.best == 0.9
    assert len(warnings) == 1
    assert "divide percent by 100" in warnings[0]
    assert asked.asked == []


def test_missing_epochs_are_named_once_and_stop_nothing(asked, warnings):
    search = EarlyStopper(asked, min_epochs=2, best=0.9)
    for _ in range(2):
        run = search.start()
        assert not run.should_stop(0.1, 1)
        assert not run.should_stop(0.1, 3)
    assert len(warnings) == 1
    assert "every epoch" in warnings[0]


def test_a_run_goes_on_from_a_checkpoint(asked):
    """Earlier accuracies are given; or epochs are reported again, and what came after them is forgotten."""
    search = finished(EarlyStopper(asked), [0.9] * EPOCHS)
    run = search.start(observed=[0.2, 0.3])
    run.should_stop(0.4)
    run.should_stop(0.31, 2)
    assert [one["observed"] for one, _ in asked.asked] == [[0.2, 0.3, 0.4], [0.2, 0.31]]


def test_a_rejected_network_is_named_with_its_place_and_the_run_goes_on(predictor, warnings):
    run = finished(EarlyStopper(predictor), [0.9] * EPOCHS).start([{"type": "Conv2d"}])
    assert not run.should_stop(0.1)
    assert not run.should_stop(0.1)
    assert len(warnings) == 1
    assert "/layers/0" in warnings[0]


def test_a_pickled_search_decides_alike(predictor):
    search = finished(EarlyStopper(predictor), [0.8] * EPOCHS)
    copy = pickle.loads(pickle.dumps(search))
    assert copy.best == 0.8
    assert copy.start().should_stop(0.1) is search.start().should_stop(0.1) is True


@pytest.mark.parametrize(
    ("options", "message"),
    [({"confidence": 0.4}, "but is"), ({"min_epochs": 0}, "but is"), ({"task": "mnist-mini"}, "of task metaqnn")],
)
def test_settings_out_of_bounds_are_rejected(predictor, options: dict[str, Any], message):
    with pytest.raises(ValueError, match=message):
        EarlyStopper(predictor, **options)


def test_metrics_are_found_where_they_are():
    nested = {"eval": {"top": {"accuracy": 0.5}}, "eval/loss": 1.0}
    assert metric_in(nested, "eval/top/accuracy") == 0.5
    assert metric_in(nested, "eval/loss") == 1.0
    assert metric_in(nested, "eval/other") is None
    assert metric_in(nested, "accuracy") is None
