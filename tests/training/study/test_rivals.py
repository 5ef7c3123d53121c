"""The experiment that sets rivals beside Peephole: same networks for all, nothing measured twice, a table to read."""

from pathlib import Path

import numpy as np
import pytest

from model.artifact import ZOO
from model.network.notations.nb201 import nasbench201
from model.network.shapes import Shape
from tests.slices import trained_rows
from training.metrics import tau
from training.observations.read import write_parquet
from training.study import experiments, rivals
from training.study.networks import Study
from training.study.proxies import Published
from training.study.results import read_results
from training.study.tables import TABLES, render

TASK = "mnist-mini"


@pytest.fixture
def study(tmp_path, monkeypatch) -> Study:
    """60 measured networks; fits to 10 and 20 of them."""
    monkeypatch.setattr(rivals, "SIZES", (10, 20))
    write_parquet(tmp_path / "data" / f"{TASK}.parquet", trained_rows())
    (tmp_path / "docs" / "data").mkdir(parents=True)
    return Study(tmp_path, ZOO, tmp_path / "nowhere")


def test_every_method_gets_the_same_networks_and_is_measured_once(study, monkeypatch):
    ((fitting, tested),) = study.tasks[TASK].parts
    final = study.tasks[TASK].networks.final
    given: dict[str, list[tuple]] = {"one": [], "other": []}

    def method(name):
        def predict(chosen, asked, seed):
            given[name].append((tuple(chosen), seed))
            assert set(chosen) <= set(fitting)
            assert set(asked) == set(tested)
            found = np.where(np.arange(len(asked)) < 3, np.nan, final[asked])
            return found if seed else -found

        return predict

    monkeypatch.setattr(rivals, "_own", lambda task, study: {name: method(name) for name in ("one", "other")})
    steps: list[str] = []
    for _ in range(2):
        experiments.measure("rivals", study, steps.append)
    assert steps == [f"rivals, {TASK}, one", f"rivals, {TASK}, other"]
    assert given["one"] == given["other"]
    assert len(set(given["one"])) == 2 * rivals.DRAWS
    results = read_results(study.results)
    assert set(results[results.metric == "tested_on"].value) == {len(tested) - 3}
    known = results.query("method == 'one' and networks == 10 and metric == 'tau'").set_index("seed").value
    best = tau(final[tested][3:], final[tested][3:])
    assert known.to_list() == pytest.approx([-best, best, best], abs=1e-4)
    lines = render(results, TABLES[f"rivals {TASK}"]).splitlines()
    assert lines[0] == "| method | 10 | 20 |"
    deviation = np.std([-best, best, best], ddof=1)
    assert lines[2] == f"| one | {best / 3:.3f} ± {deviation:.3f} | {best / 3:.3f} ± {deviation:.3f} |"


def test_scores_reach_the_methods_that_read_them(study):
    """A score that gives the accuracy away makes the forest with scores, and SWAP, right; the forest without is not."""
    rows = study.tasks[TASK].rows
    rows[:] = [row.model_copy(update={"proxies": {"swap": row.accuracy[-1]}}) for row in rows]
    final = study.tasks[TASK].networks.final
    methods = rivals._own(study.tasks[TASK], study)
    chosen, tested = rivals._draw(study.tasks[TASK], 20, 0)
    found = {
        name: tau(final[tested], methods[name](chosen, tested, 0))
        for name in methods
        if "alone" in name or "forest" in name
    }
    assert found["SWAP alone"] > 0.95  # the accuracy of one seed
    assert found["random forest (GRAF-like), with scores"] > found["random forest (GRAF-like)"] + 0.2


def test_published_networks_that_compute_the_same_are_not_predicted():
    groups = np.arange(40) // 4
    space = Published([["none"] * 6] * 40, np.zeros((40, 1)), [{}] * 40, np.zeros(40), groups)
    chosen, tested = space.draw(5, 0)
    assert len(chosen) == 5
    assert not set(groups[chosen]) & set(groups[tested])
    assert len(tested) == 40 - 4 * len(set(groups[chosen]))


def test_swap_counts_the_patterns_of_a_cell(monkeypatch):
    """A network with more convolutions that read ReLUs has more patterns."""
    image = Shape(3, 8, 8)
    monkeypatch.setattr(rivals, "_images", lambda: rivals.torch.randn(16, 3, 8, 8))
    skips = nasbench201(["skip_connect"] * 6, cells=1)
    convolutions = nasbench201(["nor_conv_3x3"] * 6, cells=1)
    assert 0 < rivals._swap(skips, image) < rivals._swap(convolutions, image)


def test_the_committed_methods_were_measured_on_the_same_draws():
    """Each method of a task has a figure at every size of every draw, so that rows of a table compare."""
    results = read_results(Path(__file__).parents[3] / "docs" / "data" / "results.csv").query("experiment == 'rivals'")
    assert set(results.task) == {"cifar10-mini", "mnist-mini", "nasbench201-cifar10"}
    for (task, method), found in results.query("metric == 'tau'").groupby(["task", "method"]):
        draws = sorted(zip(found.networks, found.seed, strict=True))
        assert draws == [(size, seed) for size in rivals.SIZES for seed in range(rivals.DRAWS)], (task, method)
