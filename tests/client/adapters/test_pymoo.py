"""pymoo's NSGA-II on predicted accuracy and costs."""

import pickle

import numpy as np
import pytest

import peephole
from tests.client.stub import HTML, Reply, stub

pytest.importorskip("pymoo")
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize

from peephole.adapters.pymoo import PeepholeProblem

VARIABLES = {"n_var": 2, "xl": 1, "xu": np.array([40, 6]), "vtype": int}


def network_of(row):
    width, depth = map(int, row)
    return [{"type": "conv", "kernel_size": 3, "out_channels": 4 * width}, {"type": "relu"}] * depth


def search(problem):
    repair = {"repair": RoundingRepair(), "vtype": float}
    options = {"sampling": IntegerRandomSampling(), "crossover": SBX(**repair), "mutation": PM(**repair)}
    return minimize(problem, NSGA2(pop_size=10, **options), ("n_gen", 4), seed=1, verbose=False)


def test_a_front_of_predicted_networks_within_the_constraints_is_found(predictor):
    problem = PeepholeProblem(predictor, network_of, constraints={"params": 50_000}, **VARIABLES)
    found = search(pickle.loads(pickle.dumps(problem)))
    predicted = predictor.predict([network_of(row) for row in found.X])
    assert found.F[:, 0] == pytest.approx([1 - one.final_accuracy for one in predicted])
    assert found.F[:, 1] == pytest.approx([one.flops for one in predicted])
    assert max(one.params for one in predicted) <= 50_000
    assert len(found.F) > 1


def test_the_lower_end_can_be_searched_for(predictor):
    problem = PeepholeProblem(predictor, network_of, objectives=["accuracy"], rank_by="lower", **VARIABLES)
    row = np.array([[16, 2]])
    assert problem.evaluate(row)[0, 0] == pytest.approx(1 - predictor.predict(network_of(row[0]))[0].lower[-1])


def test_without_an_answer_the_search_goes_on(warnings):
    with stub(Reply(502, HTML)) as server:
        problem = PeepholeProblem(peephole.Client(server.url), network_of, **VARIABLES)
        assert np.array_equal(np.unique(search(problem).F[:, 0]), [1.0])
    assert len(warnings) == 1


def test_unknown_costs_are_rejected(predictor):
    with pytest.raises(ValueError, match="objectives are accuracy"):
        PeepholeProblem(predictor, network_of, objectives=["latency"], **VARIABLES)
