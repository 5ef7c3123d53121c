"""The predictors a service answers with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from model.artifact import CARD_FILE, ArtifactError, Card, read_artifact, shipped
from model.continuation import Continuation, read_continuation
from model.runtime import Predictor, Provider
from model.weights import WeightsPredictor, read_weights_predictor
from service.problems import MAX_FAULTS, Fault, invalid
from service.trial import try_continuation, try_predictor, try_weights
from service.vocabulary import MAX_ENTRIES, Vocabulary


@dataclass(slots=True)
class Model:
    """A loaded predictor and what was learnt about the layers it is asked about."""

    predictor: Predictor
    folder: Path
    continuation: Continuation | None = field(init=False)
    weights: WeightsPredictor | None = field(init=False)
    _vocabulary: Vocabulary = field(init=False)

    def __post_init__(self) -> None:
        self.continuation = read_continuation(self.folder)
        self.weights = read_weights_predictor(self.folder)
        self._vocabulary = Vocabulary(self.card.layer_code, self.card.image)

    @property
    def card(self) -> Card:
        """What the predictor is."""
        return self.predictor.card

    @property
    def vocabulary(self) -> Vocabulary:
        """The layers met so far; started afresh when hostile variety has filled it."""
        if self._vocabulary.entries > MAX_ENTRIES:
            self._vocabulary = Vocabulary(self.card.layer_code, self.card.image)
        return self._vocabulary

    def epochs(self, asked: Sequence[int] | None) -> tuple[int, ...]:
        """Return the epochs to predict.

        Raises:
            Problem: 422 when one is beyond the curve or repeated.
        """
        last = self.card.epochs
        if asked is None:
            return tuple(range(1, last + 1))
        found: list[Fault] = []
        seen: set[int] = set()
        for i, epoch in enumerate(asked):
            if epoch > last:
                found.append(Fault(f"/epochs/{i}", "out-of-range", f"must be 1 to {last} for task {self.card.task}"))
            elif epoch in seen:
                found.append(Fault(f"/epochs/{i}", "duplicate", "an epoch is asked for once"))
            seen.add(epoch)
            if len(found) > MAX_FAULTS:
                break
        if found:
            raise invalid(found)
        return tuple(asked)


def folders(paths: Sequence[Path]) -> list[Path]:
    """Return the artifact folders that the setting names: each itself an artifact, or a folder of artifacts.

    In a folder of artifacts, those whose names begin with a dot are left out: they are about to come, or kept to go
    back to.

    Raises:
        ArtifactError: when one holds no artifact.
        OSError: when one cannot be looked into.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise ArtifactError(f"PEEPHOLE_MODELS: {path}: no such folder")
        inside = [path] if _is_artifact(path) else sorted(filter(_is_artifact, _visible(path)))
        if not inside:
            raise ArtifactError(f"PEEPHOLE_MODELS: {path}: no artifact here; expected {CARD_FILE} or folders with one")
        found += inside
    return found


def _visible(path: Path) -> list[Path]:
    """Return what is in a folder; nothing is in a file."""
    return [one for one in path.iterdir() if not one.name.startswith(".")] if path.is_dir() else []


def _is_artifact(folder: Path) -> bool:
    """Whether a card is in a folder; unlike `exists`, this raises where that cannot be known."""
    try:
        (folder / CARD_FILE).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def none_to_serve(*, with_shipped: bool) -> str:
    """Return why there is no predictor at all."""
    why = "none ships with this installation" if with_shipped else "PEEPHOLE_SHIPPED is false"
    return f"no predictor to serve: {why} and PEEPHOLE_MODELS names none"


def load(
    paths: Sequence[Path], *, with_shipped: bool, threads: int, provider: Provider, lanes: int
) -> dict[str, Model]:
    """Load every predictor, each run once so that a broken one is noticed now; own artifacts win over shipped ones.

    Raises:
        ArtifactError: one line that says where and why.
    """
    own = [(folder, read_artifact(folder)) for folder in folders(paths)]
    seen: dict[str, Path] = {}
    for folder, artifact in own:
        task = artifact.card.task
        if task in seen:
            raise ArtifactError(f"{folder}: task {task} is already in {seen[task]}")
        seen[task] = folder
    rest = [(folder, read_artifact(folder)) for folder in shipped()] if with_shipped else []
    chosen = own + [(folder, artifact) for folder, artifact in rest if artifact.card.task not in seen]
    if not chosen:
        raise ArtifactError(none_to_serve(with_shipped=with_shipped))
    models = {}
    for folder, artifact in sorted(chosen, key=lambda pair: pair[1].card.task):
        model = Model(Predictor(artifact, threads=threads, provider=provider, lanes=lanes), folder)
        _try_out(model)
        models[model.card.task] = model
    return models


def _try_out(model: Model) -> None:
    try:
        curves = try_predictor(model.predictor)
        if model.continuation is not None:
            try_continuation(model.continuation, model.predictor, curves)
        if model.weights is not None:
            try_weights(model.weights)
    except ArtifactError as error:
        raise ArtifactError(f"{model.folder}: {error}") from error


def choose(models: dict[str, Model], task: str | None) -> Model:
    """Return the predictor of a task; the only one when none is named.

    Raises:
        Problem: 422 that lists the tasks.
    """
    known = ", ".join(models)
    if task is None and len(models) == 1:
        return next(iter(models.values()))
    if task is None:
        raise invalid([Fault("/task", "missing", f"several predictors are loaded; name one of: {known}")])
    if task not in models:
        raise invalid([Fault("/task", "unknown-task", f"must be one of: {known}")])
    return models[task]
