"""`POST /predict`: learning curves of networks that were not trained."""

import asyncio
from dataclasses import dataclass
from math import inf
from time import monotonic, perf_counter

from fastapi import APIRouter, Request
from starlette.responses import Response

from model.runtime import Curves
from service import quick
from service.admission import admitted
from service.answer import render
from service.aside import INLINE_BYTES, aside, too_late
from service.body import read_body
from service.continuing import check_observed, predict_population
from service.edge import stages
from service.envelope import read_fields, read_list, read_options
from service.models import Model, choose
from service.population import Population, read_population
from service.problems import request_id
from service.schemas import PredictOptions, PredictResponse
from service.service import Service, ServiceDep

router = APIRouter(tags=["prediction"])
LARGE_BYTES = 128 * 1024  # of layers met before


@dataclass(frozen=True, slots=True)
class Call:
    """A prediction request that was read: which predictor, which epochs, which networks."""

    model: Model
    epochs: tuple[int, ...]
    population: Population


def look_up_call(body: bytes, service: Service) -> Call | None:
    """Read a prediction request of which every layer was met before, in time that its size bounds; else return `None`.

    Raises:
        Problem: 422 for the task or the epochs.
    """
    asked = quick.parse(body)
    if asked is None:
        return None
    model = choose(service.models, asked.task)
    epochs = model.epochs(asked.epochs)
    settings = service.settings
    population = quick.look_up(asked, model.vocabulary, most=settings.max_architectures, max_layers=settings.max_layers)
    if population is None:
        return None
    check_observed(population, model)
    return Call(model, epochs, population)


def read_call(body: bytes, service: Service, deadline: float = inf) -> Call:
    """Read and validate a prediction request.

    Raises:
        Problem: 400 or 422, with a pointer to each fault; 504 when the deadline passes meanwhile.
    """
    known = look_up_call(body, service)
    if known is not None:
        return known
    fields = read_fields(body)
    architectures = fields.pop("architectures", None)
    options = read_options(PredictOptions, fields)
    model = choose(service.models, options.task)
    epochs = model.epochs(options.epochs)
    texts = read_list(architectures, "architectures", most=service.settings.max_architectures)
    clamp = options.out_of_range == "clamp"
    max_layers = service.settings.max_layers
    population = read_population(texts, model.vocabulary, clamp=clamp, max_layers=max_layers, deadline=deadline)
    check_observed(population, model)
    return Call(model, epochs, population)


@router.post(
    "/predict",
    summary="Predict learning curves",
    response_model=PredictResponse,
)
async def predict(request: Request, service: ServiceDep) -> Response:
    """Predict the validation accuracy after each epoch of networks that were not trained.

    Architectures are answered in the order of the request. Every error is an `application/problem+json` document whose
    `errors` point at the faults.
    """
    with admitted(request, service):
        body = await read_body(request, service)
        answer, call = await _answer(request, service, body)
    request.scope["state"]["sizes"] = {"bytes_in": len(body), "networks": len(call.population.codes)}
    return Response(answer, media_type="application/json")


def _read_here(body: bytes, service: Service, deadline: float) -> Call | None:
    """Read on the event loop what takes a millisecond or two; else return `None`.

    Raises:
        Problem: as `read_call`.
    """
    if monotonic() > deadline:
        raise too_late()
    call = look_up_call(body, service)
    if call is None and len(body) <= INLINE_BYTES:
        call = read_call(body, service, deadline)
    return call


async def _answer(request: Request, service: Service, body: bytes) -> tuple[bytes, Call]:
    """Read, predict, write; what would hold up the others is read and written on a thread."""
    deadline = request.scope["state"]["deadline"]
    times = stages(request.scope)
    large = len(body) > LARGE_BYTES
    arrived = started = perf_counter()
    call = None
    if not large:
        await service.turns.wait()
        started = perf_counter()
        with service.turns.reading():
            call = _read_here(body, service, deadline)
    if call is None:
        call = await aside(service.reader(len(body)), deadline, read_call, body, service, deadline)
    times["validate"] = perf_counter() - started
    times["queue"] = started - arrived
    curves = await predict_population(service, request, call.model, call.population, call.epochs)
    started = perf_counter()
    arguments = (request_id(request), call.model.card, call.epochs, call.population, curves)
    answer = await aside(service.writers, deadline, render, *arguments) if large else render(*arguments)
    times["encode"] = perf_counter() - started
    asyncio.get_running_loop().call_soon(_count, service, times, call, curves)  # once the answer is on its way
    return answer, call


def _count(service: Service, times: dict[str, float], call: Call, curves: Curves) -> None:
    service.metrics.validate_seconds.observe(times["validate"])
    service.metrics.encode_seconds.observe(times["encode"])
    service.metrics.count(call.model.card, map(len, call.population.codes), curves.distance)
