"""Settings of all tests."""

import atexit
import os
import shutil
import tempfile
from itertools import count

import pytest

_numbers = count()

# Before PyTorch is imported: on small networks its threads mostly wait for each other, and busily so.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if "PEEPHOLE_STATE" not in os.environ:  # no test stores anything in the home folder
    os.environ["PEEPHOLE_STATE"] = tempfile.mkdtemp(prefix="peephole-state-")
    atexit.register(shutil.rmtree, os.environ["PEEPHOLE_STATE"], ignore_errors=True)


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Stored tasks of one test are not those of another; the folder is made when something is stored."""
    monkeypatch.setenv("PEEPHOLE_STATE", str(tmp_path_factory.getbasetemp() / f"state-{next(_numbers)}"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of single folders; pytest reads options here only."""
    parser.addoption(
        "--pictures", action="store_true", help="tests/web: write the pictures of the page for the documents"
    )
