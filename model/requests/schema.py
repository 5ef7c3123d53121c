"""The form of requests: the truth for validation, and what `/docs` shows."""

from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from ..network.schema import MAX_ARCHITECTURES, MAX_CONTEXT, MAX_NAME, MIN_CONTEXT, Fraction, Id, Layers, Size, Width
from ..ranking import OutOfDistribution, RankBy

MAX_PROXIES = 64  # of a network
_strict = with_config(ConfigDict(extra="forbid", strict=True))

Observed = Annotated[
    list[Fraction],
    Field(min_length=1, max_length=1024, fail_fast=True, description="Validation accuracy after epochs 1, 2, ..."),
]
Epoch = Annotated[int, Field(ge=1)]
Epochs = Annotated[
    Epoch | Annotated[list[Epoch], Field(min_length=1, max_length=1024, fail_fast=True)],
    Field(description="1-based epochs to predict, without repeats; `20` means `[20]`. Default: every epoch."),
]
Task = Annotated[str, Field(description="Which predictor; optional when only one is loaded.")]
Version = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_NAME,
        description="The version of the task that predicts: of a stored task, a published one or `context`.",
    ),
]
ClientId = Annotated[Id, Field(description="Your name for it, unique in the request.")]
Input = Annotated[
    tuple[Width, Size, Size],
    Field(
        strict=False, description="Channels, height and width of an image; default: the task's.", examples=[[3, 32, 32]]
    ),
]
CostName = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
Cost = Annotated[float, Field(allow_inf_nan=False)]
OwnCosts = Annotated[
    dict[CostName, Cost],
    Field(max_length=16, description="Costs of your own, such as a measured latency.", examples=[{"latency_ms": 3.1}]),
]
Constraints = Annotated[
    dict[CostName, Cost],
    Field(
        min_length=1,
        max_length=16,
        description="Upper bounds of params, flops, activation_bytes or costs of your own; `feasible` in the answer.",
        examples=[{"params": 1e6}],
    ),
]
Objectives = Annotated[
    list[CostName],
    Field(
        min_length=1,
        max_length=8,
        description="What to trade off: accuracy (up) and costs (down); `pareto_rank` in the answer, 1 is the front.",
        examples=[["accuracy", "flops"]],
    ),
]
RankedBy = Annotated[
    RankBy,
    Field(
        description="What `rank` compares: the final accuracy (mean, the default), or the lower or upper end of its "
        "interval."
    ),
]
OutOfDistributionRule = Annotated[
    OutOfDistribution,
    Field(
        description="How `rank` treats networks of a distance above 1: keep (the default) ranks them like others, last "
        "behind all others, penalise subtracts (distance - 1) times the width of the interval."
    ),
]
ProxyName = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
Proxies = Annotated[
    dict[ProxyName, Annotated[float, Field(allow_inf_nan=False)]],
    Field(
        max_length=MAX_PROXIES,
        description="Zero-cost scores of the untrained network, by name, as `peephole proxies` measures them.",
        examples=[{"swap": 4.21, "naswot": 552.9}],
    ),
]
ComputedProxies = Annotated[
    Literal["compute"],
    Field(description="Let the service compute the zero-cost scores of networks that bring none; for some tasks."),
]
InChannels = Annotated[Width, Field(description="Channels of the image; checked against the task's when given.")]


@_strict
class Candidate(TypedDict):
    """A network to predict; with `observed`, the rest of its curve is predicted from the epochs seen so far."""

    layers: Annotated[Layers, Field(description="From the image up to, but not including, the classifier.")]
    id: NotRequired[ClientId | None]
    in_channels: NotRequired[InChannels | None]
    observed: NotRequired[Observed | None]
    costs: NotRequired[OwnCosts]
    proxies: NotRequired[Proxies]


@_strict
class Measured(TypedDict):
    """A measured network of a context."""

    layers: Annotated[Layers, Field(description="From the image up to, but not including, the classifier.")]
    accuracy: Annotated[
        Fraction | Annotated[list[Fraction], Field(min_length=1, max_length=1024, fail_fast=True)],
        Field(description="Measured accuracy, or the curve of all epochs.", examples=[0.71, [0.31, 0.52, 0.64]]),
    ]
    id: NotRequired[ClientId | None]
    proxies: NotRequired[Proxies]


Context = Annotated[
    list[Measured],
    Field(
        min_length=MIN_CONTEXT,
        max_length=MAX_CONTEXT,
        fail_fast=True,
        description="Networks measured so far on a data set of your own; predictions are then for that data set.",
    ),
]
Prior = Annotated[
    str,
    Field(
        description="The task whose predictor a context builds on: auto (the default, the likeliest), a task's name, "
        "or null for none."
    ),
]


@_strict
class PredictRequest(TypedDict):
    """Networks to predict, for one task or for what the networks of a context were measured on."""

    architectures: Annotated[list[Candidate], Field(min_length=1, max_length=MAX_ARCHITECTURES, fail_fast=True)]
    task: NotRequired[Task | None]
    version: NotRequired[Version | None]
    epochs: NotRequired[Epochs | None]
    input: NotRequired[Input]
    constraints: NotRequired[Constraints]
    objectives: NotRequired[Objectives]
    rank_by: NotRequired[RankedBy]
    out_of_distribution: NotRequired[OutOfDistributionRule]
    proxies: NotRequired[ComputedProxies]
    context: NotRequired[Context]
    prior: NotRequired[Prior | None]


@_strict
class Run(TypedDict):
    """A training run in progress; with `layers`, the decision is better, most of all early."""

    observed: Observed
    id: NotRequired[ClientId | None]
    in_channels: NotRequired[InChannels | None]
    layers: NotRequired[Layers | None]


@_strict
class StopRuns(TypedDict):
    """Whether to stop runs, given the best final accuracy so far."""

    architectures: Annotated[list[Run], Field(min_length=1, max_length=MAX_ARCHITECTURES, fail_fast=True)]
    best: Annotated[Fraction, Field(description="Best final accuracy so far.")]
    task: NotRequired[Task | None]
    confidence: NotRequired[
        Annotated[
            float,
            Field(
                ge=0.5,
                lt=1,
                description="Stop when the probability of ending at or below `best` is at least this. Default: 0.95.",
            ),
        ]
    ]


@_strict
class StopOneRun(TypedDict):
    """Whether to stop one run: the fields of the run beside those of the request."""

    observed: Observed
    best: Annotated[Fraction, Field(description="Best final accuracy so far.")]
    id: NotRequired[ClientId | None]
    in_channels: NotRequired[InChannels | None]
    layers: NotRequired[Layers | None]
    task: NotRequired[Task | None]
    confidence: NotRequired[Annotated[float, Field(ge=0.5, lt=1)]]


PREDICT_REQUEST: TypeAdapter[PredictRequest] = TypeAdapter(PredictRequest)
STOP_RUNS: TypeAdapter[StopRuns] = TypeAdapter(StopRuns)
STOP_ONE_RUN: TypeAdapter[StopOneRun] = TypeAdapter(StopOneRun)
CANDIDATE: TypeAdapter[Candidate] = TypeAdapter(Candidate)
