"""The study: what a refresh keeps, what the page says, and that the figures mean what their names say."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from model.artifact import ZOO
from model.network.shapes import cost
from training.baselines import peephole_lstm
from training.baselines.one_feature import FLOPS, PARAMETERS
from training.fitting.fit_peephole import PeepholeRecipe, fit_peephole
from training.metrics import ceiling, tau
from training.observations.observation import split_of
from training.observations.read import read, write_parquet
from training.study import limits, structure
from training.study.kept import Kept
from training.study.networks import Task, describe, tasks_in
from training.study.page import END, Places, write_report
from training.study.refresh import refresh
from training.study.rivals import rivals
from training.study.shipped import foreign, load, trainable

ROOT = Path(__file__).parents[3]
README = "# Mine\n<!-- predictors, written by make study -->\nold\n<!-- end of predictors -->\nrest\n"


@pytest.fixture(scope="module")
def rows():
    return read(ROOT / "data" / "mnist-mini.parquet")


@pytest.fixture(scope="module")
def some(rows):
    """Thirty-six networks of the committed table, all of their seeds."""
    return Task("mnist-mini", [row for row in rows if row.network_id in {one.network_id for one in rows[:36]}], True)


@pytest.fixture(scope="module")
def plain(some):
    networks = describe(some.rows)
    table = peephole_lstm.as_table(networks.codes, networks.curves)
    return networks, fit_peephole(table, networks.code, PeepholeRecipe(passes=2))


def test_the_single_features_are_the_cost_of_a_network(some):
    networks = describe(some.rows)
    layers = {row.network_id: row.layers for row in some.rows}
    costs = np.array([cost(layers[name], networks.image) for name in networks.table.network_ids])
    assert tau(costs[:, 0], networks.features[:, PARAMETERS]) > 0.95
    assert tau(costs[:, 1], networks.features[:, FLOPS]) > 0.95


def test_the_test_split_is_by_hash_and_folds_cover_everything(some):
    networks = describe(some.rows)
    ((fitting, asked),) = some.parts(networks)
    names = networks.table.network_ids
    assert all(split_of(names[index]) == "test" for index in asked)
    assert all(split_of(names[index]) == "train" for index in fitting)
    folds = Task(some.name, some.rows, own=False).parts(networks)
    assert sorted(np.concatenate([asked for _, asked in folds])) == list(range(len(networks)))


def test_ties_count_for_the_ceiling_but_not_for_the_untied_one(rows):
    tied, untied = ceiling(rows).tau, limits.untied_ceiling(rows)
    assert 0.5 < untied < tied  # the table has networks that never learn under any seed
    learning = trainable(rows)
    assert limits.untied_ceiling(learning) == pytest.approx(ceiling(learning).tau, abs=0.02)


def test_regret_of_random_picks_is_what_drawing_gives():
    rng = np.random.default_rng(0)
    measured = rng.random(30)
    for k in (1, 3, 30):
        drawn = [measured.max() - rng.choice(measured, k, replace=False).max() for _ in range(20_000)]
        assert limits.random_regret(measured, k) == pytest.approx(np.mean(drawn), abs=0.01)


def test_picking_by_the_truth_loses_nothing():
    measured = np.random.default_rng(0).random(40)
    assert limits.regret(measured, measured, 1) == 0
    assert limits.found_of_best(measured, measured) == 1
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


def test_cell_responses_are_those_of_the_lstm(plain):
    networks, predictor = plain
    responses = structure.cell_responses(predictor, networks.codes[:1])
    length = int(networks.table.lengths[0])
    embedded = predictor.peephole.layers(torch.from_numpy(networks.codes[:1, :length]))
    with torch.no_grad():
        _, (_, memory) = predictor.peephole.lstm.lstm(embedded)
    np.testing.assert_allclose(responses[0, length - 1], np.tanh(memory[0, 0].numpy()), atol=1e-6)


def test_a_cell_that_rises_at_convolutions_is_found():
    rng = np.random.default_rng(0)
    is_conv = rng.random((5, 20)) < 0.4
    responses = np.cumsum(rng.normal(0, 0.1, (5, 20, 8)), axis=1)
    responses[:, :, 3] = np.cumsum(np.where(is_conv, 0.1, -0.05), axis=1)
    assert structure.convolution_cell(responses, is_conv, np.ones_like(is_conv)) == 3


def test_networks_of_another_search_space_are_unfamiliar(rows):
    predictor = load(ZOO, "mnist-mini")
    own = foreign(predictor, [row for row in rows if row.split == "test"])
    wide = [
        {"type": "conv", "kernel_size": 3, "out_channels": 256, "stride": 2},
        {"type": "dropout", "p": 0.5},
        {"type": "linear", "out_features": 512},
    ]
    others = [rows[0].model_validate({"task": "other", "layers": wide * n, "accuracy": [0.5]}) for n in range(1, 4)]
    assert foreign(predictor, others).unfamiliar == 1
    assert own.unfamiliar < 0.1


def test_kept_sections_know_what_they_are_of(tmp_path):
    kept = Kept(tmp_path, "t")
    kept.put("rivals/a 25%", "x" * 64, {"tau": 0.5})
    kept.put("rivals/b", "y" * 64, {"tau": 0.6})
    again = Kept(tmp_path, "t")
    assert again.starting("rivals/") == {"a 25%": {"tau": 0.5}, "b": {"tau": 0.6}}
    assert again.fresh("rivals/b", "y" * 64)
    assert again.old("rivals/", "y" * 64) == ["rivals/a 25%"]
    assert again.get("c") is None


@pytest.fixture
def places(tmp_path, some):
    """A project in a folder: 36 measured networks, no predictor yet."""
    write_parquet(tmp_path / "data" / "mnist-mini.parquet", some.rows)
    (tmp_path / "docs" / "data").mkdir(parents=True)
    (tmp_path / "docs" / "results.md").write_text(f"of an earlier report\n{END}\n## Notes\n")
    (tmp_path / "zoo").mkdir()
    (tmp_path / "README.md").write_text(README)
    docs = tmp_path / "docs"
    return Places(tmp_path / "data", tmp_path / "zoo", docs / "data" / "study", docs, tmp_path / "README.md")


def test_a_refresh_goes_on_where_it_was_and_the_page_shows_it(places, some, monkeypatch):
    monkeypatch.setattr(peephole_lstm, "PeepholeRecipe", partial(PeepholeRecipe, passes=1))
    without_lc_net = [rival for rival in rivals() if "LC-Net" not in rival.name]
    monkeypatch.setattr("training.study.refresh.rivals", lambda: without_lc_net)
    ablation = [{"step": "without all", "tau": 0.61, "r2": 0.5, "mse": 0.01}]
    monkeypatch.setattr("training.study.refresh.ablate", lambda learning, everything, pretraining, on_step: ablation)
    tasks = tasks_in(places.data, own=True)
    steps = []
    refresh(tasks, [], places.zoo, places.kept, on_step=steps.append)
    assert len(steps) == len(without_lc_net) + 2  # what is left as it was, and that no predictor ships
    steps.clear()
    refresh(tasks, [], places.zoo, places.kept, on_step=steps.append)
    assert len(steps) == 2
    said = []
    write_report(tasks, places, said.append)
    assert said == ["mnist-mini: no predictor in the zoo yet; its figures are left out"]
    page = (places.docs / "results.md").read_text()
    for text in ("0.5036", "0.3489", "| without all | 0.61 |", "ν-SVR (Baker et al.) | 25 %", "## Notes"):
        assert text in page
    assert "of an earlier report" not in page
    for name in ("scatter", "cells", "tsne"):
        assert f"](pictures/study-{name}-mnist-mini.svg)" in page
        assert (places.docs / "pictures" / f"study-{name}-mnist-mini.svg").stat().st_size > 5000
    svr = Kept(places.kept, "mnist-mini").get("rivals/ν-SVR (Baker et al.) 50%")
    networks = describe(some.rows)
    measured = dict(zip(networks.table.network_ids, networks.final, strict=True))
    assert set(svr["predicted"]) == {name for name in measured if split_of(name) == "test"}
    names = list(svr["predicted"])
    again = tau(np.array([measured[name] for name in names]), np.array(list(svr["predicted"].values())))
    assert again == pytest.approx(svr["runs"][0]["tau"], abs=0.02)


def test_figures_of_an_older_table_are_called_old(places):
    tasks = tasks_in(places.data, own=True)
    Kept(places.kept, "mnist-mini").put(
        "rivals/parameters", "0" * 64, {"seen": 0, "runs": [{"tau": 0, "r2": 0, "mse": 1}]}
    )
    said = []
    write_report(tasks, places, said.append)
    assert any("older table" in line for line in said)


def test_the_page_of_this_repository_from_what_is_committed(tmp_path):
    """As `make study` does in a clean clone: no images, no public tables, nothing fitted."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (tmp_path / "README.md").write_text(README)
    kept = ROOT / "docs" / "data" / "study"
    write_report(tasks_in(ROOT / "data", own=True), Places(ROOT / "data", ZOO, kept, docs, tmp_path / "README.md"))
    page = (docs / "results.md").read_text()
    for heading in ("Table 2", "noise ceiling", "Tables 3 and 4", "Intervals", "Figure 5", "Transfer", "Unfamiliar"):
        assert heading in page
    for picture in docs.glob("pictures/*.svg"):
        assert f"](pictures/{picture.name})" in page
    assert "| `mnist-mini` |" in (tmp_path / "README.md").read_text()
