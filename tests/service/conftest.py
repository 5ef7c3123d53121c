"""Fixtures: a tiny artifact, an application that serves it, a client in the same process."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.service import graphs
from tests.service.in_process import serving
from tests.service.live import Live, running

Serve = Callable[..., TestClient]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of task `tiny` in the extended code."""
    return graphs.artifact(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of task `tiny-paper` in the paper's code."""
    return graphs.artifact(tmp_path_factory.mktemp("paper"), "tiny-paper", code="paper")


@pytest.fixture(scope="session")
def live(tiny: Path) -> Iterator[Live]:
    """A process that serves `tiny` with the default limits; every test leaves it healthy."""
    with running(tiny) as process:
        yield process


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A predictor that takes a noticeable time for every call."""
    return graphs.artifact(tmp_path / "slow", model=graphs.graph(loops=100))


@pytest.fixture
def serve(tiny: Path) -> Iterator[Serve]:
    """Start applications with the settings given; `tiny` alone by default."""
    with ExitStack() as stack:

        def start(*, wait: bool = True, **settings: Any) -> TestClient:
            values: dict[str, Any] = {"models": (tiny,)} | settings
            return stack.enter_context(serving(wait=wait, raise_server_exceptions=False, **values))

        yield start


@pytest.fixture
def client(serve: Serve) -> TestClient:
    """A client of a service with the tiny predictor."""
    return serve()
