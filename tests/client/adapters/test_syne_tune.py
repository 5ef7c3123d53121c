"""Syne Tune with the scheduler around its random search, in real and in driven runs."""

import pickle
from pathlib import Path

import numpy as np
import pytest

import peephole
from tests.client.adapters.conftest import LAYERS
from tests.client.adapters.trainables import curve_of

pytest.importorskip("syne_tune")
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import LocalBackend
from syne_tune.config_space import choice
from syne_tune.optimizer.baselines import RandomSearch

from peephole.adapters.syne_tune import PeepholeScheduler

SCRIPT = """
import sys
sys.path[:0] = {paths!r}
from argparse import ArgumentParser
from syne_tune import Reporter
from tests.client.adapters.trainables import curve_of
parser = ArgumentParser()
parser.add_argument("--index", type=int)
index = parser.parse_known_args()[0].index
report = Reporter()
for epoch, accuracy in enumerate(curve_of(index), 1):
    report(epoch=epoch, accuracy=accuracy)
"""


def base(indices=(0, 1, 2, 3), points=None):
    space = {"index": choice(list(indices))}
    return RandomSearch(space, metrics=["accuracy"], do_minimize=False, random_seed=0, points_to_evaluate=points)


class Trial:
    def __init__(self, number, **config):
        self.trial_id, self.config = number, config


def drive(scheduler, number, curve, **config):
    trial = Trial(number, **config)
    scheduler.on_trial_add(trial)
    for epoch, accuracy in enumerate(curve, 1):
        result = {"epoch": epoch, "accuracy": accuracy}
        if scheduler.on_trial_result(trial, result) == "STOP":
            scheduler.on_trial_remove(trial)
            return epoch
    scheduler.on_trial_complete(trial, result)
    return len(curve)


def test_a_tuner_stops_hopeless_trials(tmp_path, predictor):
    """The processes report faster than they are stopped: the decisions are what is looked at."""
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.format(paths=[str(Path.cwd()), str(Path.cwd() / "client")]))
    scheduler = PeepholeScheduler(base((0, 1), [{"index": 0}, {"index": 1}]), predictor)
    decisions = []
    asked = scheduler.on_trial_result

    def kept(trial, result):
        decisions.append((trial.trial_id, asked(trial, result)))
        return decisions[-1][1]

    scheduler.on_trial_result = kept
    tuner = Tuner(
        LocalBackend(entry_point=str(script)),
        scheduler,
        StoppingCriterion(max_num_trials_finished=2),
        n_workers=1,
        sleep_time=0.1,
        save_tuner=False,
        suffix_tuner_name=True,
        metadata={},
    )
    tuner.run()
    assert [one for one in decisions if one[0] == 0] == [(0, "CONTINUE")] * 20
    assert [one for one in decisions if one[0] == 1] == [(1, "STOP")]


def test_hopeless_and_diverged_trials_are_stopped(predictor):
    scheduler = PeepholeScheduler(base(), predictor)
    assert [drive(scheduler, number, curve_of(number)) for number in range(2)] == [20, 1]
    assert drive(scheduler, 2, curve_of(2)) <= 3
    assert scheduler.metric_names() == ["accuracy"]
    assert scheduler.metadata()["scheduler_name"] == "PeepholeScheduler"


def test_a_network_of_the_configuration_reaches_the_predictor(asked):
    scheduler = PeepholeScheduler(base(), asked, network=lambda config: LAYERS * config["depth"])
    drive(scheduler, 0, [0.9], depth=1)
    drive(scheduler, 1, [0.1], depth=2)
    assert asked.asked[0][0] == {"observed": [0.1], "layers": LAYERS * 2}


def test_a_pickled_scheduler_goes_on(predictor):
    scheduler = PeepholeScheduler(base(), predictor)
    drive(scheduler, 0, np.linspace(0.5, 0.9, 20))
    copy = pickle.loads(pickle.dumps(scheduler))
    assert drive(copy, 1, [0.1] * 20) < 20
    assert copy.suggest().config["index"] in range(4)
    pickle.loads(pickle.dumps(PeepholeScheduler(base(), peephole.Client("http://127.0.0.1:9"))))
