"""Response schemas, as `/docs` shows them."""

from pydantic import BaseModel, ConfigDict, Field


class ModelName(BaseModel):
    """Which predictor was used."""

    task: str
    version: str
    sha256: str


class ContextName(BaseModel):
    """What a request's context was answered by."""

    prior: str | None = Field(description="The task whose predictor it builds on.")
    networks: int = Field(description="Measured networks in the context.")
    tau: float = Field(description="Kendall's tau when each network of the context is predicted from the others.")
    proxies: list[str] = Field(description="The zero-cost scores that were read: those that the whole context has.")


class Prediction(BaseModel):
    """The predicted learning curve of one network; the lists run along the response's `epochs`."""

    id: str | None
    accuracy: list[float] = Field(description="Validation accuracy after each epoch, 0 to 1.")
    lower: list[float] = Field(description="Lower end of the interval (its level is in /tasks/{name}).")
    upper: list[float] = Field(description="Upper end of the interval.")
    final_accuracy: float = Field(description="Accuracy at the largest requested epoch.")
    rank: int = Field(description="1 is the best of the request, by `rank_by`; equals share a rank.")
    distance: float = Field(description="Distance from the training set; 1.0 is the threshold of `in_distribution`.")
    in_distribution: bool = Field(description="Whether the network resembles the predictor's training set.")
    params: int = Field(description="Learned parameters, the classifier left out.")
    flops: int = Field(description="Of a forward pass of one image: 2 for each multiply-add of conv and linear layers.")
    activation_bytes: int = Field(description="Largest inputs plus output of one layer, float32, one image.")
    feasible: bool | None = Field(default=None, description="Whether it meets the request's `constraints`.")
    pareto_rank: int | None = Field(default=None, description="By the request's `objectives`; 1 is the front.")
    proxies: dict[str, float] | None = Field(default=None, description="Zero-cost scores that the service computed.")
    notes: list[str] = Field(description="What was approximated, and what to be careful about.")


class PredictResponse(BaseModel):
    """Predictions in the order of the request."""

    request_id: str
    model: ModelName | ContextName
    epochs: list[int]
    predictions: list[Prediction]


class Decision(BaseModel):
    """Whether to stop a run, and why."""

    id: str | None
    probability_below: float = Field(description="Probability that the final accuracy is at most `best`.")
    stop: bool
    final_accuracy: float
    lower: float = Field(description="Lower end of the final accuracy's interval.")
    upper: float


class StopResponse(BaseModel):
    """Decisions in the order of the request."""

    request_id: str
    model: ModelName
    confidence: float
    decisions: list[Decision]


class WeightsResponse(BaseModel):
    """The accuracy predicted from a network's weights, with its interval, and the task of the training set."""

    request_id: str
    task: str
    accuracy: float
    lower: float
    upper: float
    distance: float = Field(description="Distance from the training set; 1.0 is the threshold of `in_distribution`.")
    in_distribution: bool = Field(description="Whether the weights resemble those of the predictor's training set.")
    notes: list[str] = Field(description="Tensors that were not read, and what to be careful about.")


class FaultDocument(BaseModel):
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
