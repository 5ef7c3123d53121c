"""The model registry: which predictors are loaded, from where, and on which device."""

from collections.abc import Sequence
from pathlib import Path

import onnxruntime
import structlog

from model.artifact import CARD_FILE, Artifact, ArtifactError, read_artifact, shipped
from model.loaded import Model, load_model
from model.network.faults import Fault
from model.runtime import Provider
from service.errors import RETRY_SOON, Problem, invalid
from service.inference.warmup import check_continuation, check_predictor, check_proxies, check_weights
from service.observability.metrics import Metrics
from service.settings import Settings

CUDA = "CUDAExecutionProvider"
_NO_CUDA = "this ONNX Runtime has no CUDA provider; install the `gpu` extra"

log = structlog.get_logger("peephole")


class Registry:
    """The predictors by task; replaced as a whole, never changed in place, so that requests in flight keep theirs.

    Attributes:
        models: by task, in alphabetical order; empty until `load` succeeded.
        provider: where they run.
        fallback: why they do not run on the GPU, when `auto` tried.
    """

    def __init__(self, settings: Settings, metrics: Metrics, *, workers: int, threads: int) -> None:
        """Prepare; every worker gets a session of its own, with `threads` cores each."""
        self.settings = settings
        self.metrics = metrics
        self.workers = workers
        self.threads = threads
        self.models: dict[str, Model] = {}
        self.provider: Provider = "cpu"
        self.fallback: str | None = None

    def load(self) -> None:
        """Load and check every predictor, then serve with them; on an error what was loaded before stays.

        `auto` takes the GPU when ONNX Runtime has one and every predictor works there. Runs in a thread.

        Raises:
            ArtifactError: one line that says where and why; with `cuda` also when there is no working GPU.
        """
        fallback = None
        if runs_on_cpu(self.settings):
            models, provider = self._load_on("cpu"), "cpu"
        else:
            try:
                models, provider = self._load_on("cuda"), "cuda"
            except ArtifactError as error:
                if self.settings.provider == "cuda":
                    raise ArtifactError(f"PEEPHOLE_PROVIDER=cuda: {error}") from error
                models, provider, fallback = self._load_on("cpu"), "cpu", str(error)
                log.warning("provider_fallback", wanted="cuda", used="cpu", reason=fallback)
        self.models, self.provider, self.fallback = models, "cuda" if provider == "cuda" else "cpu", fallback
        self.metrics.fallback.set(fallback is not None)
        self.metrics.model_info.clear()
        for card in (model.card for model in models.values()):
            used = models[card.task].predictor.provider
            self.metrics.model_info.labels(card.task, card.version, card.sha256, used, onnxruntime.__version__).set(1)

    def _load_on(self, provider: Provider) -> dict[str, Model]:
        if provider == "cuda":
            if CUDA not in onnxruntime.get_available_providers():
                raise ArtifactError(_NO_CUDA)
            onnxruntime.preload_dlls()
        return {
            artifact.card.task: self._load_one(artifact, provider)
            for artifact in sorted(read_sources(self.settings), key=lambda artifact: artifact.card.task)
        }

    def _load_one(self, artifact: Artifact, provider: Provider) -> Model:
        model = load_model(artifact, threads=self.threads, provider=provider, lanes=self.workers)
        try:
            curves = check_predictor(model.predictor)
            if model.continuation is not None:
                check_continuation(model.continuation, model.predictor, curves)
            if model.proxies is not None:
                check_proxies(model.proxies, model.predictor, curves)
            if model.weights is not None:
                check_weights(model.weights)
        except ArtifactError as error:
            raise ArtifactError(f"{artifact.folder}: {error}") from error
        return model

    def choose(self, task: str | None) -> Model:
        """Return the predictor of a task; the only one when no task is named.

        Raises:
            Problem: 422 that lists the tasks.
        """
        known = ", ".join(self.models)
        if task is None and len(self.models) == 1:
            return next(iter(self.models.values()))
        if task is None:
            raise invalid(Fault("/task", "missing", f"several predictors are loaded; name one of: {known}"))
        if task not in self.models:
            raise invalid(Fault("/task", "unknown-task", f"must be one of: {known}"))
        return self.models[task]

    def find(self, task: str) -> Model:
        """Return the predictor of a task in a path.

        Raises:
            Problem: 404 that lists the tasks; 503 while none is loaded.
        """
        if not self.models:
            raise Problem("unavailable", "the predictors are loading", headers=RETRY_SOON)
        if task not in self.models:
            raise Problem("not-found", f"The tasks are: {', '.join(self.models)}.")
        return self.models[task]


def runs_on_cpu(settings: Settings) -> bool:
    """Whether the predictors run on the CPU and the GPU is not tried."""
    cpu_only = CUDA not in onnxruntime.get_available_providers()
    return settings.provider == "cpu" or (settings.provider == "auto" and cpu_only)


def check_sources(settings: Settings) -> None:
    """Check where predictors come from and run, as far as it can be known before any is loaded.

    Raises:
        ArtifactError: one line that names the setting.
    """
    if settings.provider == "cuda" and CUDA not in onnxruntime.get_available_providers():
        raise ArtifactError(f"PEEPHOLE_PROVIDER=cuda: {_NO_CUDA}")
    if not artifact_folders(settings.models) and not (settings.shipped and shipped()):
        raise ArtifactError(_nothing_to_serve(settings))


def read_sources(settings: Settings) -> list[Artifact]:
    """Read the artifacts of the settings; the user's own replace shipped ones of the same task.

    Raises:
        ArtifactError: when one cannot be read, two are of one task, or there is none.
    """
    own: dict[str, Artifact] = {}
    for artifact in map(read_artifact, artifact_folders(settings.models)):
        task = artifact.card.task
        if task in own:
            raise ArtifactError(f"{artifact.folder}: task {task} is already in {own[task].folder}")
        own[task] = artifact
    rest = map(read_artifact, shipped()) if settings.shipped else ()
    found = [*own.values(), *(artifact for artifact in rest if artifact.card.task not in own)]
    if not found:
        raise ArtifactError(_nothing_to_serve(settings))
    return found


def artifact_folders(paths: Sequence[Path]) -> list[Path]:
    """Return the artifact folders of the setting: each path itself, or the folders in it that have a card.

    Folders whose names begin with a dot are left out: they are being written, or kept to go back to.

    Raises:
        ArtifactError: when a path holds no artifact or cannot be read; one line that names the setting.
    """
    found: list[Path] = []
    for path in paths:
        try:
            if not path.exists():
                raise ArtifactError(f"PEEPHOLE_MODELS: {path}: no such folder")
            inside = [path] if _has_card(path) else [one for one in sorted(path.glob("[!.]*")) if _has_card(one)]
        except OSError as error:
            raise ArtifactError(f"PEEPHOLE_MODELS: {error.filename}: {error.strerror}") from error
        if not inside:
            raise ArtifactError(f"PEEPHOLE_MODELS: {path}: no artifact here; expected {CARD_FILE} or folders with one")
        found += inside
    return found


def _has_card(folder: Path) -> bool:
    """Whether a card is in a folder; unlike `exists`, this raises where that cannot be known."""
    try:
        (folder / CARD_FILE).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _nothing_to_serve(settings: Settings) -> str:
    why = "none ships with this installation" if settings.shipped else "PEEPHOLE_SHIPPED is false"
    return f"no predictor to serve: {why} and PEEPHOLE_MODELS names none"
