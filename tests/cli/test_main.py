"""The command starts at once, teaches without PyTorch, and ends in one clear line."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from cli.main import COMMANDS
from cli.options import TASKS

ROOT = Path(__file__).parents[2]
NAMES = [one.__name__.strip("_").replace("_", "-") for commands in COMMANDS.values() for one in commands]
HEAVY = ("torch", "sklearn", "scipy", "pandas", "matplotlib", "onnx", "onnxruntime", "pyarrow", "fastapi", "ray")
IMPORTED = f"""
import sys
from cli.main import main
sys.argv = ["peephole", *sys.argv[1:]]
try:
    main()
finally:
    print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""


def python(*arguments, path=(), **options):
    """Run Python on this checkout; `path` comes before it."""
    paths = os.pathsep.join(map(str, [*path, ROOT]))
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": paths},
        check=False,
        **options,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], ["sample", "--protocol", "mnist-mini"]])
def test_help_and_sample_import_nothing_heavy(arguments):
    found = python("-c", IMPORTED, *arguments)
    assert found.returncode == 0, found.stderr
    assert found.stderr == "[]\n"


@pytest.fixture
def without(tmp_path):
    """A folder with packages that fail to import, as if they were not installed."""

    def of(*packages):
        for name in packages:
            (tmp_path / f"{name}.py").write_text(f'raise ModuleNotFoundError("no {name}", name="{name}")\n')
        return [tmp_path]

    return of


TRAINING = ("torch", "sklearn", "pandas", "matplotlib", "onnx", "onnxscript")
FIT = ("fit", "--table", ROOT / "data/mnist-mini.parquet", "--out", "unused")
COLLECT = ("collect", "--protocol", "digits-mini", "--networks", "1", "--out", "unused.parquet")


@pytest.mark.parametrize(
    ("arguments", "missing", "extra"),
    [
        (COLLECT, TRAINING, "training"),
        (FIT, TRAINING, "training"),
        (FIT, ("pyarrow", *TRAINING), "training"),
        (("predict", "-", "--task", "mnist-mini"), ("onnxruntime",), "cpu"),
        (("serve",), ("onnxruntime",), "cpu"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else value,
)
def test_a_command_without_its_packages_says_how_to_install_them(arguments, missing, extra, without, tmp_path):
    body = '{"layers": [{"type": "relu"}]}'
    found = python("-m", "cli.main", *arguments, path=without(*missing), input=body, cwd=tmp_path)
    assert found.returncode == 1
    assert re.fullmatch(rf"peephole: this needs \w+: pip install '\.\[{extra}\]' in the repository\n", found.stderr)


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_its_own_packages_it_says_how_to_install_them(package, without):
    found = python("-c", "import cli; cli.run()", path=without(package))
    assert found.returncode == 1
    assert found.stderr == "peephole: the command line is not installed: pip install '.[cli]' in the repository\n"


HELP_OF_ALL = f"""
import sys
sys.modules.update(dict.fromkeys({[*TRAINING, "onnxruntime", "pyarrow"]!r}))  # importing them fails
from cli.main import main
for name in {NAMES!r}:
    sys.argv = ["peephole", name, "--help"]
    try:
        main()
    except SystemExit as ended:
        print("end of", name, ended.code)
"""


def test_every_command_teaches_without_the_training_packages():
    found = python("-c", HELP_OF_ALL)
    assert found.returncode == 0, found.stderr
    texts = re.split(r"end of ([\w-]+) 0\n", found.stdout)
    helps = dict(zip(texts[1::2], texts[::2], strict=False))
    assert list(helps) == NAMES
    for name, text in helps.items():
        (example,) = re.findall(r"Example: (.*?)╭", " ".join(text.split()))
        assert f"peephole {name}" in example


def test_sample_predict_and_select_need_no_training_packages(without):
    path = without("pyarrow", *TRAINING)
    sampled = python("-m", "cli.main", "sample", "--protocol", "mnist-mini", "-n", "2", path=path)
    found = python("-m", "cli.main", "predict", "-", "--json", path=path, input=sampled.stdout)
    assert len(json.loads(found.stdout)["predictions"]) == 2, found.stderr
    select = ("select", "--task", "mnist-mini", "--candidates", "8", "--top", "2", "--json")
    found = python("-m", "cli.main", *select, path=path)
    assert len(json.loads(found.stdout)["architectures"]) == 2, found.stderr


def test_alone_it_prints_the_help_in_groups(peephole):
    found = peephole()
    assert found.status == 0
    places = [found.out.index(f"─ {group} ─") for group in COMMANDS]
    assert places == sorted(places)
    assert all(re.search(rf"│ {name} ", found.out) for name in NAMES)
    assert found.out == peephole("--help").out


def test_the_version_is_that_of_the_distribution(peephole):
    assert peephole("--version").out == f"peephole {version('peephole-service')}\n"


def test_help_names_the_tasks_and_the_protocols(peephole, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    assert ", ".join(TASKS) in peephole("predict", "--help").out
    assert "one of cifar10-mini, mnist-mini." in peephole("select", "--help").out, "those that can be sampled"
    assert "mnist, cifar10, mnist-short" in peephole("sample", "--help").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predcit"], "No such command 'predcit'"),
        (["fit"], "Missing option '--table'"),
        (["fit", "--observations", "mine.jsonl"], "No such option: --observations"),
        (["sample", "--protocol", "imagenet"], "'imagenet' is not a protocol; there are mnist, cifar10"),
        (["select", "--task", "imagenet"], "no predictor for 'imagenet'; there are accel-imagenet"),
        (["select"], "needed to choose a predictor: accel-imagenet"),
        (["select", "--task", "mnist-mini", "--out", "there"], "--out needs --widen"),
        (["select", "--task", "mnist-mini", "--full-resolution"], "--full-resolution needs --widen"),
        (["report", "--task", "mnist-mini"], "--task goes with --experiment"),
        (["report", "--experiment", "elves"], "no experiment 'elves'; there are baselines,"),
        ([*COLLECT, "--ray", "auto", "--workers", "2"], "the cluster decides on --workers and --device"),
        ([*COLLECT, "--device", "abacus"], "'abacus': "),
        ([*COLLECT, "--time-limit", "soon"], "--time-limit"),
    ],
)
def test_usage_errors_end_with_status_2(arguments, message, peephole, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.chdir(ROOT)
    found = peephole(*arguments)
    assert found.status == 2
    assert message in " ".join(found.err.split())


@pytest.mark.parametrize(
    "command",
    [
        ("predict", "--task", "mnist-mini"),
        ("train", "--protocol", "mnist-mini", "--out", "unused.parquet"),
    ],
    ids=lambda command: command[0],
)
def test_files_of_networks_that_cannot_be_read_are_named(command, rejected, tmp_path):
    missing = tmp_path / "missing"
    assert rejected(*command, missing) == f"{missing}: no such file or directory"
    assert rejected(*command, tmp_path) == f"{tmp_path}: is a directory"


@pytest.mark.parametrize(
    "command",
    [
        ("predict-weights", "--task", "mnist-mini"),
        ("fit", "--out", "unused", "--table"),
        ("evaluate", "--artifact", TASKS["mnist-mini"], "--table"),
        ("fit-weights", "--artifact", TASKS["mnist-mini"], "--table"),
    ],
    ids=lambda command: command[0],
)
def test_tables_and_weights_that_cannot_be_read_are_named(command, peephole, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    for path, said in ((tmp_path / "missing", "does not exist"), (tmp_path, "is a directory")):
        found = peephole(*command, path)
        assert found.status == 2
        assert f"ile '{path}' {said}" in found.err


def test_an_artifact_that_cannot_be_read_is_named(rejected, tmp_path):
    missing = tmp_path / "missing"
    for command in ("predict-weights", "predict"):
        file = tmp_path / "mine.json"
        file.write_text('[{"type": "relu"}]')
        assert rejected(command, file, "--artifact", missing).startswith(f"{missing}: No such file")
