"""Studies of Optuna with the pruner and with the sampler."""

import pickle
from math import nan

import numpy as np
import pytest

import peephole
from tests.client.adapters.conftest import EPOCHS, LAYERS
from tests.client.stub import HTML, Reply, stub

optuna = pytest.importorskip("optuna")
from peephole.adapters.optuna import PeepholePruner, PeepholeSampler  # noqa: E402

optuna.logging.set_verbosity(optuna.logging.WARNING)
PRUNED, COMPLETE = optuna.trial.TrialState.PRUNED, optuna.trial.TrialState.COMPLETE


def replayed(curves, *, first=1, returned=lambda curve: float(curve[-1])):
    """An objective that reports one curve after another."""

    def objective(trial):
        curve = curves[trial.number]
        for step, accuracy in enumerate(curve, first):
            trial.report(float(accuracy), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return returned(curve)

    return objective


def study_of(curves, predictor, **options):
    study = optuna.create_study(direction="maximize", pruner=PeepholePruner(predictor))
    study.optimize(replayed(curves, **options), n_trials=len(curves))
    return study


def states(study):
    return [trial.state for trial in study.trials]


def test_hopeless_trials_are_pruned_and_the_best_is_found(predictor, curves):
    study = study_of(curves, predictor)
    pruned = [trial.number for trial in study.trials if trial.state == PRUNED]
    assert len(pruned) > 10
    assert study.best_value == pytest.approx(curves[:, -1].max(), abs=0.01)
    assert np.mean(curves[pruned, -1] <= study.best_value) > 0.9


def test_steps_may_count_from_0_and_the_layers_reach_the_predictor(asked):
    study = optuna.create_study(direction="maximize", pruner=PeepholePruner(asked, confidence=0.9))
    study.add_trial(optuna.trial.create_trial(value=0.9))
    trial = study.ask()
    trial.set_user_attr("layers", LAYERS)
    trial.report(0.2, 0)
    trial.report(0.3, 1)
    trial.should_prune()
    run, options = asked.asked[0]
    assert run == {"observed": [0.2, 0.3], "layers": LAYERS}
    assert (options["best"], options["confidence"]) == (0.9, 0.9)


def test_longer_trials_that_are_better_are_not_pruned(predictor, warnings):
    """Better from the first to the thirtieth epoch: what the first one reached at its end is not compared."""
    base = 0.4 + 0.4 * (1 - np.exp(-np.arange(30) / 12))
    study = study_of([base, base + 0.03, base + 0.06], predictor)
    assert states(study) == [COMPLETE] * 3
    assert len(warnings) == 1


def test_an_evaluation_before_training_stops_nothing_at_the_end(predictor, curves):
    best = curves[curves[:, -1].argmax()]
    study = study_of([np.concatenate([[0.1], curve]) for curve in (best - 0.02, best)], predictor, first=0)
    assert states(study) == [COMPLETE] * 2


def test_diverging_trials_are_pruned_and_the_study_goes_on(predictor, curves):
    broken = curves[:6].copy()
    broken[1, 3:] = nan
    broken[4, -1] = nan
    study = study_of(broken, predictor)
    assert [states(study)[place] for place in (1, 4)] == [PRUNED, PRUNED]
    assert len(study.trials) == 6


@pytest.mark.parametrize("returned", [lambda curve: 100 * curve[-1], lambda curve: curve[-1] - 1, lambda _: 70.0])
def test_what_is_returned_may_be_anything(predictor, curves, warnings, returned):
    """Reports are compared with reports: the same trials are pruned as without."""
    some = curves[:10]
    assert states(study_of(some, predictor, returned=returned)) == states(study_of(some, predictor))
    assert sum("divide percent by 100" in one for one in warnings) == 1


def test_a_trial_in_percent_is_not_pruned(predictor, curves, warnings):
    mixed = [curves[curves[:, -1].argmax()], 100 * curves[0], curves[curves[:, -1].argmin()]]
    assert states(study_of(mixed, predictor)) == [COMPLETE, COMPLETE, PRUNED]
    assert len(warnings) == 1


def test_a_study_that_minimises_or_leaves_out_epochs_goes_on(predictor, warnings):
    for direction, steps in (("minimize", (1, 2)), ("maximize", (1, 3))):
        study = optuna.create_study(direction=direction, pruner=PeepholePruner(predictor))
        study.add_trial(optuna.trial.create_trial(value=0.99))
        trial = study.ask()
        for step in steps:
            trial.report(0.1, step)
        assert not trial.should_prune()
    assert ["maximize" in warnings[0], "every epoch" in warnings[1], len(warnings)] == [True, True, 2]


def test_a_proxy_without_a_service_prunes_nothing(curves, warnings):
    with stub(Reply(502, HTML)) as server:
        study = study_of(curves[:5], peephole.Client(server.url))
    assert states(study) == [COMPLETE] * 5
    assert len(warnings) == 1


def test_a_pickled_study_goes_on(predictor, curves):
    client = peephole.Client("http://127.0.0.1:9")
    for one in (predictor, client):
        pickle.loads(pickle.dumps(optuna.create_study(direction="maximize", pruner=PeepholePruner(one))))
    study = pickle.loads(pickle.dumps(study_of(curves[:5], predictor)))
    study.optimize(replayed(curves), n_trials=10)
    assert len(study.trials) == 15
    assert PRUNED in states(study)


def test_trials_in_threads_are_pruned(predictor, curves):
    study = optuna.create_study(direction="maximize", pruner=PeepholePruner(predictor))
    study.optimize(replayed(curves), n_trials=len(curves), n_jobs=4)
    assert PRUNED in states(study)


def test_of_several_objectives_only_dominated_trials_are_stopped(predictor):
    """A slow start beside an accurate, cheaper trial is hopeless; beside a more costly one it is not."""
    good, bad = np.linspace(0.6, 0.85, EPOCHS), [0.12] * 5
    pruner = PeepholePruner(predictor)
    study = optuna.create_study(directions=["minimize", "maximize"], pruner=pruner)
    first = study.ask()
    assert not any(pruner.report(first, value, epoch, [100], place=1) for epoch, value in enumerate(good, 1))
    study.tell(first, [100, good[-1]])
    costly, cheaper = study.ask(), study.ask()
    assert any(pruner.report(costly, value, epoch, [200], place=1) for epoch, value in enumerate(bad))
    assert not any(pruner.report(cheaper, value, epoch, [50], place=1) for epoch, value in enumerate(bad))


def network_of(parameters):
    conv = {"type": "conv", "kernel_size": 3, "out_channels": parameters["width"]}
    return [conv, {"type": "relu"}] * parameters["depth"]


SPACE = {"width": optuna.distributions.IntDistribution(4, 256), "depth": optuna.distributions.IntDistribution(1, 8)}


def sampled(sampler, count=6):
    study = optuna.create_study(direction="maximize", sampler=sampler)

    def objective(trial):
        return trial.suggest_int("width", 4, 256) / 256 + trial.suggest_int("depth", 1, 8)

    study.optimize(objective, n_trials=count)
    return study


@pytest.mark.parametrize("base", [optuna.samplers.RandomSampler, optuna.samplers.TPESampler])
def test_the_sampler_tries_candidates_that_are_predicted_better(predictor, base):
    options = {"space": SPACE, "base": base(seed=0), "out_of_distribution": "keep"}
    chosen = sampled(PeepholeSampler(predictor, network_of, **options), 12)
    drawn = sampled(base(seed=0), 12)

    def worst(study):
        return min(one.final_accuracy for one in predictor.predict([network_of(one.params) for one in study.trials]))

    assert worst(chosen) > 0.71 > worst(drawn)


def test_the_space_is_learned_from_completed_trials(predictor):
    study = sampled(PeepholeSampler(predictor, network_of, candidates=4), 3)
    assert all(set(trial.params) == {"width", "depth"} for trial in study.trials)


def test_candidates_without_a_network_are_not_chosen(predictor, warnings):
    def broken(parameters):
        if parameters["depth"] % 2:
            raise KeyError("odd")
        bad = {6: [{"type": "conv"}], 8: [*network_of(parameters), {"type": "slice", "start": 1, "end": 999}]}
        return bad.get(parameters["depth"], network_of(parameters))

    study = sampled(PeepholeSampler(predictor, broken, space=SPACE, candidates=32), 4)
    assert {trial.params["depth"] for trial in study.trials} <= {2, 4}
    assert len(warnings) == 2


def test_the_sampler_without_a_service_takes_what_comes(warnings):
    with stub(Reply(502, HTML)) as server:
        sampler = PeepholeSampler(peephole.Client(server.url), network_of, space=SPACE)
        assert len(sampled(pickle.loads(pickle.dumps(sampler))).trials) == 6
    assert len(warnings) == 1
