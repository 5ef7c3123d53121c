"""Fitting a neural process: episodes, what it learns in a few steps, its export, tables that are too small."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import kendalltau

from model.neural_process import read_process
from training.fitting.fit_neural_process import LEAST, fit_neural_process, write_process
from training.fitting.process_tasks import ProcessTask, draw_episode, tasks_of
from training.observations.observation import ObservationError
from training.observations.read import read


@pytest.fixture(scope="module")
def tables():
    """Own tables: to learn from, and to ask about."""
    return [list(tasks_of(read(Path(f"data/{name}.parquet")))) for name in ("mnist-mini", "cifar10-mini")]


def test_a_task_holds_each_network_to_learn_from_once(tables):
    """Seeds are averaged; the test split is left out; all hand features are there."""
    rows = read(Path("data/cifar10-mini.parquet"))
    assert len(tables[1][0]) == len({row.network_id for row in rows if row.split == "train"})
    assert tables[1][0].features.shape[1] == 302
    assert 0.05 < expit(tables[1][0].odds).min() < expit(tables[1][0].odds).max() < 0.6


def test_an_episode_asks_about_other_networks_than_it_knows(tables):
    """Measured or made up, with finite values; features are hidden now and then."""
    rng = np.random.default_rng(0)
    episodes = [draw_episode(tables[0][0], 10, 20, rng) for _ in range(20)]
    assert all(one.known.shape == (10, 302) and one.asked.shape == (20, 302) for one in episodes)
    assert all(np.isfinite([*one.odds, *one.truth]).all() for one in episodes)
    measured = [np.isin(one.odds, tables[0][0].odds).all() for one in episodes]
    assert 4 <= sum(measured) <= 16
    assert any((one.kept == 0).any() for one in episodes)


def test_it_learns_from_one_task_to_rank_another(tables, tmp_path):
    """After 250 steps on mnist-mini, ten measured networks of cifar10-mini rank the others; so does the export."""
    network = fit_neural_process(tables[:1], steps=250)
    card = write_process(tmp_path, network, tables[:1], steps=250)
    assert card.training == {"networks": {"mnist-mini": len(tables[0][0])}, "steps": 250}
    process, task = read_process(tmp_path), tables[1][0]
    order = np.random.default_rng(0).permutation(len(task))
    known, asked = order[:10], order[10:]
    found = process.predict(task.features[known], expit(task.odds[known]), task.features[asked])
    assert kendalltau(found, task.odds[asked]).statistic > 0.5


def test_a_table_that_is_too_small_is_named():
    """With how many networks it has and how many it needs."""
    small = ProcessTask("small", np.zeros((20, 302)), np.zeros(20))
    with pytest.raises(ObservationError, match=f"{LEAST} networks; small has 20"):
        fit_neural_process([[small]])
    with pytest.raises(ObservationError, match="there is none"):
        fit_neural_process([])
