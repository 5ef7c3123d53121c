"""`POST /stop`: will a training run end below the best so far (Baker et al., arXiv 1705.10823, section 4)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json
from starlette.responses import Response

from model.accuracies import rounded
from model.curve_continuation import Continued
from model.network.faults import Fault, pointer
from service.api.admission import INLINE_BYTES, INLINE_NETWORKS, Deadline, read_json_body, run
from service.api.networks import Networks, encode_networks
from service.api.predict import count_networks
from service.api.schemas import STOP_ONE_RUN, STOP_RUNS, StopOneRun, StopResponse, StopRuns
from service.errors import Problem, invalid, problem_of, request_id
from service.inference.registry import Model
from service.state import Service, ServiceDep

router = APIRouter(tags=["prediction"])
CONFIDENCE = 0.95
RUN_FIELDS = ("id", "observed", "layers", "in_channels")
_ARCHITECTURES = re.compile(rb'"architectures"\s*:')  # JSON could also spell it with escapes: then an unknown field
_OF_EACH = "describes one run: move it into each of `architectures`, or leave `architectures` out"
_OR_MANY = "; many runs go into `architectures`"


@dataclass(frozen=True, slots=True)
class Question:
    """A validated request: the predictor, the threshold, and the runs."""

    model: Model
    best: float
    confidence: float
    networks: Networks


@router.post("/stop", summary="Decide which training runs to stop", response_model=StopResponse)
async def stop(request: Request, service: ServiceDep, deadline: Deadline) -> Response:
    """Predict how probable it is that runs end at or below the best final accuracy so far, and whether to stop them.

    Send one run (`observed`, optionally `layers`) at the top level, or many in `architectures`.
    """
    body = await read_json_body(request, deadline)
    question = await run(service, deadline, read_question, body, service, inline=len(body) <= INLINE_BYTES)
    count = len(question.networks.ids)
    request.scope["state"]["sizes"]["networks"] = count
    model, networks = question.model, question.networks
    prior = np.full((count, model.card.epochs), np.nan)
    if networks.known:
        every_epoch = tuple(range(1, model.card.epochs + 1))
        inference = await service.engine.predict(model, networks.codes, every_epoch, deadline)
        prior[networks.known] = inference.curves.accuracy
        count_networks(service.metrics, model.card, networks, inference.curves)
    text = await run(service, deadline, decide, request_id(request), question, prior, inline=count <= INLINE_NETWORKS)
    return Response(text, media_type="application/json")


def read_question(body: bytes, service: Service) -> Question:
    """Validate a request.

    Raises:
        Problem: 400 or 422, with a pointer to each fault.
    """
    if _ARCHITECTURES.search(body):
        document = _validate(STOP_RUNS, StopRuns, body)
        return _read_runs(document, document["architectures"], service)
    document = _validate(STOP_ONE_RUN, StopOneRun, body)
    alone = {name: document[name] for name in RUN_FIELDS if name in document}
    try:
        return _read_runs(document, [alone], service)
    except Problem as problem:  # its pointers are of a list with this run alone
        prefix = pointer("architectures", 0)
        raise invalid(
            *(Fault(fault.pointer.removeprefix(prefix), fault.code, fault.detail) for fault in problem.faults)
        ) from None


def _validate(adapter: TypeAdapter[Any], form: type, body: bytes) -> Mapping[str, Any]:
    try:
        document: Mapping[str, Any] = adapter.validate_json(body)
    except ValidationError as error:
        problem = problem_of(error, form)
        raise (invalid(*_in_words_of_both_forms(problem.faults, form)) if problem.faults else problem) from None
    return document


def _in_words_of_both_forms(faults: Sequence[Fault], form: type) -> list[Fault]:
    """Say of fields that belong into the other form of the request where they belong."""
    if form is StopRuns:
        misplaced = {pointer(name) for name in RUN_FIELDS}
        return [Fault(one.pointer, "excluded", _OF_EACH) for one in faults if one.pointer in misplaced] or list(faults)
    return [
        replace(one, detail=one.detail + _OR_MANY) if (one.pointer, one.code) == ("/observed", "missing") else one
        for one in faults
    ]


def _read_runs(document: Mapping[str, Any], runs: list[dict[str, Any]], service: Service) -> Question:
    model = service.registry.choose(document.get("task"))
    networks = encode_networks(
        runs,
        model,
        max_architectures=service.settings.max_architectures,
        max_layers=service.settings.max_layers,
    )
    return Question(model, document["best"], document.get("confidence", CONFIDENCE), networks)


def decide(request_id: str, question: Question, prior: np.ndarray[Any, Any]) -> bytes:
    """Continue the curves and return the response's JSON; `prior` [runs, epochs] is NaN where layers are unknown."""
    model, networks = question.model, question.networks
    assert model.continuation is not None  # noqa: S101 - `observed_of` checked it
    curves = [networks.observed[index] for index in range(len(networks.ids))]
    continued: Continued = model.continuation.run(curves, prior=prior, best=question.best)
    columns = (continued.below, continued.accuracy[:, -1], continued.lower[:, -1], continued.upper[:, -1])
    decisions = [
        {
            "id": name,
            "probability_below": below,
            "stop": below >= question.confidence,
            "final_accuracy": final,
            "lower": lower,
            "upper": upper,
        }
        for name, (below, final, lower, upper) in zip(
            networks.ids, rounded(np.stack(columns, axis=1)).tolist(), strict=True
        )
    ]
    card = model.card
    return to_json(
        {
            "request_id": request_id,
            "model": {"task": card.task, "version": card.version, "sha256": card.sha256},
            "confidence": question.confidence,
            "decisions": decisions,
        }
    )
