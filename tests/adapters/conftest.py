"""Fixtures: an artifact that continues curves, and a service with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.service.in_process import serving
from tests.slices import Curves, continued_artifact, metaqnn_curves


@pytest.fixture(scope="session")
def curves() -> Curves:
    return metaqnn_curves()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return continued_artifact(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with serving(models=(folder,)) as client:
        yield client
