"""`POST /predict`: learning curves of networks that were not trained."""

from time import monotonic, perf_counter

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.admission import admitted
from service.answer import render
from service.aside import aside, too_late
from service.body import read_body
from service.calls import Call, count, read_call, read_here
from service.continuing import predict_population
from service.edge import stages
from service.problems import request_id
from service.schemas import PredictResponse
from service.service import Service, ServiceDep

router = APIRouter(tags=["prediction"])
LARGE_BYTES = 128 * 1024  # of layers met before


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
        text = await answer(request, service, body)
    return Response(text, media_type="application/json")


async def answer(request: Request, service: Service, body: bytes, call: Call | None = None) -> bytes:
    """Read unless it was read already, predict, write; what would hold up the others is done on a thread.

    Raises:
        Problem: as `read_call` and `predict_population`; 504 when the deadline passes before the answer is written.
        ClientGoneError: when the caller hung up meanwhile.
    """
    deadline = request.scope["state"]["deadline"]
    times = stages(request.scope)
    large = len(body) > LARGE_BYTES
    call = call or await _read(service, body, deadline, times)
    curves = await predict_population(service, request, call.model, call.population, call.epochs)
    arguments = (request_id(request), call.model.card, call.epochs, call.population, curves)
    if large:
        started = perf_counter()
        text = await aside(service.writers, deadline, render, *arguments)
    else:
        await service.turns.to_answer()
        if monotonic() > deadline:
            raise too_late()
        started = perf_counter()
        with service.turns.taken():
            text = render(*arguments)
    times["encode"] = perf_counter() - started
    request.scope["state"]["sizes"] = {"bytes_in": len(body), "networks": len(call.population.codes)}
    service.ledger.enter(count, service.metrics, times, call, curves)
    return text


async def _read(service: Service, body: bytes, deadline: float, times: dict[str, float]) -> Call:
    """Read a request, on the event loop if that takes but a millisecond or two; fills in stage times."""
    arrived = started = perf_counter()
    call = None
    if len(body) <= LARGE_BYTES:
        await service.turns.to_read()
        started = perf_counter()
        with service.turns.taken():
            call = read_here(body, service, deadline)
    if call is None:
        call = await aside(service.reader(len(body)), deadline, read_call, body, service, deadline)
    times["validate"] = perf_counter() - started
    times["queue"] = started - arrived
    return call
