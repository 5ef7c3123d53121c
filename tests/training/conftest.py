"""Fixtures: slices of measured tables, and small artifacts that continue curves or read weights."""

from pathlib import Path

import pytest

from model.continuation import Continuation, read_continuation
from model.weights import WeightsPredictor, read_weights_predictor
from tests.service import graphs
from tests.slices import Curves, continued_artifact, metaqnn_curves, trained_rows
from training.observations.observation import Observation
from training.weights.fit import fit_weights, members_to_fit
from training.weights.members import WeightsConfig

QUICK = WeightsConfig(members=2, passes=15, pretraining_passes=8)


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
    """An artifact of task `tiny` that reads weights; it learnt its own table first, as another task's."""
    folder = graphs.artifact(tmp_path_factory.mktemp("able"))
    steps: list[None] = []
    fit_weights(folder, "tiny", rows, pretraining=[rows], config=QUICK, on_member=lambda: steps.append(None))
    assert len(steps) == members_to_fit(QUICK)
    return folder


@pytest.fixture(scope="session")
def predictor(able: Path) -> WeightsPredictor:
    loaded = read_weights_predictor(able)
    assert loaded is not None
    return loaded
