"""In-context prediction: measured networks of the committed tables as context, others of them asked."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from model.context import ContextModel, Evidence, most_likely_first
from model.encoding.features import attributes, network_features
from model.encoding.layer_code import EXTENDED, encode, pad
from model.network.shapes import Shape
from training.observations.read import read

IMAGE = Shape(3, 16, 16)


@pytest.fixture(scope="module")
def measured():
    """Features and curves of 200 networks of the test split of cifar10-mini."""
    rows = {row.network_id: row for row in read_table() if row.split == "test" and len(row.accuracy) == 10}
    chosen = list(rows.values())[:200]
    codes, lengths = pad([encode(row.layers, EXTENDED, IMAGE).codes for row in chosen])
    features = network_features(attributes(codes, lengths, IMAGE))
    return features, np.array([row.accuracy for row in chosen])


def read_table():
    return read(Path("data/cifar10-mini.parquet"))


def evidence(features, guesses=None):
    return Evidence(features, np.zeros((len(features), 0)) if guesses is None else guesses)


def test_more_networks_rank_the_others_better(measured):
    """Tau on networks that are not in the context grows with it, and is far above chance from 20 on."""
    features, curves = measured
    taus = []
    for count in (20, 100):
        model = ContextModel.fit(evidence(features[:count]), curves[:count])
        found = model.predict(evidence(features[100:]))
        taus.append(kendalltau(found.accuracy[:, -1], curves[100:, -1]).statistic)
    assert 0.4 < taus[0] < taus[1]


def test_intervals_cover_and_contain_the_prediction(measured):
    """90 % intervals of 100 unseen networks hold 78 to 99 % of what was measured, at every epoch."""
    features, curves = measured
    found = ContextModel.fit(evidence(features[:100]), curves[:100]).predict(evidence(features[100:]))
    assert (found.lower <= found.accuracy).all()
    assert (found.accuracy <= found.upper).all()
    inside = ((found.lower <= curves[100:]) & (curves[100:] <= found.upper)).mean(0)
    assert ((inside >= 0.78) & (inside < 0.99)).all(), inside


def test_a_good_guess_is_chosen_and_a_useless_one_is_not(measured):
    """A noisy copy of the truth makes the context likelier than no guess; random numbers do not."""
    features, curves = measured
    rng = np.random.default_rng(0)
    known, final = slice(0, 30), curves[:, -1:]
    helpful = np.clip(final + rng.normal(0, 0.03, final.shape), 0, 1)
    useless = rng.uniform(0.1, 0.5, final.shape)
    without = (evidence(features[known]), None)
    found = [
        most_likely_first([without, (evidence(features[known], guess[known]), None)], curves[known])[0]
        for guess in (helpful, useless)
    ]
    assert found == [1, 0]


def test_leaving_one_out_is_refitting_without_it(measured):
    """The reported tau is that of predictions of each network from the others, the kernel's scales kept."""
    features, curves = measured
    model = ContextModel.fit(evidence(features[:60]), curves[:60, -1:])
    found = ContextModel.fit(evidence(features[:60]), curves[:60, -1:]).predict(evidence(features[60:]))
    unseen = kendalltau(found.accuracy[:, -1], curves[60:, -1]).statistic
    assert abs(model.tau - unseen) < 0.15


def test_networks_unlike_the_context_are_far(measured):
    """Most others of the same space are within the threshold; features never seen are not, and widen the interval."""
    features, curves = measured
    model = ContextModel.fit(evidence(features[:100]), curves[:100, -1:])
    near, far = model.predict(evidence(features[100:])), model.predict(evidence(features[100:] + 5))
    assert (near.distance <= 1).mean() > 0.8
    assert (far.distance > 1).all()
    assert np.median(far.upper - far.lower) > 1.5 * np.median(near.upper - near.lower)


def test_three_equal_accuracies_are_enough(measured):
    """The smallest context, without any spread, gives finite answers around its value."""
    features, _ = measured
    model = ContextModel.fit(evidence(features[:3]), np.full((3, 1), 0.4))
    found = model.predict(evidence(features[3:10]))
    np.testing.assert_allclose(found.accuracy, 0.4, atol=0.01)
    assert np.isfinite(found.upper).all()
