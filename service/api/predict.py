"""`POST /predict`: learning curves of networks before they are trained."""

import asyncio
from collections.abc import Mapping
from functools import partial
from time import monotonic, perf_counter

from fastapi import APIRouter, Request
from pydantic_core import to_json
from starlette.responses import Response

from model.artifact import Card
from model.network.faults import Fault
from model.requests.errors import InvalidRequestError, parse
from model.requests.networks import Networks
from model.requests.predict import Call, answer, read_call
from model.requests.schema import PREDICT_REQUEST, PredictRequest
from model.runtime import Curves
from service.api.admission import INLINE_BYTES, INLINE_NETWORKS, Deadline, read_json_body, run
from service.api.schemas import PredictResponse
from service.errors import request_id
from service.inference.refining import predict_or_refine
from service.observability.metrics import Metrics
from service.proxies.computing import compute_scores
from service.proxies.scorer import Scores
from service.state import Service, ServiceDep
from service.tasks.context import stored_call

router = APIRouter(tags=["prediction"])


@router.post("/predict", summary="Predict learning curves", response_model=PredictResponse)
async def predict(request: Request, service: ServiceDep, deadline: Deadline) -> Response:
    """Predict the validation accuracy after each epoch of networks that were not trained yet.

    Predictions are in the order of the request. Every error is an `application/problem+json` document whose `errors`
    point at the faults.
    """
    body = await read_json_body(request, deadline)
    began = perf_counter()
    document, call = await run(service, deadline, _read, body, service, inline=len(body) <= INLINE_BYTES)
    if call is None:
        owner, task = service.keys.check(request.headers), document.get("task")
        found = document if "context" in document else await stored_call(document, service, owner, deadline)
        if not isinstance(found, Call):
            response, tau = await _predict_in_context(request, service, deadline, found)
            if task is not None:
                service.figures.note_tau(owner, task, tau)
            return response
        call = found
    validated = perf_counter()
    scores: dict[int, Scores] = {}
    if "proxies" in document:
        request.scope["state"]["elsewhere"] = True
        call, scores = await compute_scores(service, document, call, deadline)
    scored = perf_counter()
    networks = call.networks
    inference = await predict_or_refine(service.engine, call.model, networks, call.epochs, deadline)
    predicted = perf_counter()
    inline = len(networks.ids) <= INLINE_NETWORKS
    arguments = (request_id(request), call, inference.curves, scores)
    text = await run(service, deadline, _render, *arguments, inline=inline)
    encode_seconds = perf_counter() - predicted
    service.metrics.validate_seconds.observe(validated - began)
    service.metrics.encode_seconds.observe(encode_seconds)
    count_networks(service.metrics, call.model.card, networks, inference.curves)
    request.scope["state"]["sizes"]["networks"] = len(networks.ids)
    request.scope["state"]["stages"] = {
        "validate": validated - began,
        **({"score": scored - validated} if "proxies" in document else {}),
        "queue": inference.queue_seconds,
        "infer": inference.infer_seconds,
        "encode": encode_seconds,
    }
    return Response(text, media_type="application/json")


async def _predict_in_context(
    request: Request, service: Service, deadline: float, document: PredictRequest
) -> tuple[Response, float]:
    """Return the response, and the tau of the context."""
    limits = service.settings
    call = partial(
        service.in_context.answer,
        document,
        service.registry.models,
        max_architectures=limits.max_architectures,
        max_layers=limits.max_layers,
    )
    async with asyncio.timeout(deadline - monotonic()):
        found, networks = await asyncio.get_running_loop().run_in_executor(service.context_thread, call)
    request.scope["state"]["sizes"]["networks"] = len(networks.ids)
    text = to_json({"request_id": request_id(request), **found})
    return Response(text, media_type="application/json"), found["model"]["tau"]


def _read(body: bytes, service: Service) -> tuple[PredictRequest, Call | None]:
    """Return a request and its validated call; none of a request with a context, or for a stored task."""
    document = parse(PREDICT_REQUEST, body, PredictRequest)
    if "context" in document:
        return document, None
    if "prior" in document:
        raise InvalidRequestError(Fault("/prior", "excluded", "only a request with a `context` has a prior"))
    task = document.get("task")
    if task is not None and task not in service.registry.models:
        return document, None
    model = service.registry.choose(task)
    limits = service.settings
    plain = document.copy()
    plain.pop("proxies", None)  # computed afterwards
    return document, read_call(plain, model, max_architectures=limits.max_architectures, max_layers=limits.max_layers)


def _render(request_id: str, call: Call, curves: Curves, scores: Mapping[int, Scores]) -> bytes:
    found = answer(call, curves)
    for index, computed in scores.items():
        found["predictions"][index]["proxies"] = computed
    return to_json({"request_id": request_id, **found})


def count_networks(metrics: Metrics, card: Card, networks: Networks, curves: Curves) -> None:
    """Count the networks of a response: their layers, and those outside the training distribution."""
    metrics.architectures.labels(card.task).inc(len(networks.codes))
    metrics.unfamiliar.labels(card.task).inc(int((curves.distance > card.distance_threshold).sum()))
    for codes in networks.codes:
        metrics.input_layers.observe(len(codes))
