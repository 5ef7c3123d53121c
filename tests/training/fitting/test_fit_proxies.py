"""Fitting what reads scores: from a table and out-of-fold predictions to files beside the predictor."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from model.artifact import ZOO, ArtifactError, read_artifact
from model.loaded import load_model
from model.proxy_reader import discard_proxies, read_proxy_reader
from model.requests.curves import every_epoch, untrained_curves
from service.inference.warmup import check_predictor, check_proxies
from training.fitting import fit_proxies as fitting
from training.fitting.out_of_fold import read_out_of_fold
from training.observations.observation import Observation, ObservationError
from training.observations.read import read

TASK = "cifar10-mini"


@pytest.fixture(scope="module")
def rows() -> list[Observation]:
    """100 networks of the training split and 50 of the test split."""
    found = list({row.network_id: row for row in read(Path(f"data/{TASK}.parquet"))}.values())
    parts = {split: [row for row in found if row.split == split] for split in ("train", "test")}
    return parts["train"][:100] + parts["test"][:50]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped artifact that reads no scores; few trees are fitted."""
    monkeypatch.setattr(fitting, "TREES", 20)
    copy = shutil.copytree(ZOO / TASK, tmp_path / TASK)
    discard_proxies(copy)
    return copy


def fit(folder: Path, rows: list[Observation]) -> fitting.ProxiesCard:
    model = load_model(read_artifact(folder), weights=False)
    return fitting.fit_proxies(folder, model, rows, read_out_of_fold(folder, model.card)).card


def test_the_card_says_what_it_reads_and_how_well(folder: Path, rows: list[Observation]) -> None:
    """A score that most networks lack is not read; one that few lack is filled in."""
    given = [row.model_copy(update={"proxies": dict(row.proxies or {})}) for row in rows]
    for index, row in enumerate(given):
        (row.proxies or {}).pop("snip" if index % 10 else "swap")
    card = fit(folder, given)
    assert "swap" in card.proxies
    assert "snip" not in card.proxies
    assert card.training["networks"] == 100
    assert card.metrics["held_out"]["networks"] == 50
    assert card.metrics["held_out"]["with_proxies"]["tau"] > 0.6
    model = load_model(read_artifact(folder), weights=False)
    assert model.proxies is not None
    codes = [model.layers.encode(row.layers, model.card.image).codes for row in rows[:3]]
    before = untrained_curves(model, codes, every_epoch(model))
    scored = model.proxies.run(codes, [row.proxies or {} for row in rows[:3]], before)
    assert ((scored.lower <= scored.accuracy) & (scored.accuracy <= scored.upper)).all()
    before = untrained_curves(model, codes[1:2], every_epoch(model))
    alone = model.proxies.run(codes[1:2], [rows[1].proxies or {}], before)
    np.testing.assert_allclose(alone.accuracy, scored.accuracy[1:2], atol=1e-6)


def test_a_reader_of_another_predictor_is_not_served(folder: Path, rows: list[Observation]) -> None:
    fit(folder, rows)
    model = load_model(read_artifact(folder), weights=False)
    assert model.proxies is not None
    curves = check_predictor(model.predictor)
    check_proxies(model.proxies, model.predictor, curves)
    model.proxies.card = model.proxies.card.model_copy(update={"predictor_sha256": "0" * 64})
    with pytest.raises(ArtifactError, match="refit it with `peephole fit-proxies`"):
        check_proxies(model.proxies, model.predictor, curves)


def test_of_many_networks_a_part_gives_the_points(
    folder: Path, rows: list[Observation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is fitted is smaller, and no worse than without scores."""
    monkeypatch.setattr(fitting, "MOST_POINTS", 40)
    figures = fit(folder, rows).metrics["cross_validation"]
    model = load_model(read_artifact(folder), weights=False)
    assert model.proxies is not None
    assert len(model.proxies._fitted.process.points) == 40
    assert figures["with_proxies"]["tau"] > figures["without"]["tau"] - 0.02


def test_too_few_networks_with_scores_are_an_error(folder: Path, rows: list[Observation]) -> None:
    bare = [row.model_copy(update={"proxies": None}) for row in rows[19:]]
    with pytest.raises(ObservationError, match="19 of the predictor's networks have proxies; 20 is the least"):
        fit(folder, rows[:19] + bare)
    assert read_proxy_reader(folder, read_artifact(folder).card) is None


def test_the_committed_tables_have_scores_and_their_networks_stay() -> None:
    """Every row has them, equal for all seeds of a network."""
    for task in ("cifar10-mini", "mnist-mini"):
        found: dict[str, dict[str, float]] = {}
        for row in read(Path(f"data/{task}.parquet")):
            assert row.proxies
            assert found.setdefault(row.network_id, row.proxies) == row.proxies
