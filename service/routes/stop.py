"""`POST /stop`: will a running network end below the best so far (Baker et al., arXiv 1705.10823, section 4)."""

from typing import Annotated

import msgspec
import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, RootModel
from starlette.responses import Response

from model.architecture import Layer, Width
from service.admission import admitted
from service.body import read_body
from service.continuing import check_observed, continuation_of
from service.envelope import read_fields, read_list, read_options
from service.faults import pointer
from service.models import Model, choose
from service.population import Population, read_population
from service.predicting import predict_curves
from service.problems import Fault, Problem, invalid, request_id
from service.schemas import Accuracy, ModelName
from service.service import Service, ServiceDep

router = APIRouter(tags=["prediction"])
RUN_FIELDS = ("id", "observed", "layers", "codes", "in_channels")
DECIMALS = 6


class StopOptions(BaseModel):
    """What is asked about the runs."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    task: str | None = Field(None, description="Which predictor; optional when only one is loaded.")
    best: Accuracy = Field(description="Best final accuracy so far.")
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = Field(
        0.95, description="Stop a run when the probability that it ends at or below `best` is at least this."
    )
    out_of_range: str = Field("clamp", pattern="^(error|clamp)$", description="As in /predict.")


class StopRun(BaseModel):
    """A run in progress; with `layers` or `codes` (as in /predict) the answer is better, early on much better."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Annotated[str, Field(max_length=200)] | None = None
    observed: Annotated[list[Accuracy], Field(min_length=1)] = Field(description="Accuracy after epochs 1, 2, ...")
    in_channels: Width | None = None
    layers: Annotated[list[Layer], Field(min_length=1)] | None = None
    codes: Annotated[list[list[int]], Field(min_length=1)] | None = None


class ManyRuns(StopOptions):
    """Runs of a whole population: with layers or codes for all of them, or for none."""

    architectures: Annotated[list[StopRun], Field(min_length=1)]


class OneRun(StopOptions, StopRun):
    """One run."""


class StopRequest(RootModel[ManyRuns | OneRun]):
    """One run, or `architectures` with many."""


class Run(BaseModel):
    """A run of which only the curve is known."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    id: Annotated[str, Field(max_length=200)] | None = None
    observed: Annotated[list[Accuracy], Field(min_length=1)]


class Verdict(BaseModel):
    """Whether to stop a run, and why."""

    id: str | None
    probability_below: float = Field(description="Probability that the final accuracy is at most `best`.")
    stop: bool
    final_accuracy: float
    lower: float = Field(description="Lower end of the final accuracy's interval (level in /info).")
    upper: float


class StopResponse(BaseModel):
    """Verdicts in the order of the request."""

    request_id: str
    model: ModelName
    confidence: float
    verdicts: list[Verdict]


_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


@router.post("/stop", summary="Should runs in progress be stopped", response_model=StopResponse)
async def stop(request: Request, service: ServiceDep) -> Response:
    """Tell how probable it is that runs end at or below the best final accuracy so far, and whether to stop them.

    Send one run (`observed`, optionally `layers`) at the top level, or many in `architectures`: with layers or codes
    for all of them, or for none.
    """
    with admitted(request, service):
        fields = read_fields(await read_body(request, service))
        alone = "architectures" not in fields
        try:
            answer = await _answer(request, service, _as_batch(fields) if alone else fields)
        except Problem as problem:
            if not alone or not problem.faults:
                raise
            prefix = "/architectures/0"
            raise invalid([Fault(f.pointer.removeprefix(prefix), f.code, f.detail) for f in problem.faults]) from None
    return Response(answer, media_type="application/json")


def _as_batch(fields: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    run = {name: fields.pop(name) for name in RUN_FIELDS if name in fields}
    return {**fields, "architectures": msgspec.Raw(msgspec.json.encode([run]))}


def _read_runs(texts: list[msgspec.Raw], model: Model, service: Service, *, clamp: bool) -> Population:
    """Read the runs; without layers they have no codes."""
    shaped = []
    for text in texts:
        try:
            named = _FIELDS.decode(text).keys() & {"layers", "codes"}
        except (msgspec.MsgspecError, UnicodeDecodeError):
            shaped.append(False)
        else:
            shaped.append(bool(named))
    if any(shaped):
        bare = [index for index, has_layers in enumerate(shaped) if not has_layers]
        if bare:
            detail = "give layers or codes for all runs or for none"
            raise invalid([Fault(pointer("architectures", index), "missing", detail) for index in bare])
        population = read_population(texts, model.vocabulary, clamp=clamp, max_layers=service.settings.max_layers)
        missing = [index for index in range(len(texts)) if index not in population.observed]
        if missing:
            raise invalid([Fault(pointer("architectures", i, "observed"), "missing", "required") for i in missing])
        return population
    runs = [_read_run(text, index) for index, text in enumerate(texts)]
    return Population([run.id for run in runs], [], [], {index: run.observed for index, run in enumerate(runs)})


def _read_run(text: msgspec.Raw, index: int) -> Run:
    try:
        fields = read_fields(bytes(text))
        return read_options(Run, fields)
    except Problem as problem:
        base = pointer("architectures", index)
        raise invalid([Fault(base + f.pointer, f.code, f.detail) for f in problem.faults]) from None


async def _answer(request: Request, service: Service, fields: dict[str, msgspec.Raw]) -> bytes:
    architectures = fields.pop("architectures")
    options = read_options(StopOptions, fields)
    model = choose(service.models, options.task)
    texts = read_list(architectures, "architectures", most=service.settings.max_architectures)
    population = _read_runs(texts, model, service, clamp=options.out_of_range == "clamp")
    check_observed(population, model)
    prior = None
    if population.codes:
        every = tuple(range(1, model.card.epochs + 1))
        prior = (await predict_curves(service, request, model, population.codes, every)).accuracy
    curves = [population.observed[index] for index in range(len(texts))]
    continued = continuation_of(model, "/architectures").run(curves, prior=prior, best=options.best)
    columns = (continued.below, continued.accuracy[:, -1], continued.lower[:, -1], continued.upper[:, -1])
    rows = np.stack(columns, axis=1).astype(np.float64).round(DECIMALS).tolist()
    verdicts = [
        {
            "id": name,
            "probability_below": below,
            "stop": below >= options.confidence,
            "final_accuracy": final,
            "lower": lower,
            "upper": upper,
        }
        for name, (below, final, lower, upper) in zip(population.ids, rows, strict=True)
    ]
    card = model.card
    return msgspec.json.encode(
        {
            "request_id": request_id(request),
            "model": {"task": card.task, "version": card.version, "sha256": card.sha256},
            "confidence": options.confidence,
            "verdicts": verdicts,
        }
    )
