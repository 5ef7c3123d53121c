"""A request's `"proxies": "compute"`: which networks to measure, and whether that can be done."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from model.loaded import Model
from model.network.faults import Fault, pointer
from model.network.hashing import canonical_hash
from model.requests.errors import InvalidRequestError
from model.requests.predict import Call
from model.requests.schema import PredictRequest
from service.api.admission import run
from service.proxies.child import missing_packages
from service.proxies.expense import expected_seconds
from service.proxies.scorer import MEASURE, Network, Scores
from service.state import Service


async def compute_scores(
    service: Service, document: PredictRequest, call: Call, deadline: float
) -> tuple[Call, dict[int, Scores]]:
    """Return a call with the scores of all its networks, and those that were computed, by index.

    Args:
        service: of the application.
        document: the request, with `"proxies": "compute"`.
        call: the same, read for a loaded predictor.
        deadline: on the monotonic clock.

    Raises:
        InvalidRequestError: with a pointer to each fault: the predictor reads no scores, packages are missing, a
            network would take too long.
        Problem, TimeoutError: as `Scorer.scores`.
    """
    _check(document, call.model)
    most = service.settings.max_proxy_seconds
    choose = partial(_unscored, document["architectures"], call, most=most)
    networks = await run(service, deadline, choose, inline=False)
    found = await service.scorer.scores(networks, deadline)
    return replace(call, networks=replace(call.networks, proxies={**call.networks.proxies, **found})), found


def _check(document: PredictRequest, model: Model) -> None:
    task = model.card.task
    if model.proxies is None:
        detail = f"the predictor of task {task} reads no zero-cost scores; leave `proxies` out"
        raise InvalidRequestError(Fault("/proxies", "unsupported", detail))
    image = model.card.image
    if "input" in document and tuple(document["input"]) != (image.channels, image.height, image.width):
        detail = f"scores are computed on the task's images, {image}; leave `input` out"
        raise InvalidRequestError(Fault("/input", "excluded", detail))
    if missing := missing_packages():
        detail = f"this service was installed without the extra `proxies` ({', '.join(missing)} missing); {MEASURE}"
        raise InvalidRequestError(Fault("/proxies", "unsupported", detail))


def _unscored(architectures: Sequence[Mapping[str, Any]], call: Call, *, most: float) -> list[Network]:
    """Return the networks without scores of their own that the predictor reads.

    Raises:
        InvalidRequestError: with a pointer to each that would take longer than `most` seconds.
    """
    card = call.model.card
    protocols = tuple(card.training.get("protocol", ()))
    found, faults = [], []
    for index, one in enumerate(architectures):
        if index in call.networks.proxies:
            continue
        layers = one["layers"]
        seconds = expected_seconds(layers, card.image)
        if seconds > most:
            detail = f"its scores would take some {seconds:.0f} s; the limit is {most:.0f}; {MEASURE}"
            faults.append(Fault(pointer("architectures", index, "layers"), "too-expensive", detail))
        found.append(Network(index, layers, (protocols, canonical_hash(layers, card.image))))
    if faults:
        raise InvalidRequestError(*faults)
    return found
