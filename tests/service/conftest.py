"""Fixtures: a tiny artifact, an application that serves it, a client in the same process."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service import graphs

Serve = Callable[..., TestClient]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of task `tiny` in the extended code."""
    return graphs.artifact(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of task `tiny-paper` in the paper's code."""
    return graphs.artifact(tmp_path_factory.mktemp("paper"), "tiny-paper", code="paper")


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A predictor that takes a noticeable time for every call."""
    return graphs.artifact(tmp_path / "slow", model=graphs.graph(loops=100))


@pytest.fixture
def serve(tiny: Path) -> Iterator[Serve]:
    """Start applications with the settings given; `tiny` alone by default."""
    with ExitStack() as stack:

        def start(*, wait: bool = True, **settings: Any) -> TestClient:
            values: dict[str, Any] = {"models": (tiny,), "shipped": False, "threads": 1}
            app = create_app(Settings(**values | settings))
            client = stack.enter_context(TestClient(app, raise_server_exceptions=False))
            while wait and client.get("/readyz").status_code != 200 and client.get("/livez").status_code == 200:
                sleep(0.01)
            return client

        yield start


@pytest.fixture
def client(serve: Serve) -> TestClient:
    """A client of a service with the tiny predictor."""
    return serve()
