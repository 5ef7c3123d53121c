"""Fixtures: slices of measured tables, a service that continues curves, and what reads weights."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from model.artifact import read_artifact
from model.continuation import Continuation, read_continuation
from model.weights import WeightsPredictor, read_weights_predictor
from tests.service import graphs
from tests.service.in_process import serving
from training.during.fit import fit_continuation
from training.during.fit_weights import fit_weights
from training.during.weights_members import WeightsRecipe
from training.observations import Observation

SLICE = Path(__file__).parent / "data" / "metaqnn-cifar10.npz"
WEIGHTS_SLICE = SLICE.with_name("mnist-mini.jsonl.gz")
QUICK = WeightsRecipe(members=2, passes=30, pretraining_passes=10)


@dataclass(frozen=True)
class Curves:
    """120 networks of the MetaQNN CIFAR-10 table: curves [120, 20], what was predicted before training, folds."""

    measured: np.ndarray
    prior: np.ndarray
    fold: np.ndarray

    def first(self, epochs: int) -> "Curves":
        return Curves(self.measured[:, :epochs], self.prior[:, :epochs], self.fold)


@pytest.fixture(scope="session")
def curves() -> Curves:
    data = np.load(SLICE)
    return Curves(data["curves"].astype(float), data["prior"].astype(float), data["fold"].astype(np.intp))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, curves: Curves) -> Path:
    """An artifact of task `tiny`, and a continuation fitted to the first five epochs of real curves."""
    folder = graphs.artifact(tmp_path_factory.mktemp("tiny"))
    some = curves.first(graphs.EPOCHS)
    fit_continuation(folder, read_artifact(folder).card, some.measured, some.prior, some.fold)
    return folder


@pytest.fixture(scope="session")
def continuation(folder: Path) -> Continuation:
    loaded = read_continuation(folder)
    assert loaded is not None
    return loaded


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with serving(models=(folder,)) as client:
        yield client


@pytest.fixture(scope="session")
def rows() -> list[Observation]:
    """60 networks of mnist-mini that were really trained, with the statistics of their weights."""
    return [Observation.model_validate_json(line) for line in gzip.decompress(WEIGHTS_SLICE.read_bytes()).splitlines()]


@pytest.fixture(scope="session")
def able(tmp_path_factory: pytest.TempPathFactory, rows: list[Observation]) -> Path:
    folder = graphs.artifact(tmp_path_factory.mktemp("able"))
    fit_weights(folder, "tiny", rows, recipe=QUICK)
    return folder


@pytest.fixture(scope="session")
def predictor(able: Path) -> WeightsPredictor:
    loaded = read_weights_predictor(able)
    assert loaded is not None
    return loaded
