"""The wheel in an environment of its own, in a project with modules of the names that a repository often has."""

import json
import shutil
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
USE = """
import json
import model, service, adapters  # the project's own
assert [one.MINE for one in (model, service, adapters)] == [True] * 3
import peephole
layers = [{"type": "conv", "kernel_size": 3, "out_channels": 16}, {"type": "batch_norm"}, {"type": "relu"}]
predictor = peephole.load("cifar10-mini")
predictions = predictor.rank([layers, layers * 3], epochs=10)
predictor.stop({"observed": [0.2], "layers": layers}, best=0.5)
try:
    peephole.Client("http://127.0.0.1:9", timeout=0.2).predict(layers)
except peephole.UnavailableError as error:
    said = str(error)
print(json.dumps({
    "file": peephole.__file__,
    "finals": [one.final_accuracy for one in predictions],
    "said": said,
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`pip wheel ./client`, with the setuptools that is here where that is new enough; on a copy, which it litters."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("client", "model"):
        unwanted = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=unwanted)
    found = [one.version for one in metadata.distributions(name="setuptools")]
    is_new = bool(found) and int(found[0].partition(".")[0]) >= 77
    isolation = ["--no-build-isolation"] if is_new else []
    command = ["wheel", "--quiet", "--no-deps", *isolation, "--wheel-dir", str(folder), "./client"]
    subprocess.run([sys.executable, "-m", "pip", *command], check=True, cwd=folder)
    (built,) = folder.glob("peephole_nas-*.whl")
    return built


@pytest.fixture(scope="module")
def used(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a script prints in an environment that holds the wheel, what it declares to need, and nothing else."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    install = ["--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True, cwd=environment)
    (packages,) = environment.glob("lib/python*/site-packages")
    for name in dependencies("peephole-nas", packages):
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(str(distribution.locate_file(top)))
    project = tmp_path_factory.mktemp("project")
    for name in ("model.py", "service.py"):
        (project / name).write_text("MINE = True\n")
    (project / "adapters").mkdir()
    (project / "adapters" / "__init__.py").write_text("MINE = True\n")
    (project / "search.py").write_text(USE)
    ran = subprocess.run(
        [python, "search.py"], cwd=project, capture_output=True, text=True, env={"OMP_NUM_THREADS": "1"}, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    assert Path(found["file"]).is_relative_to(packages), "the wheel is used, not the repository"
    return found


def test_it_predicts_beside_modules_of_the_same_names(used: dict[str, Any]) -> None:
    """In process as here, over HTTP as far as it gets; with no other package than it declares."""
    import peephole

    layers = [{"type": "conv", "kernel_size": 3, "out_channels": 16}, {"type": "batch_norm"}, {"type": "relu"}]
    here = peephole.load("cifar10-mini").rank([layers, layers * 3], epochs=10)
    assert used["finals"] == pytest.approx([one.final_accuracy for one in here], abs=2e-6)
    assert "cannot be reached" in used["said"]


def test_it_is_typed_and_holds_the_shipped_predictors(wheel: Path) -> None:
    names = ZipFile(wheel).namelist()
    assert {"peephole/py.typed", "peephole/model/zoo/cifar10-mini/members.onnx"} <= set(names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"peephole", "peephole_nas"}


def dependencies(name: str, packages: Path) -> set[str]:
    """The distributions that one in `packages` needs, directly or not, without its extras."""
    (wheel,) = metadata.distributions(name=name, path=[str(packages)])
    found: set[str] = set()
    waiting = list(wheel.requires or [])
    while waiting:
        one = Requirement(waiting.pop())
        if one.name not in found and (one.marker is None or one.marker.evaluate({"extra": ""})):
            found.add(one.name)
            waiting += metadata.requires(one.name) or []
    return found
