"""Curves as the JSON that answers a request."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from model.accuracies import ranks, rounded
from model.artifact import Card
from model.runtime import Curves
from service.decimals import lists
from service.population import Population


def render(request_id: str, card: Card, epochs: Sequence[int], population: Population, curves: Curves) -> bytes:
    """Return the body of the answer; curves are [networks, epochs] in the order of the request."""
    final = rounded(curves.accuracy[:, epochs.index(max(epochs))]).tolist()
    numbers = lists(np.concatenate([curves.accuracy, curves.lower, curves.upper], axis=1), len(epochs))
    familiar = curves.distance <= card.distance_threshold
    predictions = [
        {
            "id": name,
            "accuracy": accuracy,
            "lower": lower,
            "upper": upper,
            "final_accuracy": last,
            "rank": rank,
            "in_distribution": near,
            "notes": notes,
        }
        for name, accuracy, lower, upper, last, rank, near, notes in zip(
            population.ids,
            numbers[::3],
            numbers[1::3],
            numbers[2::3],
            final,
            ranks(final),
            familiar.tolist(),
            _notes(population, card, familiar),
            strict=True,
        )
    ]
    model = {"task": card.task, "version": card.version, "sha256": card.sha256}
    return msgspec.json.encode(
        {"request_id": request_id, "model": model, "epochs": list(epochs), "predictions": predictions}
    )


def _notes(population: Population, card: Card, familiar: NDArray[np.bool_]) -> list[list[str]]:
    """Add to what was clamped what makes a prediction doubtful."""
    shortest, longest = card.layers
    notes = []
    for codes, clamped, near in zip(population.codes, population.notes, familiar.tolist(), strict=True):
        found = list(clamped)
        if not shortest <= len(codes) <= longest:
            found.append(f"{len(codes)} layers; the predictor was fitted to networks of {shortest} to {longest}")
        if not near:
            found.append("unlike the networks the predictor was fitted to; trust the interval less")
        notes.append(found)
    return notes
