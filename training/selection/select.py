"""Find good networks: predict many that were never trained, and keep the best (Peephole, section 5.3)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from model.encoding.layer_code import encode, pad
from model.network.graph import costs, resolve
from model.runtime import Predictor
from model.sampling.population import SampledNetwork
from training.protocols import PROTOCOLS, TrainingProtocol

CHUNK = 1024  # sampled at a time
BATCH = 256  # predicted at a time


@dataclass(frozen=True)
class Selected:
    """A network and what is predicted of it.

    Attributes:
        network: the network, its block and its hash.
        accuracy: predicted after the last epoch.
        lower: end of the prediction's interval.
        upper: its other end.
        in_distribution: whether the predictor learned from networks like it.
        params: parameters without the classifier's.
    """

    network: SampledNetwork
    accuracy: float
    lower: float
    upper: float
    in_distribution: bool
    params: int


def protocol_of(predictor: Predictor) -> TrainingProtocol:
    """Return the protocol that a predictor's task is named after.

    Raises:
        ValueError: when there is none, or its images are not the predictor's.
    """
    card = predictor.card
    if card.task not in PROTOCOLS:
        raise ValueError(f"no protocol is named {card.task}: nothing to sample from; there are {', '.join(PROTOCOLS)}")
    protocol = PROTOCOLS[card.task]
    if protocol.image != card.image:
        raise ValueError(f"the predictor of {card.task} expects {card.image}, the protocol has {protocol.image}")
    return protocol


def _predict(networks: Sequence[SampledNetwork], predictor: Predictor) -> list[Selected]:
    card = predictor.card
    encodings = [encode(one.layers, card.layer_code, card.image).codes for one in networks]
    found: dict[int, Selected] = {}
    by_length = np.argsort([len(codes) for codes in encodings], kind="stable")  # for less padding
    for start in range(0, len(networks), BATCH):
        chosen = [int(index) for index in by_length[start : start + BATCH]]
        curves = predictor.run(*pad([encodings[index] for index in chosen]), [card.epochs])
        for row, index in enumerate(chosen):
            found[index] = Selected(
                networks[index],
                float(curves.accuracy[row, 0]),
                float(curves.lower[row, 0]),
                float(curves.upper[row, 0]),
                bool(curves.distance[row] <= card.distance_threshold),
                costs(resolve(networks[index].layers, card.image)).params,
            )
    return [found[index] for index in range(len(networks))]


def select(
    predictor: Predictor,
    *,
    candidates: int,
    top: int,
    seed: int = 0,
    on_candidates: Callable[[int], None] = lambda count: None,
) -> list[Selected]:
    """Sample distinct networks of the task's protocol and return those predicted best, the best first.

    Of networks predicted alike, the one sampled first comes first.

    Args:
        predictor: of a task that is named after a protocol.
        candidates: how many networks to sample.
        top: how many to return.
        seed: fixes which networks are sampled, and in which order.
        on_candidates: called with how many more networks are done, from time to time.

    Raises:
        ValueError: when no protocol is named like the predictor's task.
    """
    population = islice(protocol_of(predictor).population(seed), candidates)
    best: list[Selected] = []
    while chunk := list(islice(population, CHUNK)):
        best = sorted(best + _predict(chunk, predictor), key=lambda one: -one.accuracy)[:top]
        on_candidates(len(chunk))
    return best
