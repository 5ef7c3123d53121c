"""A client of a service with a predictor that also continues curves and reads weights: a shipped one."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from model.artifact import ZOO
from tests.service.in_process import serving

TASK = "cifar10-mini"
EPOCHS = 10


@pytest.fixture(scope="module")
def mini() -> Iterator[TestClient]:
    with serving(models=(ZOO / TASK,), raise_server_exceptions=False) as client:
        yield client
