"""The other servers predict what the service's predictor predicts; here the one that runs in this environment."""

import numpy as np
import pytest
from fastapi.testclient import TestClient

from benchmarks.measure import accuracies
from benchmarks.workload import Workload, body
from model.artifact import ZOO, read_artifact
from model.runtime import Predictor


@pytest.fixture
def stock(monkeypatch) -> TestClient:
    monkeypatch.setenv("PEEPHOLE_BENCH_MODEL", str(ZOO / "mnist-mini"))
    from benchmarks.rivals.stock import app  # loads the predictor

    return TestClient(app)


def test_the_stock_endpoint_returns_the_predictors_curves(stock):
    artifact = read_artifact(ZOO / "mnist-mini")
    predictor, networks = Predictor(artifact), Workload(artifact.card, 8).take(8)
    epochs = artifact.card.epochs
    response = stock.post("/predict", content=body(networks), headers={"Content-Type": "application/json"})
    assert response.status_code == 200
    for network, curve in zip(networks, accuracies(response.content, epochs), strict=True):
        alone = predictor.run(network.codes[None], np.array([len(network.codes)], dtype=np.int32), range(1, epochs + 1))
        assert curve == pytest.approx(alone.accuracy[0], abs=1e-5)


def test_the_stock_endpoint_validates_layers(stock):
    wrong = {"architectures": [{"layers": [{"type": "conv", "kernel_size": 3}]}]}
    assert stock.post("/predict", json=wrong).status_code == 422
