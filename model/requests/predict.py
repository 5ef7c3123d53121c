"""A prediction: what a request asks of a predictor, and its answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..loaded import Model
from ..network.faults import Fault
from ..network.shapes import Shape
from ..ranking import UNLIKE, Ranking, rounded
from ..runtime import Curves
from .errors import InvalidRequestError
from .networks import Networks, choose_epochs, encode_networks, reject_computing
from .schema import PredictRequest
from .tradeoffs import TradeOffs, read_trade_offs


@dataclass(frozen=True, slots=True)
class Call:
    """A validated request: which predictor, epochs and networks, how to rank them and to weigh their costs."""

    model: Model
    epochs: tuple[int, ...]
    networks: Networks
    trade_offs: TradeOffs
    ranking: Ranking


def read_call(document: PredictRequest, model: Model, *, max_architectures: int, max_layers: int) -> Call:
    """Encode a request's networks for a predictor.

    Raises:
        InvalidRequestError: with a pointer to each fault.
    """
    if document.get("version") not in (None, model.card.version):
        detail = f"the version of {model.card.task} that is loaded is {model.card.version}"
        raise InvalidRequestError(Fault("/version", "unknown-version", detail))
    reject_computing(document)
    epochs = choose_epochs(document.get("epochs"), model.card.epochs, f"task {model.card.task}")
    networks = encode_networks(
        document["architectures"],
        model,
        image=Shape(*document["input"]) if "input" in document else None,
        max_architectures=max_architectures,
        max_layers=max_layers,
    )
    ranking = Ranking(document.get("rank_by", "mean"), document.get("out_of_distribution", "keep"))
    return Call(model, epochs, networks, read_trade_offs(document, networks.costs), ranking)


def answer(call: Call, curves: Curves) -> dict[str, Any]:
    """Return the response without its request id; curves are [networks, epochs] in the order of the request."""
    card = call.model.card
    found = predictions(
        call.networks,
        call.epochs,
        curves,
        call.ranking,
        call.trade_offs,
        threshold=card.distance_threshold,
        layers=card.layers,
    )
    model = {"task": card.task, "version": card.version, "sha256": card.sha256}
    return {"model": model, "epochs": call.epochs, "predictions": found}


def predictions(
    networks: Networks,
    epochs: Sequence[int],
    curves: Curves,
    ranking: Ranking,
    trade_offs: TradeOffs,
    *,
    threshold: float,
    layers: tuple[int, int],
) -> list[dict[str, Any]]:
    """Return what is said of each network.

    Args:
        networks: of the request.
        epochs: of the curves, 1-based.
        curves: [networks, epochs].
        ranking: what ranks compare.
        trade_offs: constraints and objectives.
        threshold: of the curves' distances.
        layers: of the shortest and longest network that the predictor knows.
    """
    accuracies, lowers, uppers = (rounded(values) for values in (curves.accuracy, curves.lower, curves.upper))
    last = epochs.index(max(epochs))
    final = accuracies[:, last].tolist()
    distances = rounded(curves.distance / threshold).tolist()
    return [
        {
            "id": name,
            "accuracy": accuracy,
            "lower": lower,
            "upper": upper,
            "final_accuracy": accuracy[last],
            "rank": rank,
            "distance": distance,
            "in_distribution": distance <= 1,
            "params": costs.params,
            "flops": costs.flops,
            "activation_bytes": costs.activation_bytes,
            **asked,
            "notes": notes + doubts(layers, len(codes), distance),
        }
        for name, accuracy, lower, upper, rank, distance, costs, asked, notes, codes in zip(
            networks.ids,
            accuracies.tolist(),
            lowers.tolist(),
            uppers.tolist(),
            ranking.ranks(final, lowers[:, last].tolist(), uppers[:, last].tolist(), distances),
            distances,
            networks.costs,
            trade_offs.fields(final),
            networks.notes,
            networks.codes,
            strict=True,
        )
    ]


def doubts(known: tuple[int, int], layers: int, distance: float) -> list[str]:
    """Return the notes on a network that is unlike the predictor's training set."""
    shortest, longest = known
    found = []
    if not shortest <= layers <= longest:
        found.append(f"{layers} layers; the training set has networks of {shortest} to {longest}")
    if distance > 1:
        found.append(UNLIKE)
    return found
