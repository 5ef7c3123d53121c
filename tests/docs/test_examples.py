"""Code of the documents runs: the script is that of examples/, imports exist, requests are answered as printed."""

import ast
import importlib
import io
import json
import re
import runpy
import sys

import pytest

from model.artifact import TaskDescription
from tests.docs.pages import PAGES, ROOT, code_blocks, read

SCRIPT = ROOT / "examples/rank.py"
CURL = re.compile(r"curl -s http://127\.0\.0\.1:8000(/\w+)[^\n]* -d '(.*?)'(?=\n)", re.DOTALL)
OWN = ("cli", "model", "peephole", "service", "training")
ADAPTED = {"peephole.adapters.ray": "ray.tune", "peephole.adapters.syne_tune": "syne_tune"}
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
            tuner = ADAPTED.get(str(node.module))
            if tuner is not None:
                pytest.importorskip(tuner, reason=f"{tuner} is not installed")
            module = importlib.import_module(str(node.module))
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []


def test_requests_of_the_documents_are_answered(client):
    """Every `curl ... -d '...'` to a route of the service, for the tasks that ship."""
    shipped = {one["task"] for one in client.get("/tasks").json()}
    commands = [match for page in PAGES for match in CURL.findall(page.read_text())]
    bodies = [(route, json.loads(body)) for route, body in commands]
    answered = [client.post(route, json=body).status_code for route, body in bodies if body["task"] in shipped]
    assert len(answered) >= 3
    assert set(answered) == {200}


def test_the_error_of_the_api_page_is_the_service_s(client):
    network, request, problem = (json.loads(block) for block in code_blocks(read("docs/api.md"), "json"))
    of_network = {"task": "cifar10-mini", "architectures": [{"layers": network}]}
    for body in (request, of_network):
        assert client.post("/predict", json=body).status_code == 200
    conv = {"type": "conv", "kernel_size": 3, "out_channels": 8, "name": "a"}
    layers = [conv, {"type": "max_pool", "kernel_size": 2, "name": "b"}, {"type": "add", "inputs": ["b", "a"]}]
    returned = client.post("/predict", json={"task": "mnist-mini", "architectures": [{"layers": layers}]}).json()
    assert returned | {"request_id": problem["request_id"]} == problem


def test_the_description_of_a_task_is_one():
    (block,) = code_blocks(read("docs/bring-your-own.md"), "json")
    TaskDescription.model_validate(json.loads(block)["about"])
