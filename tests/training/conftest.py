"""Fixtures: slices of measured tables, and small artifacts that continue curves or read weights."""

from pathlib import Path

import pytest

from model.continuation import Continuation, read_continuation
from model.weights import WeightsPredictor, read_weights_predictor
from tests.service import graphs
from tests.slices import Curves, continued_artifact, metaqnn_curves, trained_rows
from training.observations.observation import Observation
from training.weights.fit import fit_weights
from training.weights.members import WeightsRecipe

QUICK = WeightsRecipe(members=2, passes=30, pretraining_passes=10)


@pytest.fixture(scope="session")
def curves() -> Curves:
    return metaqnn_curves()


@pytest.fixture(scope="session")
def continued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return continued_artifact(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def continuation(continued: Path) -> Continuation:
    loaded = read_continuation(continued)
    assert loaded is not None
    return loaded


@pytest.fixture(scope="session")
def rows() -> list[Observation]:
    return trained_rows()


@pytest.fixture(scope="session")
def able(tmp_path_factory: pytest.TempPathFactory, rows: list[Observation]) -> Path:
    """An artifact of task `tiny` with a predictor that reads weights."""
    folder = graphs.artifact(tmp_path_factory.mktemp("able"))
    fit_weights(folder, "tiny", rows, recipe=QUICK)
    return folder


@pytest.fixture(scope="session")
def predictor(able: Path) -> WeightsPredictor:
    loaded = read_weights_predictor(able)
    assert loaded is not None
    return loaded
