"""The table of figures: one row a figure, written in place of older ones; the pages show what it holds."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model.artifact import ZOO
from training.study import shipped
from training.study.experiments import outdated
from training.study.networks import Study, Task
from training.study.results import (
    KEY,
    Row,
    read_results,
    record,
    rows_of,
)
from training.study.tables import TABLES, Table, fill, render

ROOT = Path(__file__).parents[3]
PAGES = (ROOT / "docs" / "results.md", ROOT / "README.md")


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    return read_results(Study(ROOT, ZOO, Path("nowhere")).results)


def test_a_figure_has_one_row(results):
    assert list(results.columns) == list(Row._fields)
    assert not results.duplicated(KEY).any()
    assert np.isfinite(results.value).all()
    for column in ("data_sha", "artifact_sha"):
        assert results[column].str.fullmatch("[0-9a-f]*").all()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pages_show_what_the_table_holds(page, tmp_path, results):
    copy = tmp_path / page.name
    copy.write_text(page.read_text())
    fill(copy, results)
    assert copy.read_text() == page.read_text(), "run `make study`"


def test_every_table_is_shown_once():
    marked = [name for page in PAGES for name in re.findall("<!-- table: (.*) -->", page.read_text())]
    assert sorted(marked) == sorted(TABLES)


def test_a_page_that_marks_an_unknown_table_is_rejected(tmp_path, results):
    page = tmp_path / "page.md"
    page.write_text("<!-- table: of elves -->\n<!-- end -->\n")
    with pytest.raises(KeyError, match="of elves"):
        fill(page, results)


def test_the_cards_of_the_shipped_predictors_are_in_the_table(results):
    keyed = results.set_index(KEY)
    rows = list(shipped.cross_validation(Study(ROOT, ZOO, Path("nowhere"))))
    assert {row.task for row in rows} == {card.parent.name for card in ZOO.glob("*/card.json")}
    for row in rows:
        held = keyed.loc[row[: len(KEY)]]
        assert (held.value, held.artifact_sha) == (pytest.approx(row.value), row.artifact_sha)


def test_recording_replaces_the_rows_of_a_method_and_sorts(tmp_path):
    path = tmp_path / "results.csv"
    record(path, rows_of("e", "t", "b", {"tau": 0.123456789, "r2": None}, seed=1))
    record(path, rows_of("e", "t", "a", {"tau": 0.5, "mse": 131072}, networks=3, data_sha="0123"))
    first = path.read_text()
    record(path, rows_of("e", "t", "a", {"tau": 0.5, "mse": 131072}, networks=3, data_sha="0123"))
    assert path.read_text() == first
    assert first.splitlines()[1:] == [
        "e,t,a,0,3,0,mse,131072,0123,",
        "e,t,a,0,3,0,tau,0.5,0123,",
        "e,t,b,0,0,1,tau,0.12346,,",
    ]
    record(path, rows_of("e", "t", "b", {"tau": 0.2}))
    assert read_results(path).value.to_list() == [131072, 0.5, 0.2]


def test_a_table_averages_seeds_sorts_and_leaves_out_what_was_not_measured(tmp_path):
    path = tmp_path / "results.csv"
    seeds = (rows_of("e", "t", "two seeds", {"tau": value}, seed=seed) for seed, value in enumerate((0.5, 0.6)))
    record(path, [row for rows in seeds for row in rows])
    record(path, rows_of("e", "t", "better", {"tau": 0.7, "r2": 0.25}))
    record(path, rows_of("e", "u", "better", {"tau": 0.1}))
    whole = render(read_results(path), Table("e", "task method tau r2"))
    assert whole.splitlines()[2:] == [
        "| t | better | 0.700 | 0.250 |",
        "| t | two seeds | 0.550 |  |",
        "| u | better | 0.100 |  |",
    ]
    across = render(read_results(path), Table("e", "method tau", across="task"))
    assert across.splitlines() == [
        "| method | t | u |",
        "| --- | --- | --- |",
        "| better | 0.700 | 0.100 |",
        "| two seeds | 0.550 |  |",
    ]


def test_figures_of_an_older_table_or_predictor_are_named(tmp_path, monkeypatch):
    study = Study(tmp_path, ZOO, Path("nowhere"))
    (tmp_path / "docs" / "data").mkdir(parents=True)
    monkeypatch.setattr(Study, "tasks", {"t": Task("t", [], own=True)})
    now = study.tasks["t"].data_sha
    record(study.results, rows_of("new", "t", "m", {"tau": 1}, data_sha=now))
    record(study.results, rows_of("older table", "t", "m", {"tau": 1}, data_sha="0" * 12))
    record(study.results, rows_of("older predictor", "t", "m", {"tau": 1}, data_sha=now, artifact_sha="0" * 8))
    record(study.results, rows_of("not at hand", "u", "m", {"tau": 1}, data_sha="0" * 12))
    assert outdated(study) == ["older predictor of t", "older table of t"]
