"""`POST /stop`: will a training run end below the best so far."""

import numpy as np
from fastapi import APIRouter, Request
from numpy.typing import NDArray
from pydantic_core import to_json
from starlette.responses import Response

from model.requests.curves import every_epoch
from model.requests.stop import Question, decide, parse_stop, read_question
from service.api.admission import INLINE_BYTES, INLINE_NETWORKS, Deadline, read_json_body, run
from service.api.predict import count_networks
from service.api.schemas import StopResponse
from service.errors import request_id
from service.state import Service, ServiceDep

router = APIRouter(tags=["prediction"])


@router.post("/stop", summary="Decide which training runs to stop", response_model=StopResponse)
async def stop(request: Request, service: ServiceDep, deadline: Deadline) -> Response:
    """Predict how probable it is that runs end at or below the best final accuracy so far, and whether to stop them.

    Send one run (`observed`, optionally `layers`) at the top level, or many in `architectures`.
    """
    body = await read_json_body(request, deadline)
    question = await run(service, deadline, _read, body, service, inline=len(body) <= INLINE_BYTES)
    model, networks = question.model, question.networks
    count = len(networks.ids)
    request.scope["state"]["sizes"]["networks"] = count
    predicted: NDArray[np.floating] = np.empty((0, model.card.epochs))
    if networks.known:
        inference = await service.engine.predict(model, networks.codes, every_epoch(model), deadline)
        predicted = inference.curves.accuracy
        count_networks(service.metrics, model.card, networks, inference.curves)
    arguments = (request_id(request), question, predicted)
    text = await run(service, deadline, _render, *arguments, inline=count <= INLINE_NETWORKS)
    return Response(text, media_type="application/json")


def _read(body: bytes, service: Service) -> Question:
    document = parse_stop(body)
    model = service.registry.choose(document.get("task"))
    limits = service.settings
    return read_question(document, model, max_architectures=limits.max_architectures, max_layers=limits.max_layers)


def _render(request_id: str, question: Question, predicted: NDArray[np.floating]) -> bytes:
    return to_json({"request_id": request_id, **decide(question, predicted)})
