"""A prediction: what a request asks of a predictor, and its answer."""

from dataclasses import dataclass
from typing import Any

from ..artifact import Card
from ..loaded import Model
from ..network.shapes import Shape
from ..ranking import Ranking, rounded
from ..runtime import Curves
from .networks import Networks, choose_epochs, encode_networks
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
    epochs = choose_epochs(document.get("epochs"), model)
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
    card, networks = call.model.card, call.networks
    accuracies, lowers, uppers = (rounded(values) for values in (curves.accuracy, curves.lower, curves.upper))
    last = call.epochs.index(max(call.epochs))
    final = accuracies[:, last].tolist()
    distances = rounded(curves.distance / card.distance_threshold).tolist()
    predictions = [
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
            "notes": notes + doubts(card, len(codes), distance),
        }
        for name, accuracy, lower, upper, rank, distance, costs, asked, notes, codes in zip(
            networks.ids,
            accuracies.tolist(),
            lowers.tolist(),
            uppers.tolist(),
            call.ranking.ranks(final, lowers[:, last].tolist(), uppers[:, last].tolist(), distances),
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
