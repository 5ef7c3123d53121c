"""Artifacts: refused with one clear line when they cannot be trusted."""

import os
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper

from model.artifact import MODEL_FILE
from service import loading
from service.settings import Settings
from tests.service import graphs
from tests.service.conftest import Serve
from tests.service.live import Live, running


def tampered(folder: Path) -> Path:
    model = bytearray((graphs.artifact(folder) / MODEL_FILE).read_bytes())
    model[len(model) // 2] ^= 1
    (folder / MODEL_FILE).write_bytes(model)
    return folder


def truncated(folder: Path) -> Path:
    model = (graphs.artifact(folder) / MODEL_FILE).read_bytes()
    (folder / MODEL_FILE).write_bytes(model[: len(model) // 2])
    return folder


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


def other_inputs(folder: Path) -> Path:
    model = onnx.load_from_string(graphs.graph())
    model.graph.output[0].name = "loss"
    model.graph.node[13].output[0] = "loss"
    for node in model.graph.node:
        node.input[:] = ["loss" if name == "accuracy" else name for name in node.input]
    return graphs.artifact(folder, model=model.SerializeToString())


def no_card(folder: Path) -> Path:
    folder.mkdir()
    return folder


def lower_rank(folder: Path) -> Path:
    model = onnx.load_from_string(graphs.graph())
    del model.graph.input[0].type.tensor_type.shape.dim[2]
    for node in model.graph.node:
        node.input[:] = ["cube" if name == "codes" else name for name in node.input]
    model.graph.node.insert(0, onnx.helper.make_node("Unsqueeze", ["codes", "axis_zero"], ["cube"]))
    return graphs.artifact(folder, model=model.SerializeToString())


def name_too_long(folder: Path) -> Path:
    return folder.parent / ("x" * 300)


def points_nowhere(folder: Path) -> Path:
    """A folder that cannot be looked into, by root neither."""
    folder.symlink_to("x" * 300)
    return folder


def card_is_a_folder(folder: Path) -> Path:
    (folder / "card.json").mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    "spoil",
    [
        tampered,
        truncated,
        wrong_opset,
        external_data,
        other_inputs,
        lower_rank,
        card_is_a_folder,
    ],
)
def test_a_bad_artifact_refuses_to_start(tmp_path: Path, spoil: Callable[[Path], Path]) -> None:
    """Exit code not zero, and one line that names the folder."""
    folder = spoil(tmp_path / "bad")
    live = Live(folder)
    code, output = live.wait()
    assert code != 0
    lines = [line for line in output.splitlines() if '"failed"' in line]
    assert len(lines) == 1, output
    assert str(folder) in lines[0]
    assert "Traceback" not in output


@pytest.mark.parametrize("place", [no_card, name_too_long, points_nowhere, Path])
def test_a_folder_without_an_artifact_is_a_wrong_setting(tmp_path: Path, place: Callable[[Path], Path]) -> None:
    """Seen before anything starts: one line that names the setting and the folder, exit code 2."""
    folder = place(tmp_path / "none")
    code, output = Live(folder).wait()
    (line,) = output.splitlines()
    assert code == 2
    assert "PEEPHOLE_MODELS" in line
    assert str(folder) in line


def test_no_folder_at_all_is_a_wrong_setting() -> None:
    """With the shipped predictors left out, the reason is that they are."""
    code, output = Live(None).wait()
    (line,) = output.splitlines()
    assert code == 2
    assert "PEEPHOLE_SHIPPED is false and PEEPHOLE_MODELS names none" in line


def test_cuda_without_a_gpu_refuses_to_start(tiny: Path) -> None:
    """`cuda` fails with one clear line, at once where this ONNX Runtime could never use a GPU."""
    live = Live(tiny, PEEPHOLE_PROVIDER="cuda", CUDA_VISIBLE_DEVICES="")
    code, output = live.wait()
    assert code == (70 if loading.CUDA in loading.onnxruntime.get_available_providers() else 2)
    assert len([line for line in output.splitlines() if "PEEPHOLE_PROVIDER=cuda" in line]) == 1


def test_a_taken_port_ends_the_start(tiny: Path) -> None:
    """With uvicorn's exit code for it, as documented."""
    with running(tiny) as first:
        code, output = Live(tiny, PORT=str(first.port)).wait()
    assert code == 3
    assert "address already in use" in output


@pytest.mark.parametrize("has_cuda", [False, True], ids=["built-for-cpu", "built-for-cuda"])
def test_auto_falls_back_only_where_a_gpu_could_have_been_used(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, has_cuda: bool
) -> None:
    """An ONNX Runtime for the CPU alone is no fallback; one for CUDA that finds no GPU is, in /info and a metric."""
    providers = [*([loading.CUDA] if has_cuda else []), "CPUExecutionProvider"]
    monkeypatch.setattr(loading.onnxruntime, "get_available_providers", lambda: providers)
    client = serve(provider="auto")
    provider = client.get("/info").json()["provider"]
    metric = next(
        line for line in client.get("/metrics").text.splitlines() if line.startswith("predictor_provider_fallback ")
    )
    if provider["used"] == "cpu":
        assert (provider["fallback"] is not None) == has_cuda
        assert float(metric.split()[1]) == has_cuda


def test_models_setting_is_a_path_list_and_own_artifacts_win(serve: Serve, tmp_path: Path) -> None:
    """A folder of artifacts counts as all of them; two of the same task are refused."""
    graphs.artifact(tmp_path / "zoo" / "a", "task-a")
    graphs.artifact(tmp_path / "zoo" / "b", "task-b")
    own = graphs.artifact(tmp_path / "c", "task-c")
    os.environ["PEEPHOLE_MODELS"] = f"{tmp_path / 'zoo'}{os.pathsep}{own}"
    try:
        models = Settings().models
    finally:
        del os.environ["PEEPHOLE_MODELS"]
    assert serve(models=models).get("/info").json()["tasks"] == ["task-a", "task-b", "task-c"]
    live = Live(Path(f"{own}{os.pathsep}{graphs.artifact(tmp_path / 'd', 'task-c')}"))
    code, output = live.wait()
    assert code != 0
    assert "task-c is already in" in output
