"""The command line does what its help says, and bad input ends in one clear line."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from cli.files import described

from cli.fit import show_figures
from cli.main import COMMANDS, main
from cli.predict import predict
from model.artifact import shipped

ROOT = Path(__file__).parents[2]

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


def test_every_command_is_known_by_the_module_that_registers_it():
    for module, commands in COMMANDS.items():
        app = typer.Typer()
        importlib.import_module(module).register(app)
        assert tuple(one.name or one.callback.__name__ for one in app.registered_commands) == commands


@pytest.mark.parametrize("arguments", [["collect", "--protocol", "mnist-mini", "-n", "3"], ["fit"]])
def test_commands_without_their_packages_say_how_to_install_them(arguments, tmp_path):
    """Where `import torch` fails, as if only what serves were installed."""
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')")
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 1
    how = "install the `training` extra: pip install '.[training]' in the repository"
    assert done.stderr == f"peephole: {arguments[0]} needs torch; {how}\n"


@pytest.fixture(scope="module")
def sampled():
    found = peephole("sample", "--protocol", "mnist-mini", "-n", "3")
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_sampled_networks_are_predicted_and_ranked(sampled):
    found = peephole("predict", "-", "--task", TASK, "--json", stdin=sampled)
    assert found.returncode == 0, found.stderr
    answer = json.loads(found.stdout)
    finals = [one["accuracy"][-1] for one in answer["predictions"]]
    assert [one["final_accuracy"] for one in answer["predictions"]] == finals
    assert len(set(finals)) > 1
    assert [one["rank"] for one in answer["predictions"]] == [1 + sum(b > a for b in finals) for a in finals]
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
        ('{"layers": []}', "-: /layers: "),
        ('{"layers": [{"type": "gelu"}]}', "-: /layers/0/type: must be one of 'conv'"),
        ('{"layers": [{"kernel_size": 3}]}', "-: /layers/0: a layer is an object with a `type`"),
        ('{"layers": [{"type": "conv"}]}', "-: /layers/0/kernel_size: "),
        ("[]", "-: holds no network"),
        ('{"architectures": []}', "-: holds no network"),
        ("3", "-: not an architecture, a list of them, or a request body"),
        (
            '{"layers": [{"type": "conv", "kernel_size": 50, "out_channels": 8}]}',
            "-: /layers/0/kernel_size",
        ),
    ],
)
def test_bad_input_ends_in_one_line(content, message):
    found = peephole("predict", "-", "--task", TASK, stdin=content)
    assert found.returncode == 1
    assert message in found.stderr
    assert found.stderr.count("\n") == 1


@pytest.fixture
def refused(monkeypatch, capsys):
    """Run a command that is refused, in this process, and return its one line."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["peephole", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 1
        said = capsys.readouterr().err
        assert said.count("\n") == 1, said
        return said.removeprefix("peephole: ").rstrip()

    return run


@pytest.mark.parametrize(
    "command",
    [
        ("predict", "--task", TASK),
        ("encode", "--task", TASK),
        ("train", "--protocol", "mnist-mini", "--out", "unused.parquet"),
        ("predict-weights", "--task", TASK),
        ("fit", "--out", "unused", "--observations"),
        ("evaluate", "--artifact", shipped()[0], "--observations"),
        ("fit-during", "--artifact", shipped()[0], "--data"),
    ],
    ids=lambda command: command[0],
)
def test_files_that_cannot_be_read_are_named(command, refused, tmp_path):
    missing = tmp_path / "missing"
    assert refused(*command, missing) == f"{missing} does not exist"
    assert refused(*command, tmp_path) == f"{tmp_path} is a folder; a file is needed"


COLLECT = ("collect", "--protocol", "digits-mini", "--networks", "1", "--out", "unused.parquet")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("select", "--task", "mnist-mini", "--out", "there"), "--out needs --widen"),
        (("select", "--task", "mnist-mini", "--full-resolution"), "--full-resolution needs --widen"),
        (("report", "--task", "mnist-mini"), "--force and --task go with --refresh"),
        (("report", "--force"), "--force and --task go with --refresh"),
        (("report", "--refresh", "--task", "mnist"), "no table holds 'mnist'"),
        (
            (*COLLECT, "--ray", "auto", "--workers", "2"),
            "the cluster decides on --workers and --device",
        ),
    ],
)
def test_options_that_would_change_nothing_are_refused(command, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["peephole", *command])
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_files_of_another_kind_are_named(refused, tmp_path):
    file = tmp_path / "mine"
    file.write_bytes(b"\xff\xfe{")
    assert refused("predict", file, "--task", TASK).startswith(f"{file}: not JSON: not UTF-8 (")
    assert refused("predict-weights", file, "--task", TASK).startswith(f"{file}: not a safetensors file")
    missing = tmp_path / "missing"
    assert refused("predict-weights", file, "--artifact", missing) == f"{missing} does not exist"


def test_errors_of_the_system_name_their_file_first():
    assert described(PermissionError(13, "Permission denied", "mine.json")) == "mine.json: permission denied"
    assert described(OSError("said already")) == "said already"


def test_equal_networks_share_a_rank(sampled):
    first, second, _ = json.loads(sampled)["architectures"]
    found = peephole("predict", "-", "--task", TASK, "--json", stdin=json.dumps([first, second, first]))
    one, other, again = (prediction["rank"] for prediction in json.loads(found.stdout)["predictions"])
    assert one == again
    assert (one, other) in {(1, 3), (2, 1)}


@pytest.mark.parametrize("name", ["[/x]", "a[b]c", "a:smile:b"])
def test_names_are_printed_as_they_stand(name, tmp_path, monkeypatch, capsys):
    """Nothing in them is a style, in a table's cells or in its title."""
    monkeypatch.setenv("COLUMNS", "200")
    file = tmp_path / "one.json"
    file.write_text(json.dumps([{"id": name, "layers": [{"type": "relu"}]}]))
    predict(file, task=TASK)
    assert f" {name} " in capsys.readouterr().out
    show_figures(f"{name}.jsonl", {"layer types": name})
    said = capsys.readouterr().out
    assert f"{name}.jsonl" in said
    assert f" {name} " in said


def test_equals_share_the_better_rank(tmp_path):
    """As in the service."""
    conv = [{"type": "conv", "kernel_size": 3, "out_channels": 8}, {"type": "relu"}]
    file = tmp_path / "three.json"
    file.write_text(json.dumps([{"layers": layers} for layers in (conv * 4, conv, conv * 4)]))
    found = peephole("predict", file, "--task", TASK, "--json")
    first, other, again = (one["rank"] for one in json.loads(found.stdout)["predictions"])
    assert first == again
    assert {first, other} in ({1, 3}, {1, 2})


def test_help_names_the_tasks_that_ship(monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    for command in ("predict", "encode"):
        said = peephole(command, "--help").stdout
        assert ", ".join(folder.name for folder in shipped()) in said
    assert "one of cifar10-mini, mnist-mini." in peephole("select", "--help").stdout, "those that can be sampled"


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage: "),
        (["missing.parquet", "mine.jsonl"], "missing.parquet is not a file"),
        (["README.md", "mine.jsonl"], "README.md is not a Parquet table"),
        (["data/mnist-mini.parquet", "missing/mine.jsonl"], "cannot write missing/mine.jsonl"),
    ],
)
def test_the_example_says_what_it_cannot_do(arguments, message):
    script = [sys.executable, ROOT / "examples" / "three_fields.py", *arguments]
    found = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 1
    assert found.stderr.startswith(message)
    assert found.stderr.count("\n") == 1
