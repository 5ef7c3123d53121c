"""A service in the tests' own process."""

import time
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service with what ships and no stored tasks, ready."""
    settings = Settings(threads=1, provider="cpu", state=tmp_path_factory.mktemp("state"))
    with TestClient(create_app(settings)) as client:
        while client.get("/readyz").status_code != 200:
            assert client.get("/livez").status_code == 200
            time.sleep(0.01)
        yield client
