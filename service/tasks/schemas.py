"""Request and response schemas of stored tasks."""

from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from model.network.schema import MAX_ARCHITECTURES, MAX_ID, Fraction, Layers, Size, Width
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
    """A stored task: what was measured so far."""

    networks: int = Field(description="Distinct networks.")
    observations: int
    best: StoredObservation | None = Field(description="The highest final accuracy so far, the first of equals.")


class AddedObservations(BaseModel):
    """What became of the observations of a request."""

    added: int
    repeated: int = Field(description="Those whose network and seed were stored before; the first value is kept.")
    networks: int = Field(description="Distinct networks of the task now.")


class ObservationPage(BaseModel):
    """Observations in the order in which they were added."""

    observations: list[StoredObservation]
    cursor: str | None = Field(description="`cursor` of the next page; `null` on the last one.")
