"""The rules of the service's house: the framework serves HTTP, and nothing that is for training is loaded."""

import ast
import signal
from pathlib import Path

import httpx2
import pytest

from tests.service.live import ROOT, running
from tests.service.requests import pair

FILES = sorted((ROOT / "service").rglob("*.py"))
TRANSPORT = ("uvicorn.protocols", "httptools", "h11", "selectors", "socket")
OFFLINE = {"torch", "training", "pandas", "sklearn", "pyarrow", "onnx", "matplotlib", "ray", "cli", "peephole", "tests"}


def imported(tree: ast.AST) -> set[str]:
    """Return the dotted names that a file imports."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_file_has_a_transport_of_its_own(file: Path) -> None:
    """No parser, no socket, no protocol class: FastAPI and uvicorn serve HTTP as they come."""
    tree = ast.parse(file.read_text())
    found = {name for name in imported(tree) if any(name == one or name.startswith(f"{one}.") for one in TRANSPORT)}
    assert not found
    bases = [ast.unparse(base) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases]
    assert not [base for base in bases if base.endswith("Protocol")]


def test_a_serving_process_has_loaded_nothing_for_training(tiny: Path) -> None:
    """Seen in the process itself, with what ships, after requests to every kind of route."""
    tell = "import atexit; atexit.register(lambda: print('MODULES', *sys.modules))"
    with running(tiny, before=tell, PEEPHOLE_SHIPPED="true") as live:
        assert httpx2.post(live.url + "/predict", json=pair() | {"task": "tiny"}).status_code == 200
        for path in ("/docs", "/openapi.json", "/tasks", "/info", "/metrics", "/v2/models/tiny"):
            assert live.status_of(path) == 200, path
        live.signal(signal.SIGTERM)
        _, output = live.wait(20)
    modules = {name.partition(".")[0] for name in output.partition("MODULES")[2].split()}
    assert {"service", "model", "onnxruntime"} <= modules
    assert not modules & OFFLINE
