"""The messages of the service as pydantic models: the truth for validation, and what `/docs` shows."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from model.network.schema import Layer, Width

Accuracy = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

# Lists say only their first fault: millions of faulty elements would otherwise become millions of errors.
Observed = Annotated[list[Accuracy], Field(min_length=1, fail_fast=True)]
Layers = Annotated[list[Layer], Field(min_length=1, fail_fast=True)]
Codes = Annotated[list[Annotated[list[int], Field(fail_fast=True)]], Field(min_length=1, fail_fast=True)]
Epochs = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, fail_fast=True)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Candidate(_Message):
    """A network to predict, as layers or as codes."""

    id: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="Your name for it, unique in the request; `null` in the answer when absent."
    )
    in_channels: Width | None = Field(None, description="Channels of the image; checked against the task's when given.")
    layers: Layers | None = Field(None, description="From the image up to, but not including, the classifier.")
    codes: Codes | None = Field(
        None, description="Instead of `layers`: one row a layer, the columns of the task's code (see /info)."
    )

    observed: Observed | None = Field(
        None, description="Validation accuracy after epochs 1, 2, ...: the rest of the curve is predicted from it."
    )

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.layers is None) == (self.codes is None):
            raise ValueError("give exactly one of layers and codes")
        return self


class PredictOptions(_Message):
    """What a prediction request says beside its architectures."""

    task: str | None = Field(None, description="Which predictor; optional when only one is loaded.")
    epochs: Epochs | None = Field(
        None, description="1-based epochs to predict, without repeats; by default every epoch of the task's curves."
    )
    out_of_range: Literal["error", "clamp"] = Field(
        "error", description="A channel ratio outside the code's table: refuse it, or take the outermost bin."
    )


class PredictRequest(PredictOptions):
    """A population of candidate networks."""

    architectures: Annotated[list[Candidate], Field(min_length=1)]


class ModelName(_Message):
    """Which predictor answered."""

    task: str
    version: str
    sha256: str


class Prediction(_Message):
    """The predicted learning curve of one architecture; the lists run along the answer's `epochs`."""

    id: str | None
    accuracy: list[float] = Field(description="Validation accuracy after each epoch, 0 to 1.")
    lower: list[float] = Field(description="Lower end of the interval (level in /info).")
    upper: list[float] = Field(description="Upper end of the interval.")
    final_accuracy: float = Field(description="Accuracy at the largest requested epoch.")
    rank: int = Field(description="1 is the best final accuracy of the request; equals share a rank.")
    in_distribution: bool = Field(description="Whether it resembles the networks the predictor was fitted to.")
    notes: list[str] = Field(description="What was clamped, and what to be careful about.")


class PredictResponse(_Message):
    """Predictions in the order of the request."""

    request_id: str
    model: ModelName
    epochs: list[int]
    predictions: list[Prediction]


class FaultDocument(_Message):
    """One fault of a request."""

    pointer: str = Field(description="JSON Pointer (RFC 6901) to the fault.")
    code: str
    detail: str


class ProblemDocument(BaseModel):
    """Every error: RFC 9457 problem details."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FaultDocument] = []
    truncated: bool = False
