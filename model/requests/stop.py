"""Early stopping: what a request asks, and its answer (Baker et al., arXiv 1705.10823, section 4)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from ..loaded import Model
from ..network.faults import Fault, pointer
from ..ranking import rounded
from .errors import InvalidRequestError, parse
from .networks import Networks, encode_networks
from .schema import STOP_ONE_RUN, STOP_RUNS, StopOneRun, StopRuns

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


def parse_stop(body: bytes) -> Mapping[str, Any]:
    """Validate a request of either form: one run at the top level, or many in `architectures`.

    Raises:
        InvalidRequestError: when it is not JSON, or of neither form.
    """
    form = StopRuns if _ARCHITECTURES.search(body) else StopOneRun
    adapter: TypeAdapter[Any] = STOP_RUNS if form is StopRuns else STOP_ONE_RUN
    try:
        document: Mapping[str, Any] = parse(adapter, body, form)
    except InvalidRequestError as error:
        raise InvalidRequestError(*_in_words_of_both_forms(error.faults, form)) from None
    return document


def read_question(document: Mapping[str, Any], model: Model, *, max_architectures: int, max_layers: int) -> Question:
    """Encode a request's networks for a predictor.

    Raises:
        InvalidRequestError: with a pointer to each fault.
    """
    is_one_run = "architectures" not in document
    runs = [{name: document[name] for name in RUN_FIELDS if name in document}]
    if not is_one_run:
        runs = document["architectures"]
    try:
        networks = encode_networks(runs, model, max_architectures=max_architectures, max_layers=max_layers)
    except InvalidRequestError as error:
        if not is_one_run:
            raise
        prefix = pointer("architectures", 0)
        faults = [replace(fault, pointer=fault.pointer.removeprefix(prefix)) for fault in error.faults]
        raise InvalidRequestError(*faults) from None
    return Question(model, document["best"], document.get("confidence", CONFIDENCE), networks)


def _in_words_of_both_forms(faults: Sequence[Fault], form: type) -> list[Fault]:
    """Say of fields that belong into the other form of the request where they belong."""
    if form is StopRuns:
        misplaced = {pointer(name) for name in RUN_FIELDS}
        return [Fault(one.pointer, "excluded", _OF_EACH) for one in faults if one.pointer in misplaced] or list(faults)
    return [
        replace(one, detail=one.detail + _OR_MANY) if (one.pointer, one.code) == ("/observed", "missing") else one
        for one in faults
    ]


def decide(question: Question, predicted: NDArray[np.floating]) -> dict[str, Any]:
    """Continue the curves and return the response without its request id.

    Args:
        question: the request.
        predicted: before training, at every epoch [runs whose layers are known, epochs].
    """
    model, networks = question.model, question.networks
    assert model.continuation is not None  # noqa: S101 - `encode_networks` checked it
    prior = np.full((len(networks.ids), model.card.epochs), np.nan)
    prior[networks.known] = predicted
    curves = [networks.observed[index] for index in range(len(networks.ids))]
    continued = model.continuation.run(curves, prior=prior, best=question.best)
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
    return {
        "model": {"task": card.task, "version": card.version, "sha256": card.sha256},
        "confidence": question.confidence,
        "decisions": decisions,
    }
