"""The command line does what its help says, and bad input ends in one clear line."""

import json
import os
import subprocess
import sys

import pytest

from model.artifact import shipped

TASK = "mnist-mini"


def peephole(*arguments, stdin=None):
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )


@pytest.fixture(scope="module")
def sampled():
    found = peephole("sample", "--protocol", "mnist-mini", "-n", "3")
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_sampled_networks_are_predicted_and_ranked(sampled):
    found = peephole("predict", "-", "--task", TASK, "--json", stdin=sampled)
    assert found.returncode == 0, found.stderr
    answer = json.loads(found.stdout)
    assert sorted(one["rank"] for one in answer["predictions"]) == [1, 2, 3]
    best = min(answer["predictions"], key=lambda one: one["rank"])
    assert best["final_accuracy"] == max(one["accuracy"][-1] for one in answer["predictions"])
    assert [one["id"] for one in answer["predictions"]] == [one["id"] for one in json.loads(sampled)["architectures"]]


def test_codes_of_encode_have_the_columns_it_names(sampled):
    answer = json.loads(peephole("encode", "-", "--task", TASK, stdin=sampled).stdout)
    assert answer["columns"][:4] == ["type", "kernel_width", "kernel_height", "channel_ratio"]
    for one, network in zip(answer["architectures"], json.loads(sampled)["architectures"], strict=True):
        assert len(one["codes"]) == len(network["layers"])
        assert {len(row) for row in one["codes"]} == {len(answer["columns"])}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ('{"layers": []}', "/0/layers"),
        ('{"layers": [{"type": "gelu"}]}', "/0/layers/0"),
        (
            '{"layers": [{"type": "conv", "kernel_size": 50, "out_channels": 8}]}',
            "/architectures/0/layers/0/kernel_size",
        ),
    ],
)
def test_bad_input_ends_in_one_line(content, message):
    found = peephole("predict", "-", "--task", TASK, stdin=content)
    assert found.returncode == 1
    assert message in found.stderr
    assert found.stderr.count("\n") == 1


def test_an_unknown_task_lists_the_tasks(sampled):
    found = peephole("predict", "-", "--task", "imagenet", stdin=sampled)
    assert found.returncode == 1
    assert all(folder.name in found.stderr for folder in shipped())


def test_fit_and_evaluate_on_a_table_of_ones_own(tmp_path):
    table = tmp_path / "mine.jsonl"
    rows = []
    for width in range(4, 44):
        layers = [
            {"type": "conv", "kernel_size": 3, "out_channels": width},
            {"type": "relu"},
            {"type": "conv", "kernel_size": 1 + width % 5, "channel_ratio": 1.0 + (width % 3) / 2},
        ]
        final = 0.3 + width / 100
        rows.append({"task": "mine", "layers": layers, "accuracy": [final / 2, final][: 1 + width % 2]})
    table.write_text("\n".join(map(json.dumps, rows)))
    fitted = peephole("fit", "--observations", table, "--out", tmp_path / "mine", "--code", "paper")
    assert fitted.returncode == 0, fitted.stderr
    card = json.loads((tmp_path / "mine" / "card.json").read_text())
    assert (card["task"], card["code"], card["epochs"]) == ("mine", "paper", 2)
    found = peephole("evaluate", "--observations", table, "--artifact", tmp_path / "mine", "--json")
    assert found.returncode == 1
    assert "--part all" in found.stderr
    assert found.stderr.count("\n") == 1
    found = peephole("evaluate", "--observations", table, "--artifact", tmp_path / "mine", "--json", "--part", "all")
    assert found.returncode == 0, found.stderr
    figures = json.loads(found.stdout.splitlines()[0])
    assert (figures["networks"], figures["fitted_to"], figures["new"]) == (len(rows), len(rows), 0)


def test_too_few_networks_are_refused(tmp_path):
    table = tmp_path / "few.jsonl"
    table.write_text('{"task": "few", "layers": [{"type": "relu"}], "accuracy": [0.5]}\n')
    found = peephole("fit", "--observations", table, "--out", tmp_path / "few")
    assert found.returncode == 1
    assert "too few" in found.stderr
    assert not (tmp_path / "few").exists()
