"""The predictors on an NVIDIA GPU; skipped, with the reason, where there is none."""

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.cuda import TOLERANCE, NoGpuError, by_artifact, networks, session, strict_fault
from model.artifact import MEMBERS_FILE, Artifact, read_artifact, shipped
from model.encoding.layer_code import pad
from service.inference.registry import Registry
from service.observability.metrics import Metrics
from service.settings import Settings

WITH_MEMBERS = [folder for folder in shipped() if (folder / MEMBERS_FILE).exists()]
FOLDERS = pytest.mark.parametrize("folder", WITH_MEMBERS, ids=lambda folder: folder.name)


@pytest.fixture
def gpu() -> Callable[[Artifact], None]:
    """Return a check that skips the test where ONNX Runtime cannot run an artifact on a GPU."""

    def check(artifact: Artifact) -> None:
        try:
            session(artifact.files[MEMBERS_FILE])
        except NoGpuError as error:
            pytest.skip(str(error))

    return check


@pytest.mark.gpu
@FOLDERS
def test_gpu_and_cpu_predict_alike_for_networks_of_mixed_length(folder, gpu) -> None:
    artifact = read_artifact(folder)
    gpu(artifact)
    card = artifact.card
    codes, lengths = pad(networks(card.layer_code, card.image, 200))
    epochs = np.arange(1, card.epochs + 1)
    cpu, cuda = (by_artifact(artifact, provider)(codes, lengths, epochs) for provider in ("cpu", "cuda"))
    assert np.abs(cpu - cuda).max() <= TOLERANCE


@pytest.mark.gpu
@FOLDERS
def test_no_node_of_a_shipped_predictor_is_left_to_the_cpu(folder, gpu) -> None:
    artifact = read_artifact(folder)
    gpu(artifact)
    assert strict_fault(artifact.files[MEMBERS_FILE]) is None


@pytest.mark.gpu
def test_the_service_loads_every_predictor_on_the_gpu(gpu) -> None:
    gpu(read_artifact(WITH_MEMBERS[0]))
    registry = Registry(Settings(provider="cuda"), Metrics(), workers=1, threads=1)
    registry.load()
    assert registry.provider == "cuda"
    with_members = {registry.models[folder.name].predictor.provider for folder in WITH_MEMBERS}
    assert with_members == {"CUDAExecutionProvider"}


def test_a_missing_gpu_is_an_error_not_a_silent_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(NoGpuError, match="no CUDA provider"):
        session(read_artifact(WITH_MEMBERS[0]).files[MEMBERS_FILE])
