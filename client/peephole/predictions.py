"""What predictors return, as dataclasses."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .errors import ServiceError

if TYPE_CHECKING:
    import pandas as pd

Form = TypeVar("Form")


@dataclass(frozen=True, slots=True)
class Prediction:
    """The predicted learning curve of one network, and its costs.

    Attributes:
        index: place of the network in the population that was given.
        id: the caller's name for it.
        accuracy: validation accuracy after each of the predicted epochs, 0 to 1.
        lower: ends of the interval, likewise.
        upper: the same.
        final_accuracy: at the largest of the epochs.
        rank: 1 is the best of the population, equals share the better rank.
        distance: from the predictor's training set; up to 1.0 the network is in distribution.
        in_distribution: whether it is.
        params: learned parameters, the classifier left out.
        flops: of one image: 2 for each multiply-add of convolutions and linear layers.
        activation_bytes: largest inputs plus output of one layer, float32, one image.
        notes: what to be careful about.
        feasible: whether it meets the constraints; `None` without constraints.
        pareto_rank: by the objectives, 1 is the front; `None` without objectives.
        proxies: zero-cost scores that the service computed; `None` where it did not.
    """

    index: int
    id: str | None
    accuracy: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    final_accuracy: float
    rank: int
    distance: float
    in_distribution: bool
    params: int
    flops: int
    activation_bytes: int
    notes: tuple[str, ...]
    feasible: bool | None = None
    pareto_rank: int | None = None
    proxies: Mapping[str, float] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class Source:
    """What predicted: a predictor by task, version and sha256, or a context.

    Attributes:
        task: of the predictor.
        version: the same.
        sha256: the same.
        prior: task of the predictor that predictions in context build on.
        networks: how many the context has.
        tau: Kendall's tau of the context's leave-one-out predictions: how far to trust them.
    """

    task: str | None = None
    version: str | None = None
    sha256: str | None = None
    prior: str | None = None
    networks: int | None = None
    tau: float | None = None


@dataclass(frozen=True, slots=True)
class Predictions(Sequence[Prediction]):
    """Predictions, what they come from, and the epochs that their lists run along."""

    model: Source
    epochs: tuple[int, ...]
    items: tuple[Prediction, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...

    @overload
    def __getitem__(self, index: slice) -> "Predictions": ...

    def __getitem__(self, index: int | slice) -> "Prediction | Predictions":
        if isinstance(index, slice):
            return Predictions(self.model, self.epochs, self.items[index])
        return self.items[index]

    def ranked(self) -> "Predictions":
        """Return the predictions in the order of their ranks, or of their Pareto fronts and ranks."""
        best_first = sorted(self.items, key=lambda one: (one.pareto_rank or 0, one.rank, one.index))
        return Predictions(self.model, self.epochs, tuple(best_first))

    def top(self, count: int) -> "Predictions":
        """Return the best, as in `ranked`, without those that miss the constraints."""
        able = tuple(one for one in self.items if one.feasible is not False)
        return Predictions(self.model, self.epochs, able).ranked()[:count]

    def to_frame(self) -> "pd.DataFrame":
        """Return a row for each network: `lower` and `upper` of the largest epoch, and each epoch's accuracy.

        Raises:
            ModuleNotFoundError: without pandas.
        """
        import pandas as pd  # noqa: PLC0415 - optional

        last = self.epochs.index(max(self.epochs))
        scalars = ["index", "id", "rank", "final_accuracy", "lower", "upper", "distance", "in_distribution"]
        scalars += ["params", "flops", "activation_bytes", "feasible", "pareto_rank", "notes"]
        columns: dict[str, list[Any]] = {name: [getattr(one, name) for one in self.items] for name in scalars}
        columns |= {end: [curve[last] for curve in columns[end]] for end in ("lower", "upper")}
        columns["notes"] = ["; ".join(notes) for notes in columns["notes"]]
        for name in ("feasible", "pareto_rank"):
            if all(value is None for value in columns[name]):
                del columns[name]
        for place, epoch in enumerate(self.epochs):
            columns[f"epoch_{epoch}"] = [one.accuracy[place] for one in self.items]
        return pd.DataFrame(columns).set_index("index")


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to stop a training run, and why.

    Attributes:
        id: the caller's name for the run.
        probability_below: probability that the run ends at or below the best so far.
        stop: whether that is at least the confidence.
        final_accuracy: predicted.
        lower: end of its interval.
        upper: the same.
    """

    id: str | None
    probability_below: float
    stop: bool
    final_accuracy: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Task:
    """What is predicted: a loaded predictor's task, or a stored one of your own.

    Attributes:
        name: of the task.
        description: for people.
        input: channels, height and width of an image.
        epochs: length of a loaded predictor's curves.
        version: of a loaded predictor.
        prior: of a stored task.
    """

    name: str
    description: str | None
    input: tuple[int, ...]
    epochs: int | None = None
    version: str | None = None
    prior: str | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """How many observations were new, how many were known already, and how many networks the task has now."""

    added: int
    repeated: int
    networks: int


@dataclass(frozen=True, slots=True)
class Fit:
    """A background fit: its state, its progress, and its result in the service's words."""

    id: str
    state: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Versions:
    """What predicts a stored task.

    Attributes:
        served: a published version, or `"context"`: the observations.
        pinned: what was chosen; `None`: what won the last fit.
        versions: published ones in the service's words, the newest first.
    """

    served: str
    pinned: str | None
    versions: tuple[Mapping[str, Any], ...]


def read_predictions(documents: Sequence[Mapping[str, Any]]) -> Predictions:
    """Return the predictions of responses whose networks follow one another.

    Raises:
        ServiceError: when they have another form.
    """
    with known_form():
        rows = [row for document in documents for row in document["predictions"]]
        items = [_read(Prediction, {"index": index, **row}) for index, row in enumerate(rows)]
        return Predictions(_read(Source, documents[0]["model"]), tuple(documents[0]["epochs"]), tuple(items))


def read_decisions(documents: Sequence[Mapping[str, Any]]) -> list[Decision]:
    """Return the decisions of responses whose runs follow one another; raises as `read_predictions`."""
    with known_form():
        return [_read(Decision, row) for document in documents for row in document["decisions"]]


def read_tasks(document: Sequence[Mapping[str, Any]]) -> list[Task]:
    """Return the tasks of a response; raises as `read_predictions`."""
    with known_form():
        return [_read(Task, {**row, "name": row["task"]}) for row in document]


def read_observed(documents: Sequence[Mapping[str, Any]]) -> Observed:
    """Return the sum of responses; raises as `read_predictions`."""
    with known_form():
        added, repeated = (sum(document[name] for document in documents) for name in ("added", "repeated"))
        return Observed(added, repeated, documents[-1]["networks"])


def read_fit(document: Mapping[str, Any]) -> Fit:
    """Return the fit of a response; raises as `read_predictions`."""
    with known_form():
        return Fit(str(document["id"]), document["state"], document)


def read_versions(document: Mapping[str, Any]) -> Versions:
    """Return the versions of a response; raises as `read_predictions`."""
    with known_form():
        return _read(Versions, document)


@contextmanager
def known_form() -> Iterator[None]:
    """Say of responses that lack what they should have that they are of another form.

    Raises:
        ServiceError: then.
    """
    try:
        yield
    except (KeyError, TypeError, IndexError) as error:
        raise ServiceError(f"a response has another form, is the service's version another? {error!r}") from None


def _read(form: type[Form], row: Mapping[str, Any]) -> Form:
    """Return an object of JSON as a dataclass; a later service may have more fields."""
    known = {one.name for one in fields(form)}  # type: ignore[arg-type]
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items() if name in known}
    return form(**values)
