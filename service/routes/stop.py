"""`POST /stop`: will a running network end below the best so far (Baker et al., arXiv 1705.10823, section 4)."""

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, RootModel
from starlette.responses import Response

from model.accuracies import rounded
from model.continuation import Continued
from model.network.schema import Width
from service.admission import admitted
from service.aside import INLINE_BYTES, SHORT, aside
from service.body import read_body
from service.continuing import check_observed, continue_curves
from service.envelope import read_fields, read_list, read_options
from service.faults import pointer
from service.models import Model, choose
from service.population import Population, read_population, repeated_ids
from service.predicting import predict_curves
from service.problems import Fault, Problem, invalid, request_id
from service.schemas import Accuracy, Codes, Layers, ModelName, Observed
from service.service import Service, ServiceDep

router = APIRouter(tags=["prediction"])
RUN_FIELDS = ("id", "observed", "layers", "codes", "in_channels")


class StopOptions(BaseModel):
    """What is asked about the runs."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    task: str | None = Field(None, description="Which predictor; optional when only one is loaded.")
    best: Accuracy = Field(description="Best final accuracy so far.")
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = Field(
        0.95, description="Stop a run when the probability that it ends at or below `best` is at least this."
    )
    out_of_range: Literal["error", "clamp"] = Field(
        "clamp", description="As in /predict, but `clamp` unless said otherwise."
    )


class StopRun(BaseModel):
    """A run in progress; with `layers` or `codes` (as in /predict) the answer is better, early on much better."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="Your name for it, unique in the request; `null` in the answer when absent."
    )
    observed: Observed = Field(description="Accuracy after epochs 1, 2, ...")
    in_channels: Width | None = Field(None, description="Channels of the image; checked against the task's when given.")
    layers: Layers | None = None
    codes: Codes | None = None


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
    observed: Observed
    in_channels: Width | None = None
    layers: None = None
    codes: None = None


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


@dataclass(frozen=True, slots=True)
class Question:
    """A question that was read: which predictor, what is asked about the runs, the runs, and whether it was but one."""

    model: Model
    options: StopOptions
    population: Population
    alone: bool


_NOTHING_SEEN = Fault("/observed", "missing", "required for one run; many runs go into `architectures`")
_NULL = msgspec.Raw(b"null")
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


@router.post("/stop", summary="Should runs in progress be stopped", response_model=StopResponse)
async def stop(request: Request, service: ServiceDep) -> Response:
    """Tell how probable it is that runs end at or below the best final accuracy so far, and whether to stop them.

    Send one run (`observed`, optionally `layers`) at the top level, or many in `architectures`: with layers or codes
    for all of them, or for none.
    """
    with admitted(request, service):
        body = await read_body(request, service)
        state = request.scope["state"]
        state["sizes"], deadline = {"bytes_in": len(body)}, state["deadline"]
        if len(body) <= INLINE_BYTES:
            asked = read_question(body, service, deadline)
        else:
            asked = await aside(service.reader(len(body)), deadline, read_question, body, service, deadline)
        state["sizes"]["networks"] = len(asked.population.ids)
        try:
            answer = await _answer(request, service, asked)
        except Problem as problem:
            if not asked.alone:
                raise
            raise _for_one(problem) from None
    return Response(answer, media_type="application/json")


def _for_one(problem: Problem) -> Problem:
    """Let a problem's pointers start at the run itself."""
    found = [Fault(f.pointer.removeprefix("/architectures/0"), f.code, f.detail) for f in problem.faults]
    found = [_NOTHING_SEEN if (f.pointer, f.code) == ("/observed", "missing") else f for f in found]
    if problem.slug == "invalid-request":
        return invalid(found)
    problem.faults = found
    return problem


def read_question(body: bytes, service: Service, deadline: float) -> Question:
    """Read and validate a question about runs.

    Raises:
        Problem: 400 or 422, with a pointer to each fault; 504 when the deadline passes meanwhile.
    """
    fields = read_fields(body)
    if "architectures" in fields:
        if found := [_of_each(name) for name in RUN_FIELDS if name in fields]:
            raise invalid(found)
        return _read_batch(fields, service, deadline, alone=False)
    try:
        return _read_batch(_as_batch(fields), service, deadline, alone=True)
    except Problem as problem:
        raise _for_one(problem) from None


def _of_each(name: str) -> Fault:
    detail = "describes one run: move it into each of `architectures`, or leave `architectures` out"
    return Fault(pointer(name), "excluded", detail)


def _read_batch(fields: dict[str, msgspec.Raw], service: Service, deadline: float, *, alone: bool) -> Question:
    architectures = fields.pop("architectures")
    options = read_options(StopOptions, fields)
    model = choose(service.models, options.task)
    texts = read_list(architectures, "architectures", most=service.settings.max_architectures)
    population = _read_runs(texts, model, service, deadline, clamp=options.out_of_range == "clamp")
    check_observed(population, model)
    return Question(model, options, population, alone)


def _as_batch(fields: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    run = {name: fields.pop(name) for name in RUN_FIELDS if name in fields}
    return {**fields, "architectures": msgspec.Raw(msgspec.json.encode([run]))}


def _read_runs(texts: list[msgspec.Raw], model: Model, service: Service, deadline: float, *, clamp: bool) -> Population:
    """Read the runs; without layers they have no codes."""
    shaped = []
    for text in texts:
        try:
            fields = _FIELDS.decode(text)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            shaped.append(False)
        else:
            shaped.append(any(bytes(fields.get(name, _NULL)) != b"null" for name in ("layers", "codes")))
    if any(shaped):
        bare = [index for index, has_layers in enumerate(shaped) if not has_layers]
        if bare:
            detail = "give layers or codes for all runs or for none"
            raise invalid([Fault(pointer("architectures", index), "missing", detail) for index in bare])
        max_layers = service.settings.max_layers
        population = read_population(texts, model.vocabulary, clamp=clamp, max_layers=max_layers, deadline=deadline)
        missing = [index for index in range(len(texts)) if index not in population.observed]
        if missing:
            raise invalid([Fault(pointer("architectures", i, "observed"), "missing", "required") for i in missing])
        return population
    channels = model.vocabulary.image.channels
    runs = [_read_run(text, index, channels) for index, text in enumerate(texts)]
    ids = [run.id for run in runs]
    if found := repeated_ids(ids):
        raise invalid(found)
    return Population(ids, [], [], {index: run.observed for index, run in enumerate(runs)})


def _read_run(text: msgspec.Raw, index: int, channels: int) -> Run:
    try:
        run = read_options(Run, read_fields(bytes(text)))
    except Problem as problem:
        if not problem.faults:
            raise
        base = pointer("architectures", index)
        raise invalid([Fault(base + f.pointer, f.code, f.detail) for f in problem.faults]) from None
    if run.in_channels not in (None, channels):
        at = pointer("architectures", index, "in_channels")
        raise invalid([Fault(at, "outside-code", f"the task's images have {channels} channels")])
    return run


async def _answer(request: Request, service: Service, asked: Question) -> bytes:
    model, population = asked.model, asked.population
    prior = None
    if population.codes:
        every = tuple(range(1, model.card.epochs + 1))
        curves = await predict_curves(service, request, model, population.codes, every)
        service.metrics.count(model.card, map(len, population.codes), curves.distance)
        prior = curves.accuracy
    observed = [population.observed[index] for index in range(len(population.ids))]
    continued = await continue_curves(service, request, model, observed, prior=prior, best=asked.options.best)
    arguments = (request_id(request), asked, continued)
    if len(observed) <= SHORT:
        return _render(*arguments)
    return await aside(service.writers, request.scope["state"]["deadline"], _render, *arguments)


def _render(request_id: str, asked: Question, continued: Continued) -> bytes:
    columns = (continued.below, continued.accuracy[:, -1], continued.lower[:, -1], continued.upper[:, -1])
    rows = rounded(np.stack(columns, axis=1)).tolist()
    verdicts = [
        {
            "id": name,
            "probability_below": below,
            "stop": below >= asked.options.confidence,
            "final_accuracy": final,
            "lower": lower,
            "upper": upper,
        }
        for name, (below, final, lower, upper) in zip(asked.population.ids, rows, strict=True)
    ]
    card = asked.model.card
    return msgspec.json.encode(
        {
            "request_id": request_id,
            "model": {"task": card.task, "version": card.version, "sha256": card.sha256},
            "confidence": asked.options.confidence,
            "verdicts": verdicts,
        }
    )
