"""Artifacts: refused with one clear line when they cannot be trusted, taken up while serving when they can."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import onnx
import pytest
from onnx import numpy_helper

from model.artifact import MODEL_FILE
from service import loading
from service.settings import Settings
from tests.service import graphs
from tests.service.conftest import Serve
from tests.service.live import Live, running

BODY = {"architectures": [{"layers": [{"type": "relu"}]}]}


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


@pytest.mark.parametrize("spoil", [tampered, truncated, wrong_opset, external_data, other_inputs, no_card])
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


def test_cuda_without_a_gpu_refuses_to_start(tiny: Path) -> None:
    """`cuda` fails with one clear line."""
    live = Live(tiny, PEEPHOLE_PROVIDER="cuda", CUDA_VISIBLE_DEVICES="")
    code, output = live.wait()
    assert code != 0
    assert "PEEPHOLE_PROVIDER=cuda" in output


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


def until(condition: Callable[[], bool]) -> bool:
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        if condition():
            return True
        time.sleep(0.05)
    return False


def replace(folder: Path, **fields: object) -> None:
    """Put another version into an artifact folder, as `cp` would: the model, then the card."""
    new = graphs.artifact(folder.parent / "new", **fields)
    for name in (MODEL_FILE, "card.json"):
        shutil.copy(new / name, folder / name)


def test_a_changed_folder_is_taken_up_and_a_bad_one_is_not(tmp_path: Path) -> None:
    """Reload without a lost request; a failed reload keeps the old predictor and says so everywhere."""
    folder = graphs.artifact(tmp_path / "tiny")
    with running(folder, PEEPHOLE_RELOAD_SECONDS="0.2") as live:

        def version() -> str:
            response = httpx2.post(live.url + "/predict", json=BODY)
            assert response.status_code == 200, "an artifact changes hands without a refused request"
            return response.json()["model"]["version"]

        assert version() == "1"
        replace(folder, version="2", model=graphs.graph(bias=0.5))
        assert until(lambda: version() == "2")
        assert httpx2.get(live.url + "/info").json()["reload"]["state"] == "ok"
        (folder / MODEL_FILE).write_bytes(b"not a model")
        assert until(lambda: httpx2.get(live.url + "/info").json()["reload"]["state"] == "failed")
        assert version() == "2"
        assert str(folder) in httpx2.get(live.url + "/info").json()["reload"]["error"]
        metrics = httpx2.get(live.url + "/metrics").text
        assert "predictor_last_reload_ok 0.0" in metrics
        assert 'predictor_reloads_total{result="failed"} 1.0' in metrics
        assert 'version="1"' not in metrics
    assert "reload_failed" in live.printed


def test_sighup_reloads(tmp_path: Path) -> None:
    """With polling off, SIGHUP takes up a changed artifact."""
    folder = graphs.artifact(tmp_path / "tiny")
    with running(folder, PEEPHOLE_RELOAD_SECONDS="0") as live:
        replace(folder, version="2")
        live.signal(signal.SIGHUP)
        assert until(lambda: httpx2.post(live.url + "/predict", json=BODY).json()["model"]["version"] == "2")


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
