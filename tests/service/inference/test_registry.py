"""The registry: artifacts that cannot be trusted are rejected with one line; where artifacts are looked for."""

import io
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from model.artifact import (
    ARRAYS_FILE,
    CARD_FILE,
    MEMBERS_FILE,
    ArtifactError,
    digests,
    pack_arrays,
    read_artifact,
    write_artifact,
)
from service.errors import Problem
from service.inference.registry import CUDA, Registry, artifact_folders, check_sources, read_sources, runs_on_cpu
from service.observability.metrics import Metrics
from service.settings import Settings
from tests.service import graphs
from tests.service.conftest import Serve

NO_CUDA_HERE = pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider' is not in available")
POINTS_NOWHERE = "x" * 300  # a name that is too long: looking at it fails for every user, root too


def load(*paths: Path, **fields: Any) -> Registry:
    """Return a registry with the artifacts of these paths."""
    registry = Registry(Settings(models=paths, shipped=False, **fields), Metrics(), workers=1, threads=1)
    registry.load()
    return registry


def tampered(folder: Path) -> Path:
    model = bytearray((graphs.artifact(folder) / MEMBERS_FILE).read_bytes())
    model[len(model) // 2] ^= 1
    (folder / MEMBERS_FILE).write_bytes(model)
    return folder


def truncated(folder: Path) -> Path:
    model = (graphs.artifact(folder) / MEMBERS_FILE).read_bytes()
    (folder / MEMBERS_FILE).write_bytes(model[: len(model) // 2])
    return folder


def other_arrays(folder: Path) -> Path:
    """Not those that the card was written with."""
    graphs.artifact(folder)
    (folder / ARRAYS_FILE).write_bytes(pack_arrays(graphs.arrays(margins=np.zeros(graphs.EPOCHS))))
    return folder


def arrays_are_a_pickle(folder: Path) -> Path:
    return with_files(folder, pickle.dumps({"structures": [0.0]}))


def arrays_hold_an_object(folder: Path) -> Path:
    packed = io.BytesIO()
    np.savez(packed, structures=np.array([{}], dtype=object))
    return with_files(folder, packed.getvalue())


def with_files(folder: Path, numbers: bytes) -> Path:
    """Write an artifact with other bytes in the place of its arrays, and their sha256 in its card."""
    files = {MEMBERS_FILE: graphs.graph(), ARRAYS_FILE: numbers}
    write_artifact(
        folder, read_artifact(graphs.artifact(folder)).card.model_copy(update={"files": digests(files)}), files
    )
    return folder


def an_array_is_missing(folder: Path) -> Path:
    return graphs.artifact(folder, numbers={name: one for name, one in graphs.arrays().items() if name != "margins"})


def wrong_opset(folder: Path) -> Path:
    return graphs.artifact(folder, model=graphs.graph(opset=99))


def external_data(folder: Path) -> Path:
    model = onnx.load_from_string(graphs.graph(loops=1))
    tensor = next(t for t in model.graph.initializer if t.name == "square")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), "square"))
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    tensor.external_data.add(key="location", value="weights.bin")
    folder.mkdir()
    (folder / "weights.bin").write_bytes(bytes(256 * 256 * 4))
    return graphs.artifact(folder, model=model.SerializeToString())


def other_outputs(folder: Path) -> Path:
    model = onnx.load_from_string(graphs.graph())
    model.graph.output[0].name = "loss"
    for node in model.graph.node:
        node.output[:] = ["loss" if name == "curves" else name for name in node.output]
    return graphs.artifact(folder, model=model.SerializeToString())


def lower_rank(folder: Path) -> Path:
    model = onnx.load_from_string(graphs.graph())
    del model.graph.input[0].type.tensor_type.shape.dim[2]
    for node in model.graph.node:
        node.input[:] = ["cube" if name == "codes" else name for name in node.input]
    model.graph.node.insert(0, onnx.helper.make_node("Unsqueeze", ["codes", "axis_zero"], ["cube"]))
    return graphs.artifact(folder, model=model.SerializeToString())


def card_is_a_folder(folder: Path) -> Path:
    (folder / CARD_FILE).mkdir(parents=True)
    return folder


def card_is_another_files(folder: Path) -> Path:
    graphs.artifact(folder)
    (folder / CARD_FILE).write_text('{"name": "package"}')
    return folder


def card_of_another_format(folder: Path) -> Path:
    text = (graphs.artifact(folder) / CARD_FILE).read_text()
    (folder / CARD_FILE).write_text(text.replace('"format": 2', '"format": 1'))
    return folder


def model_is_a_pipe(folder: Path) -> Path:
    """Reading it would never end."""
    graphs.artifact(folder)
    (folder / MEMBERS_FILE).unlink()
    os.mkfifo(folder / MEMBERS_FILE)
    return folder


SPOILT = (
    tampered,
    truncated,
    other_arrays,
    arrays_are_a_pickle,
    arrays_hold_an_object,
    an_array_is_missing,
    wrong_opset,
    external_data,
    other_outputs,
    lower_rank,
    card_is_a_folder,
    card_is_another_files,
    card_of_another_format,
    model_is_a_pipe,
)


@pytest.mark.parametrize("spoil", SPOILT)
def test_an_artifact_that_cannot_be_trusted_is_rejected(tmp_path: Path, spoil: Callable[[Path], Path]) -> None:
    """With one line that names the folder."""
    folder = spoil(tmp_path / "bad")
    with pytest.raises(ArtifactError) as rejected:
        load(folder)
    line = str(rejected.value)
    assert str(folder) in line
    assert "\n" not in line


def no_card(folder: Path) -> Path:
    folder.mkdir()
    return folder


def name_too_long(folder: Path) -> Path:
    return folder.parent / POINTS_NOWHERE


def points_nowhere(folder: Path) -> Path:
    folder.symlink_to(POINTS_NOWHERE)
    return folder


@pytest.mark.parametrize("place", [no_card, name_too_long, points_nowhere, Path])
def test_a_folder_without_an_artifact_is_a_wrong_setting(tmp_path: Path, place: Callable[[Path], Path]) -> None:
    """Known before anything starts; the line names the setting and the folder."""
    folder = place(tmp_path / "none")
    with pytest.raises(ArtifactError, match=f"PEEPHOLE_MODELS: {folder}"):
        check_sources(Settings(models=(folder,), shipped=False))


def test_no_folder_at_all_is_a_wrong_setting() -> None:
    """With the shipped predictors left out, the reason is that they are."""
    with pytest.raises(ArtifactError, match="PEEPHOLE_SHIPPED is false and PEEPHOLE_MODELS names none"):
        check_sources(Settings(shipped=False))


@NO_CUDA_HERE
@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="this ONNX Runtime may find a GPU")
def test_cuda_without_a_gpu_is_rejected(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once where this ONNX Runtime could never use a GPU, else when the predictors are loaded."""
    settings = Settings(models=(tiny,), provider="cuda")
    with pytest.raises(ArtifactError, match="PEEPHOLE_PROVIDER=cuda: this ONNX Runtime has no CUDA provider"):
        check_sources(settings)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, "CPUExecutionProvider"])
    check_sources(settings)
    with pytest.raises(ArtifactError, match="PEEPHOLE_PROVIDER=cuda: "):
        load(tiny, provider="cuda")


@NO_CUDA_HERE
@pytest.mark.parametrize("has_cuda", [False, True], ids=["built-for-cpu", "built-for-cuda"])
def test_auto_falls_back_only_where_a_gpu_could_have_been_used(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, has_cuda: bool
) -> None:
    """An ONNX Runtime for the CPU alone is no fallback; one for CUDA that finds no GPU is, in /info and a metric."""
    providers = [*([CUDA] if has_cuda else []), "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    assert runs_on_cpu(Settings(provider="auto")) != has_cuda
    client = serve(provider="auto")
    provider = client.get("/info").json()["provider"]
    lines = client.get("/metrics").text.splitlines()
    metric = next(line for line in lines if line.startswith("predictor_provider_fallback "))
    if provider["used"] == "cpu":  # on a machine with a GPU it may work
        assert (provider["fallback"] is not None) == has_cuda
        assert float(metric.split()[1]) == has_cuda


def test_a_folder_of_artifacts_counts_as_all_of_them(tmp_path: Path) -> None:
    """Beside folders that are none; tasks are in alphabetical order."""
    zoo = tmp_path / "zoo"
    for task in ("b", "a"):
        graphs.artifact(zoo / f"folder-{task}", f"task-{task}")
    (zoo / "notes").mkdir()
    (zoo / "README.md").write_text("no artifact")
    own = graphs.artifact(tmp_path / "c", "task-c")
    registry = load(own, zoo)
    assert list(registry.models) == ["task-a", "task-b", "task-c"]
    with pytest.raises(Problem, match="several predictors are loaded; name one of: task-a, task-b, task-c"):
        registry.choose(None)
    assert registry.choose("task-b").card.task == registry.find("task-b").card.task == "task-b"


def test_two_artifacts_of_one_task_are_rejected(tmp_path: Path) -> None:
    """Both folders are named."""
    first, second = (graphs.artifact(tmp_path / name, "twice") for name in "ab")
    with pytest.raises(ArtifactError, match="task twice is already in") as rejected:
        load(first, second)
    assert str(first) in str(rejected.value)
    assert str(second) in str(rejected.value)


def test_an_own_artifact_replaces_the_shipped_one_of_its_task(tmp_path: Path) -> None:
    own = graphs.artifact(tmp_path / "own", "mnist-mini")
    found = {one.card.task: one.folder for one in read_sources(Settings(models=(own,)))}
    assert found["mnist-mini"] == own
    assert len(found) == len(read_sources(Settings()))


def test_folders_whose_names_begin_with_a_dot_are_left_out(tmp_path: Path) -> None:
    """They are being written, or kept to go back to; named themselves, they count."""
    zoo = tmp_path / "zoo"
    graphs.artifact(zoo / "own")
    graphs.artifact(zoo / ".own.new", version="2")
    assert artifact_folders([zoo]) == [zoo / "own"]
    assert artifact_folders([zoo / ".own.new"]) == [zoo / ".own.new"]


def test_a_folder_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    """Or its task would be gone without a word."""
    graphs.artifact(tmp_path / "zoo" / "a")
    (tmp_path / "zoo" / "b").symlink_to(POINTS_NOWHERE)
    with pytest.raises(ArtifactError, match="too long"):
        artifact_folders([tmp_path / "zoo"])


def test_a_failed_load_keeps_what_was_loaded(tmp_path: Path) -> None:
    """All or none: the good artifact beside a bad one is not taken over either."""
    zoo = tmp_path / "zoo"
    graphs.artifact(zoo / "a", "task-a")
    graphs.artifact(zoo / "b", "task-b")
    registry = load(zoo)
    before = dict(registry.models)
    shutil.copy(graphs.artifact(tmp_path / "new", "task-a", version="2") / CARD_FILE, zoo / "a" / CARD_FILE)
    (zoo / "b" / MEMBERS_FILE).write_bytes(b"not a model")
    with pytest.raises(ArtifactError):
        registry.load()
    assert registry.models == before
    (zoo / "b" / MEMBERS_FILE).write_bytes((zoo / "a" / MEMBERS_FILE).read_bytes())
    registry.load()
    assert registry.models["task-a"].card.version == "2"
    assert registry.models["task-a"] is not before["task-a"]
