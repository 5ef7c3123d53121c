"""`POST /predict`: learning curves of networks before they are trained."""

from dataclasses import dataclass
from time import perf_counter
from typing import Any

from fastapi import APIRouter, Request
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.responses import Response

from model.accuracies import ranks, rounded
from model.artifact import Card
from model.network.shapes import Shape
from model.runtime import Curves
from service.api.admission import INLINE_BYTES, INLINE_NETWORKS, Deadline, read_json_body, run
from service.api.networks import Networks, choose_epochs, encode_networks
from service.api.schemas import PREDICT_REQUEST, PredictRequest, PredictResponse
from service.api.tradeoffs import TradeOffs, read_trade_offs
from service.errors import problem_of, request_id
from service.inference.continuation import predict_or_continue
from service.inference.registry import Model
from service.observability.metrics import Metrics
from service.state import Service, ServiceDep

router = APIRouter(tags=["prediction"])


@dataclass(frozen=True, slots=True)
class Call:
    """A validated prediction request: which predictor, epochs and networks, and how to weigh their costs."""

    model: Model
    epochs: tuple[int, ...]
    networks: Networks
    trade_offs: TradeOffs


@router.post("/predict", summary="Predict learning curves", response_model=PredictResponse)
async def predict(request: Request, service: ServiceDep, deadline: Deadline) -> Response:
    """Predict the validation accuracy after each epoch of networks that were not trained yet.

    Predictions are in the order of the request. Every error is an `application/problem+json` document whose `errors`
    point at the faults.
    """
    body = await read_json_body(request, deadline)
    began = perf_counter()
    call = await run(service, deadline, read_call, body, service, inline=len(body) <= INLINE_BYTES)
    validated = perf_counter()
    networks = call.networks
    inference = await predict_or_continue(
        service.engine, call.model, networks.codes, networks.observed, call.epochs, deadline
    )
    predicted = perf_counter()
    inline = len(networks.ids) <= INLINE_NETWORKS
    arguments = (request_id(request), call, inference.curves)
    text = await run(service, deadline, render, *arguments, inline=inline)
    encode_seconds = perf_counter() - predicted
    service.metrics.validate_seconds.observe(validated - began)
    service.metrics.encode_seconds.observe(encode_seconds)
    count_networks(service.metrics, call.model.card, networks, inference.curves)
    request.scope["state"]["sizes"]["networks"] = len(networks.ids)
    request.scope["state"]["stages"] = {
        "validate": validated - began,
        "queue": inference.queue_seconds,
        "infer": inference.infer_seconds,
        "encode": encode_seconds,
    }
    return Response(text, media_type="application/json")


def read_call(body: bytes, service: Service) -> Call:
    """Validate a request and encode its networks.

    Raises:
        Problem: 400 or 422, with a pointer to each fault.
    """
    try:
        document = PREDICT_REQUEST.validate_json(body)
    except ValidationError as error:
        raise problem_of(error, PredictRequest) from None
    model = service.registry.choose(document.get("task"))
    epochs = choose_epochs(document.get("epochs"), model)
    networks = encode_networks(
        document["architectures"],
        model,
        image=Shape(*document["input"]) if "input" in document else None,
        max_architectures=service.settings.max_architectures,
        max_layers=service.settings.max_layers,
    )
    return Call(model, epochs, networks, read_trade_offs(document, networks.costs))


def render(request_id: str, call: Call, curves: Curves) -> bytes:
    """Return the response's JSON; curves are [networks, epochs] in the order of the request."""
    return to_json({"request_id": request_id, **document(call, curves)})


def document(call: Call, curves: Curves) -> dict[str, Any]:
    """Return the response without its request id, as the command line prints it too."""
    card, networks = call.model.card, call.networks
    final = rounded(curves.accuracy[:, call.epochs.index(max(call.epochs))]).tolist()
    distances = rounded(curves.distance / card.distance_threshold).tolist()
    predictions = [
        {
            "id": name,
            "accuracy": accuracy,
            "lower": lower,
            "upper": upper,
            "final_accuracy": last,
            "rank": rank,
            "distance": distance,
            "in_distribution": distance <= 1,
            "params": costs.params,
            "flops": costs.flops,
            "activation_bytes": costs.activation_bytes,
            **asked,
            "notes": notes + doubts(card, len(codes), distance),
        }
        for name, accuracy, lower, upper, last, rank, distance, costs, asked, notes, codes in zip(
            networks.ids,
            rounded(curves.accuracy).tolist(),
            rounded(curves.lower).tolist(),
            rounded(curves.upper).tolist(),
            final,
            ranks(final),
            distances,
            networks.costs,
            call.trade_offs.fields(final),
            networks.notes,
            networks.codes,
            strict=True,
        )
    ]
    model = {"task": card.task, "version": card.version, "sha256": card.sha256}
    return {"model": model, "epochs": call.epochs, "predictions": predictions}


def doubts(card: Card, layers: int, distance: float) -> list[str]:
    """Return the notes on a network that is unlike the predictor's training set."""
    shortest, longest = card.layers
    found = []
    if not shortest <= layers <= longest:
        found.append(f"{layers} layers; the training set has networks of {shortest} to {longest}")
    if distance > 1:
        found.append("unlike the training set (distance above 1); trust the interval less")
    return found


def count_networks(metrics: Metrics, card: Card, networks: Networks, curves: Curves) -> None:
    """Count the networks of a response: their layers, and those outside the training distribution."""
    metrics.architectures.labels(card.task).inc(len(networks.codes))
    metrics.unfamiliar.labels(card.task).inc(int((curves.distance > card.distance_threshold).sum()))
    for codes in networks.codes:
        metrics.input_layers.observe(len(codes))
