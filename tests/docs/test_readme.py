"""The README is short, and its request gives its response."""

import json

import pytest

from tests.docs.pages import code_blocks, read

README = read("README.md")
TOLERANCE = 1e-4  # processors round differently


def test_it_has_at_most_120_lines():
    assert len(README.splitlines()) <= 120


def test_its_request_gives_its_response(client):
    (command,) = [block for block in code_blocks(README, "sh") if block.startswith("curl ")]
    (printed,) = [json.loads(block) for block in code_blocks(README, "json")]
    response = client.post("/predict", json=json.loads(command.split("-d '")[1].rsplit("'", 1)[0]))
    returned = response.json()
    assert response.status_code == 200
    assert returned.keys() == printed.keys()
    assert returned["epochs"] == printed["epochs"]
    assert returned["model"]["task"] == printed["model"]["task"]
    assert returned["model"]["version"] == printed["model"]["version"]
    assert returned["model"]["sha256"].startswith(printed["model"]["sha256"].removesuffix("..."))
    for mine, shown in zip(returned["predictions"], printed["predictions"], strict=True):
        assert mine.keys() == shown.keys()
        for name, value in shown.items():
            is_number = name in {"accuracy", "lower", "upper", "final_accuracy", "distance"}
            assert mine[name] == (pytest.approx(value, abs=TOLERANCE) if is_number else value), name


def test_every_shipped_task_is_in_its_table(client):
    table = README.split("<!-- predictors")[1].split("<!-- end of predictors")[0]
    assert [task for task in (one["task"] for one in client.get("/tasks").json()) if f"`{task}`" not in table] == []
