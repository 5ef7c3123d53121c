"""A service with predictors that read zero-cost scores, and real images for its child process."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from model.artifact import ZOO
from tests.service.live import Live, running
from training.measuring.datasets import DataNotFoundError, read

QUEUE = 3
Layers = list[dict[str, Any]]


@pytest.fixture(scope="session")
def images() -> None:
    try:
        read("cifar10", "train")
    except DataNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def start(images: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Return what starts a process that serves `cifar10-mini`."""
    state = str(tmp_path_factory.mktemp("state"))
    return lambda **env: running(
        None, PEEPHOLE_MODELS=str(ZOO / "cifar10-mini"), PEEPHOLE_STATE=state, PEEPHOLE_PROVIDER="cpu", **env
    )


@pytest.fixture(scope="module")
def computing(start: Callable[..., Any]) -> Iterator[Live]:
    with start(PEEPHOLE_MAX_PROXY_QUEUE=str(QUEUE)) as live:
        yield live


def network(width: int, *, deep: int = 1) -> Layers:
    """Return a network; another width makes another one."""
    block = [{"type": "conv", "kernel_size": 3, "out_channels": width}, {"type": "batch_norm"}, {"type": "relu"}]
    return block * deep


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            found += [int(folder.name)] if parent == pid else []
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but is not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def child_of(live: Live) -> int:
    """Return the child process of a service; it has one at most."""
    (pid,) = children(live.process.pid)
    assert pid != os.getpid()
    return pid
