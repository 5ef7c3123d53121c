"""Real curves, a predictor that continues them, and a log of its questions."""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import peephole
from tests.slices import metaqnn_curves

TASK, EPOCHS = "metaqnn-cifar10", 20
LAYERS = [{"type": "conv", "kernel_size": 3, "out_channels": 64}, {"type": "relu"}]


class Asked(peephole.Predictor):
    """Passes on, and keeps what was asked."""

    def __init__(self, predictor: peephole.Predictor) -> None:
        self.predictor = predictor
        self.asked: list[Any] = []

    def stop(self, runs: Any, **options: Any) -> Any:
        self.asked.append((runs, options))
        return self.predictor.stop(runs, **options)

    def _send(self, call: Any) -> Any:
        return self.predictor._send(call)


@pytest.fixture(scope="session")
def predictor() -> peephole.Predictor:
    return peephole.load(TASK)


@pytest.fixture
def asked(predictor: peephole.Predictor) -> Asked:
    return Asked(predictor)


@pytest.fixture(scope="session")
def curves() -> np.ndarray:
    """40 networks, 20 epochs each."""
    return metaqnn_curves().measured[:40]


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What the adapters warn of."""
    found: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    handler, log = Handler(), logging.getLogger("peephole.adapters")
    log.addHandler(handler)
    yield found
    log.removeHandler(handler)
