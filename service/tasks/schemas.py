"""Request and response schemas of stored tasks."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from model.network.schema import MAX_ARCHITECTURES, MAX_ID, MAX_NAME, Fraction, Layers, Size, Width
from model.requests.schema import Proxies

MAX_DESCRIPTION = 2000
AUTO = "auto"

_strict = with_config(ConfigDict(extra="forbid", strict=True))


def _storable(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("nul", "must not hold the character U+0000")
    return text


Accuracy = Annotated[
    Fraction | Annotated[list[Fraction], Field(min_length=1, max_length=1024, fail_fast=True)],
    Field(
        description="Measured accuracy: after the last epoch, or a list of those after epochs 1, 2, ...",
        examples=[0.71, [0.52, 0.66, 0.71]],
    ),
]
Text = Annotated[str, AfterValidator(_storable)]


@_strict
class PutTask(TypedDict):
    """A data set and a training recipe of your own."""

    input: Annotated[
        tuple[Width, Size, Size],
        Field(strict=False, description="Channels, height and width of an image.", examples=[[3, 32, 32]]),
    ]
    description: NotRequired[
        Annotated[Text, Field(max_length=MAX_DESCRIPTION, description="For people: what is measured, and how.")] | None
    ]
    prior: NotRequired[
        Annotated[
            str,
            Field(description='A loaded task whose predictor is the prior; "auto" (default) chooses, `null` is none.'),
        ]
        | None
    ]


@_strict
class MeasuredNetwork(TypedDict):
    """A network that was trained."""

    layers: Annotated[Layers, Field(description="From the image up to, but not including, the classifier.")]
    accuracy: Accuracy
    seed: NotRequired[Annotated[int, Field(ge=0, lt=2**63, description="Of the training run. Default: 0.")]]
    proxies: NotRequired[Proxies]
    id: NotRequired[Annotated[Text, Field(max_length=MAX_ID, description="Your name for it.")] | None]


@_strict
class PostObservations(TypedDict):
    """Measured networks; all are added, or none."""

    observations: Annotated[list[MeasuredNetwork], Field(min_length=1, max_length=MAX_ARCHITECTURES, fail_fast=True)]


@_strict
class PostFit(TypedDict):
    """Nothing: a fit reads what is stored."""


@_strict
class PutVersion(TypedDict):
    """Which version predicts a task from now on."""

    version: Annotated[
        str | None,
        Field(max_length=MAX_NAME, description="A published version, or `context`; `null`: what won the last fit."),
    ]


POST_FIT: TypeAdapter[PostFit] = TypeAdapter(PostFit)
PUT_VERSION: TypeAdapter[PutVersion] = TypeAdapter(PutVersion)
PUT_TASK: TypeAdapter[PutTask] = TypeAdapter(PutTask)
POST_OBSERVATIONS: TypeAdapter[PostObservations] = TypeAdapter(PostObservations)


class StoredObservation(BaseModel):
    """A measured network as it is stored."""

    id: str | None
    network: str = Field(description="Equal for equal networks, however they are written.")
    seed: int
    accuracy: float | list[float]
    layers: list[Any]
    proxies: dict[str, float] | None
    added_at: str = Field(description="UTC, ISO 8601.")


class StoredTaskSummary(BaseModel):
    """A stored task in a line."""

    task: str
    description: str | None
    input: list[int] = Field(description="Channels, height and width of an image.")
    prior: str | None
    created_at: str = Field(description="UTC, ISO 8601.")


class StoredTaskDocument(StoredTaskSummary):
    """A stored task: what was measured so far, and what predicts it."""

    networks: int = Field(description="Distinct networks.")
    observations: int
    best: StoredObservation | None = Field(description="The highest final accuracy so far, the first of equals.")
    version: str = Field(description="What predicts: a published version, or `context`.")
    versions: list[str] = Field(description="Published ones, the newest first.")
    tau: float | None = Field(
        default=None,
        description="Kendall's, when each network is predicted from the others; `null` with fewer than 3 networks.",
    )


class AddedObservations(BaseModel):
    """What became of the observations of a request."""

    added: int
    repeated: int = Field(description="Those whose network and seed were stored before; the first value is kept.")
    networks: int = Field(description="Distinct networks of the task now.")


class ObservationPage(BaseModel):
    """Observations in the order in which they were added."""

    observations: list[StoredObservation]
    cursor: str | None = Field(description="`cursor` of the next page; `null` on the last one.")


class Error(BaseModel):
    """Figures of predictions of networks that were left out: of final accuracies, the mean over the folds."""

    tau: float = Field(description="Kendall's.")
    r2: float
    mse: float
    mae: float


class FitResult(BaseModel):
    """What a fit gave. The fitted predictor and the context model predicted the same folds."""

    published: bool = Field(description="Whether the fitted predictor was the better one, by tau.")
    version: str | None
    networks: int
    observations: int
    artifact: Error
    context: Error
    seconds: float


class FitDocument(BaseModel):
    """A background fit. Times are UTC, ISO 8601."""

    id: str
    state: Literal["queued", "running", "done", "failed"]
    progress: float = Field(description="0 to 1.")
    log: list[str]
    attempts: int = Field(description="How often a worker took it up.")
    result: FitResult | None
    error: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None


class FitsDocument(BaseModel):
    """The background fits of a stored task, the newest first."""

    fits: list[FitDocument]


class VersionDocument(BaseModel):
    """A fitted predictor that was published, and the result of its fit."""

    version: str
    sha256: str
    created_at: str = Field(description="UTC, ISO 8601.")
    result: FitResult


class VersionsDocument(BaseModel):
    """The versions of a stored task, the newest first."""

    served: str = Field(description="What predicts: a version, or `context`.")
    pinned: str | None = Field(description="What PUT /tasks/{name}/version chose; `null`: what won the last fit.")
    versions: list[VersionDocument]
