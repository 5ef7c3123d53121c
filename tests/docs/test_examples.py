"""Code of the documents is the code of examples/, compiles, and imports what there is."""

import ast
import importlib
import io
import json
import runpy
import sys

import pytest

from tests.docs.pages import PAGES, ROOT, code_blocks, read

SCRIPT = ROOT / "examples/rank.py"
OWN = ("adapters", "cli", "model", "service", "training")
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(code_blocks(page.read_text(), "python"))
]


def test_the_quick_start_shows_the_script():
    code = SCRIPT.read_text().split('"""')[2].strip()
    assert code in [block.strip() for block in code_blocks(read("docs/quickstart.md"), "python")]


def test_the_script_ranks_networks(client, monkeypatch, capsys):
    def urlopen(request):
        response = client.post(request.selector, content=request.data, headers=dict(request.header_items()))
        assert response.status_code == 200
        return io.BytesIO(response.content)

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT)])
    runpy.run_path(str(SCRIPT))
    first, *best = capsys.readouterr().out.splitlines()[-6:]  # log lines come before
    assert first.endswith("of 200 resemble the training set; the best of them:")
    accuracies = [float(line.split()[1]) for line in best]
    assert len(best) == 5
    assert accuracies == sorted(accuracies, reverse=True)


@pytest.mark.parametrize("block", BLOCKS)
def test_python_code_imports_what_there_is(block):
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in OWN:
            if node.module == "adapters.ray_stopper":
                pytest.importorskip("ray.tune", reason="Ray is not installed")
            module = importlib.import_module(str(node.module))
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []


def test_json_examples_of_the_api_are_json():
    for page in PAGES:
        for block in code_blocks(page.read_text(), "json"):
            json.loads(block)
