"""The experiments: figures mean what their names say."""

from pathlib import Path

import numpy as np
import pytest

from model.artifact import ZOO
from model.network.graph import costs, resolve
from tests.slices import metaqnn_curves, trained_rows
from training.baselines.features import FLOPS, PARAMETERS
from training.metrics import ceiling, tau
from training.observations.observation import Observation
from training.observations.read import read, write_parquet
from training.study import baselines, early_stopping, experiments, figures, limits, shipped
from training.study.networks import Study, Task, describe
from training.study.results import read_results

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def study() -> Study:
    return Study(ROOT, ZOO, Path("nowhere"), only="mnist-mini")


@pytest.fixture(scope="module")
def measured(study) -> Task:
    """The committed table of mnist-mini, alone."""
    rows = read(ROOT / "data" / "mnist-mini.parquet")
    task = Task("mnist-mini", rows, own=True, artifact=ZOO / "mnist-mini")
    study.__dict__["tasks"] = {"mnist-mini": task}
    return task


@pytest.fixture
def tiny(tmp_path) -> Study:
    """A project in a folder: 60 measured networks, no predictor yet."""
    write_parquet(tmp_path / "data" / "mnist-mini.parquet", trained_rows())
    (tmp_path / "docs" / "data").mkdir(parents=True)
    return Study(tmp_path, tmp_path / "zoo", tmp_path / "nowhere")


@pytest.mark.parametrize("experiment", [shipped.held_out_networks, shipped.noise_ceiling, shipped.population])
def test_the_committed_figures_are_what_is_measured(experiment, study, measured):
    """As `make study` finds them: a predictor or a table that changes without a new report fails here."""
    results = read_results(study.results)
    held = {tuple(row[:7]): row for row in results.itertuples(index=False)}
    rows = list(experiment(study))
    assert len(rows) > 7
    for row in rows:
        found = held[row[:7]]
        assert found.value == pytest.approx(row.value, rel=0.005, abs=0.002), row
        assert (found.data_sha, found.artifact_sha) == (row.data_sha, row.artifact_sha)


def test_the_test_split_is_that_of_the_table_and_folds_cover_everything():
    task = Task("mnist-mini", trained_rows(), own=True)
    ((fitting, tested),) = task.parts
    names = np.array(task.networks.table.network_ids)
    assert set(names[tested]) == {row.network_id for row in task.rows if row.split == "test"}
    assert sorted([*fitting, *tested]) == list(range(len(names)))
    folds = Task(task.name, task.rows, own=False).parts
    assert sorted(np.concatenate([tested for _, tested in folds])) == list(range(len(names)))


def test_the_hash_of_a_table_does_not_depend_on_the_order_of_its_rows():
    rows = trained_rows()
    assert Task("t", rows, own=True).data_sha == Task("t", rows[::-1], own=True).data_sha
    assert Task("t", rows, own=True).data_sha != Task("t", rows[1:], own=True).data_sha


def test_the_single_features_are_the_cost_of_a_network():
    rows = trained_rows()
    networks = describe(rows)
    layers = {row.network_id: row.layers for row in rows}
    found = [costs(resolve(layers[name], networks.image)) for name in networks.table.network_ids]
    assert tau(np.array([one.params for one in found]), networks.features[:, PARAMETERS]) > 0.95
    assert tau(np.array([one.flops for one in found]), networks.features[:, FLOPS]) > 0.95


def test_ties_count_for_the_ceiling_but_not_for_the_untied_one(measured):
    tied, untied = ceiling(measured.rows).tau, limits.untied_ceiling(measured.rows)
    assert 0.5 < untied < tied  # the table has networks that never learn under any seed
    learning = limits.trainable(measured.rows)
    assert limits.untied_ceiling(learning) == pytest.approx(ceiling(learning).tau, abs=0.02)


def test_regret_of_random_picks_is_what_drawing_gives():
    rng = np.random.default_rng(0)
    measured = rng.random(30)
    for k in (1, 3, 30):
        drawn = [measured.max() - rng.choice(measured, k, replace=False).max() for _ in range(20_000)]
        assert limits.random_regret(measured, k) == pytest.approx(np.mean(drawn), abs=0.01)


def test_picking_by_the_truth_loses_nothing():
    measured = np.random.default_rng(0).random(40)
    assert shipped.picking(measured, measured) == {"regret_1": 0, "regret_5": 0, "regret_10": 0, "best_found": 1}
    assert limits.regret(measured, -measured, 1) == measured.max() - measured.min()
    assert limits.found_of_best(measured, -measured) == 0


def test_the_interval_of_tau_holds_it_and_narrows():
    rng = np.random.default_rng(0)
    measured = rng.random(400)
    predicted = measured + rng.normal(0, 0.2, 400)
    low, high = limits.tau_interval(measured, predicted)
    assert low < tau(measured, predicted) < high
    few_low, few_high = limits.tau_interval(measured[:40], predicted[:40])
    assert few_high - few_low > 2 * (high - low)


def test_networks_of_another_search_space_are_out_of_distribution(measured):
    wide = {"type": "conv", "kernel_size": 3, "out_channels": 256, "stride": 2}
    end = [{"type": "dropout", "p": 0.5}, {"type": "linear", "out_features": 512}]
    layers = [[wide] * count + end for count in (1, 2, 3)]
    others = [Observation.model_validate({"task": "wide", "layers": one, "accuracy": [0.5]}) for one in layers]
    study = Study(ROOT, ZOO, Path("nowhere"))
    study.__dict__["tasks"] = {"wide": Task("wide", others, own=False), measured.name: measured}
    share = {(row.task, row.method): row.value for row in shipped.other_tasks(study) if row.metric == "share"}
    assert share["wide", "mnist-mini"] == 1
    assert share["mnist-mini", "mnist-mini"] < 0.1


def test_baselines_are_measured_on_the_test_split(tiny, monkeypatch):
    chosen = [one for one in baselines.BASELINES if one.name in {"parameters", "last seen value"}]
    monkeypatch.setattr(baselines, "BASELINES", chosen)
    steps = []
    experiments.measure("baselines", tiny, steps.append)
    assert len(steps) == 4
    results = read_results(tiny.results).query("metric == 'mae'").set_index(["method", "epochs_seen"]).value
    (task,) = tiny.own
    tested = task.networks.rows(task.parts[0][1])
    for seen in (1, 2, 5, 8):
        error = np.abs(tested.final - tested.curves[:, seen - 1]).mean()
        assert results["last seen value", seen] == pytest.approx(error, rel=1e-4)
    assert results["parameters", 0] > results["last seen value", 8]


def test_continuing_curves_is_cross_validated_out_of_fold(tiny, monkeypatch):
    """A baseline that recites the network it was fitted to would be right; out of fold it is not."""

    class Recites:
        def fit(self, curves, features):
            self.known = {row.tobytes(): curve[-1] for row, curve in zip(features, curves, strict=True)}

        def predict(self, seen, features):
            return np.array([self.known.get(row.tobytes(), 0.0) for row in features])

    reciting = baselines.Baseline("recites", lambda networks, seed: Recites(), during=True)
    monkeypatch.setattr(baselines, "BASELINES", (reciting,))
    experiments.measure("during-training", tiny)
    results = read_results(tiny.results)
    assert set(results.epochs_seen) == {1, 2, 5, 8}
    assert results.query("metric == 'mae'").value.min() > 0.3


def test_replayed_searches_are_bounded_by_full_training_and_by_knowing_the_end():
    curves = metaqnn_curves().first(6).measured
    final = np.tile(np.log(curves[:, -1] / (1 - curves[:, -1])), (7, 1))  # as a continuation without error says
    known = early_stopping.Continuations(final, np.zeros((1, 7, 199)), np.zeros(len(curves), dtype=int))
    rules = early_stopping.rules(curves, known, known)
    found = {name: early_stopping.replay(curves, rule, trials=30, orders=2) for name, rule in rules.items()}
    full, bound = found["full training"], found["ends known after one epoch (bound)"]
    assert (full["epochs"], full["speedup"], full["lost_worst"]) == (30 * curves.shape[1], 1, 0)
    assert bound["lost_worst"] == 0
    assert found["Peephole, layers known, 0.95"] == bound
    for name in found.keys() - {"full training"}:
        assert found[name]["epochs"] < full["epochs"], name
    assert found["Optuna median"]["epochs"] > bound["epochs"]


def test_bakers_rule_stops_what_ends_below_the_best():
    final = np.array([[np.nan, np.nan], [2.0, -2.0], [2.0, -2.0]])  # log-odds after 0, 1 and 2 epochs, of two networks
    quantiles = np.tile(np.linspace(-1, 1, 199), (1, 3, 1))
    stop = early_stopping.Continuations(final, quantiles, np.zeros(2, dtype=int)).stop(0.95)
    assert not stop(1, 1, 0.1, 0.0)  # nothing to compare with yet
    assert stop(1, 1, 0.1, 0.5)
    assert not stop(0, 1, 0.1, 0.5)
    assert not stop(1, 2, 0.1, 0.5)  # its last epoch
    curves = np.array([[0.6, 0.9], [0.1, 0.1]])
    assert early_stopping.search(curves, np.array([0, 1]), stop) == (3, 0.9)
    assert early_stopping.search(curves, np.array([1, 0]), stop) == (4, 0.9)


def test_pictures_are_drawn_from_the_committed_figures(tmp_path, study, monkeypatch):
    results = read_results(study.results)
    monkeypatch.setattr(Study, "docs", tmp_path)
    figures.replays(study, results)
    assert (tmp_path / "pictures" / "replay.png").stat().st_size > 10_000
