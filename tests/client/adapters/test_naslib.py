"""The predictor in NASLib's form, in process and over HTTP."""

import pickle

import numpy as np
import pytest

import peephole
from peephole.adapters.naslib import PeepholePredictor
from tests.client.populations import answer
from tests.client.stub import HTML, Reply, stub


def network_of(width):
    return [{"type": "conv", "kernel_size": 3, "out_channels": int(width)}, {"type": "relu"}]


WIDTHS = [4, 16, 64, 128]


def test_query_returns_predicted_accuracies_in_percent(predictor):
    shim = pickle.loads(pickle.dumps(PeepholePredictor(predictor, network_of)))
    shim.pre_process()
    shim.pre_compute(WIDTHS, WIDTHS)
    shim.fit(WIDTHS, [50, 60, 70, 80])
    expected = [100 * one.final_accuracy for one in predictor.predict([network_of(width) for width in WIDTHS])]
    assert shim.query(WIDTHS) == pytest.approx(expected)
    assert not shim.get_data_reqs()["requires_partial_lc"]


def test_layers_are_architectures_too(predictor):
    shim = PeepholePredictor(predictor, percent=False)
    assert shim.query([network_of(64)])[0] == predictor.predict(network_of(64))[0].final_accuracy


def test_the_networks_of_fit_are_the_context_of_a_service():
    replies = [Reply(200, answer({"architectures": [{"layers": network_of(8)}]}))]
    with stub(*replies) as server:
        shim = PeepholePredictor(peephole.Client(server.url), network_of, input=(3, 32, 32))
        shim.fit(WIDTHS, [50, 60, 70, 80])
        assert shim.query([8]) == pytest.approx([2.0])
    body = server.received[0].body
    assert [one["accuracy"] for one in body["context"]] == [0.5, 0.6, 0.7, 0.8]
    assert body["input"] == [3, 32, 32]


def test_without_an_answer_the_mean_is_returned(warnings):
    with stub(Reply(502, HTML)) as server:
        shim = PeepholePredictor(peephole.Client(server.url), network_of, input=(3, 32, 32))
        shim.fit(WIDTHS, [50, 60, 70, 80])
        assert np.array_equal(shim.query(WIDTHS), [65.0] * 4)
    assert len(warnings) == 1
