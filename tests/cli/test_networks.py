"""Networks are read in every form that the help names; what a request body says counts, or is refused by name."""

import json
import sys

import numpy as np
import pytest

from cli.main import main
from cli.networks import read_networks
from cli.predict import load
from model.artifact import shipped

RELU, CONV = {"type": "relu"}, {"type": "conv", "kernel_size": 3, "out_channels": 8}
NETWORK = {"layers": [CONV, RELU]}
STEEP = {"layers": [CONV, {"type": "conv", "kernel_size": 3, "channel_ratio": 900.0}]}
TASK, OTHER = "mnist-mini", "metaqnn-svhn"


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a command on JSON, in this process, and return what it printed; of an error, without the file's name."""

    def of(command, content, *arguments):
        file = tmp_path / "mine.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        monkeypatch.setattr(sys, "argv", ["peephole", command, str(file), *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        if ended.value.code == 0:
            return json.loads(said.out)
        assert said.err.count("\n") == 1, said.err
        assert said.err.startswith(f"peephole: {file}: "), said.err
        return said.err.removeprefix(f"peephole: {file}: ").rstrip()

    return of


def body(*networks, **changes):
    return {"architectures": list(networks or [NETWORK])} | changes


def folder_of(task):
    return next(folder for folder in shipped() if folder.name == task)


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (body(NETWORK, NETWORK | {"observed": [0.5]}), "/architectures/1/observed: only POST /predict continues"),
        (body({"id": "a", "codes": [[1, 2]]}), "/architectures/0/codes: only POST /predict reads codes"),
        ([NETWORK | {"observed": [0.5]}], "/0/observed: only POST /predict continues"),
        ({"codes": [[1, 2]]}, "/codes: only POST /predict reads codes"),
        ([RELU, {"type": "relu", "observed": 1}], "/1/observed: unknown field"),
        (body(epoch=[1]), "/epoch: unknown field"),
        (body(**{"a/b~\n": 1}), "/a~1b~0\\n: unknown field"),
        (body({"layer": [RELU]}), "/architectures/0/layer: unknown field"),
        (body({"layers": [CONV | {"padding": 1}]}), "/architectures/0/layers/0/padding: unknown field"),
        (body({"layers": [CONV, {"type": "gelu"}]}), "/architectures/0/layers/1/type: must be one of"),
        (body(task=3), "/task: "),
        (body(epochs=[]), "/epochs: "),
        (body(epochs=[1, 0]), "/epochs/1: "),
        (body(epochs=[1, 11]), "/epochs/1: must be 1 to 10 for task mnist-mini"),
        (body(epochs=[2, 2]), "/epochs/1: an epoch is asked for once"),
        (body(out_of_range="ignore"), "/out_of_range: "),
        (body(STEEP), "/architectures/0/layers/1/channel_ratio: "),
        ([NETWORK, NETWORK | {"in_channels": 3}], "/1/in_channels: the task's images have 1 channels"),
        ([CONV, {"type": "conv", "kernel_size": 50, "out_channels": 8}], "/1/kernel_size: "),
        ("[" * 20_000, "nested too deeply"),
        ("[" * 500 + "]" * 500, "recursion limit exceeded"),
        (f'{{"layers": [{"1" * 5001}]}}', "a number has too many digits"),
    ],
)
def test_what_is_refused_is_named_by_its_place_in_the_file(content, where, run):
    assert run("predict", content, "--task", TASK).startswith(where)


def test_the_task_of_a_body_chooses_the_predictor(run):
    assert run("predict", body(task=OTHER), "--json")["task"] == OTHER
    assert run("predict", body(task=OTHER), "--json", "--task", OTHER)["task"] == OTHER
    assert run("predict", body(task=OTHER), "--json", "--artifact", folder_of(OTHER))["task"] == OTHER
    assert run("encode", body(task=TASK)) == run("encode", body(), "--task", TASK)


def test_a_contradiction_about_the_task_is_refused(run):
    contradiction = run("predict", body(task=OTHER), "--task", TASK)
    assert contradiction == f"/task: is {OTHER!r}, but --task is {TASK!r}"
    folder = folder_of(TASK)
    found = run("predict", body(task=OTHER), "--artifact", folder)
    assert found == f"/task: is {OTHER!r}, but {folder} predicts {TASK!r}"
    assert run("encode", body(task="none")).startswith("/task: no predictor for 'none'; there are ")


def test_a_task_and_an_artifact_of_another_are_refused():
    folder = folder_of(TASK)
    assert load(TASK, folder).card.task == TASK
    with pytest.raises(ValueError, match=r"--task is 'metaqnn-svhn', but .* predicts 'mnist-mini'"):
        load(OTHER, folder)


def test_the_epochs_of_a_body_are_predicted_in_its_order(run):
    whole = run("predict", body(), "--json", "--task", TASK)
    some = run("predict", body(task=TASK, epochs=[7, 2]), "--json")
    assert some["epochs"] == [7, 2]
    (one,), (all_of_it,) = some["predictions"], whole["predictions"]
    for name in ("accuracy", "lower", "upper"):
        np.testing.assert_allclose(one[name], [all_of_it[name][6], all_of_it[name][1]], rtol=1e-5)
    assert one["final_accuracy"] == one["accuracy"][0]


def test_a_body_may_clamp(run):
    clamped = run("predict", body(STEEP, task=TASK, out_of_range="clamp"), "--json")
    assert clamped == run("predict", body(STEEP, task=TASK), "--json", "--clamp")


@pytest.mark.parametrize("content", [[CONV, RELU], NETWORK, [NETWORK], body(), body(task=TASK, epochs=None)])
def test_every_form_is_the_same_network(content, tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(content))
    (network,) = read_networks(file).architectures
    assert [layer.type for layer in network.layers] == ["conv", "relu"]
