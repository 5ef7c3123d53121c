"""A live service whose limits are small, so that populations are split; it has two tasks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import peephole
from model.artifact import ZOO
from tests.service import graphs
from tests.service.live import Live, running

TASK, OTHER = "cifar10-mini", "mnist-mini"
KEY = "a-key"


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    state = str(tmp_path_factory.mktemp("state"))
    limits = {"PEEPHOLE_MAX_ARCHITECTURES": "16", "PEEPHOLE_THREADS": "1", "PEEPHOLE_API_KEYS": KEY}
    models = ":".join(str(ZOO / task) for task in (TASK, OTHER))
    with running(None, PEEPHOLE_MODELS=models, PEEPHOLE_STATE=state, **limits) as live:
        yield live


@pytest.fixture
def client(service: Live) -> Iterator[peephole.Client]:
    with peephole.Client(service.url, key=KEY) as one:
        yield one


@pytest.fixture(scope="session")
def local() -> peephole.Predictor:
    return peephole.load(TASK)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of task `tiny`, a user's own."""
    return graphs.artifact(tmp_path_factory.mktemp("tiny"))
