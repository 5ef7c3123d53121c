"""Load the predictors where the settings say: on the GPU, on the CPU, or on whichever works."""

from dataclasses import dataclass

import onnxruntime

from model.artifact import ArtifactError, shipped
from model.runtime import Provider
from service import models
from service.models import Model
from service.settings import Settings

CUDA = "CUDAExecutionProvider"
_NO_CUDA = "this ONNX Runtime has no CUDA provider; install the `gpu` extra"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Predictors by task, where they run, and why not on the GPU when that was tried in vain."""

    models: dict[str, Model]
    provider: Provider
    fallback: str | None = None


def needs_no_gpu(settings: Settings) -> bool:
    """Whether the predictors run on the CPU and nothing else is tried."""
    cpu_only = CUDA not in onnxruntime.get_available_providers()
    return settings.provider == "cpu" or (settings.provider == "auto" and cpu_only)


def check(settings: Settings) -> None:
    """Find what is wrong with where predictors should come from and run, as far as it shows before any is loaded.

    Raises:
        ArtifactError: one line that names the setting.
        OSError: when a folder cannot be looked into.
    """
    if settings.provider == "cuda" and CUDA not in onnxruntime.get_available_providers():
        raise ArtifactError(f"PEEPHOLE_PROVIDER=cuda: {_NO_CUDA}")
    if not (models.folders(settings.models) or (settings.shipped and shipped())):
        raise ArtifactError(models.none_to_serve(with_shipped=settings.shipped))


def load(settings: Settings, threads: int, lanes: int) -> Loaded:
    """Load every predictor; `auto` takes the GPU when ONNX Runtime has it and every predictor works there.

    An ONNX Runtime that was built for the CPU alone is a choice; one that cannot use its GPU is a fallback.

    Raises:
        ArtifactError: one line that says where and why; with `cuda` also when there is no working GPU.
    """
    if needs_no_gpu(settings):
        return Loaded(_on("cpu", settings, threads, lanes), "cpu")
    try:
        return Loaded(_on("cuda", settings, threads, lanes), "cuda")
    except ArtifactError as error:
        if settings.provider == "cuda":
            raise ArtifactError(f"PEEPHOLE_PROVIDER=cuda: {error}") from error
        return Loaded(_on("cpu", settings, threads, lanes), "cpu", str(error))


def _on(provider: Provider, settings: Settings, threads: int, lanes: int) -> dict[str, Model]:
    if provider == "cuda":
        if CUDA not in onnxruntime.get_available_providers():
            raise ArtifactError(_NO_CUDA)
        onnxruntime.preload_dlls()
    loaded = models.load(
        settings.models, with_shipped=settings.shipped, threads=threads, provider=provider, lanes=lanes
    )
    if provider == "cuda" and any(model.predictor.provider != CUDA for model in loaded.values()):
        raise ArtifactError("ONNX Runtime could not start its CUDA provider; see the driver and CUDA versions")
    return loaded
