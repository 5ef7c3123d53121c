"""Fixtures: a slice of published learning curves, and a service that continues curves."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import sleep

import numpy as np
import pytest
from starlette.testclient import TestClient

from model.artifact import read_artifact
from model.continuation import Continuation, read_continuation
from service.app import create_app
from service.settings import Settings
from tests.service import graphs
from training.during.fit import fit_continuation

SLICE = Path(__file__).parent / "data" / "metaqnn-cifar10.npz"


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
    with TestClient(create_app(Settings(models=(folder,), shipped=False, threads=1))) as client:
        while client.get("/readyz").status_code != 200 and client.get("/livez").status_code == 200:
            sleep(0.01)
        yield client
