"""Measured networks as the context of a prediction."""

from collections.abc import Sequence

from model.network.schema import MAX_CONTEXT
from model.requests.schema import Measured
from training.observations.observation import Observation


def context_of(rows: Sequence[Observation]) -> list[Measured]:
    """Return the newest rows as a context; curves, where all have one length, else final accuracies."""
    newest = rows[-MAX_CONTEXT:]
    are_curves = len({len(row.accuracy) for row in newest}) == 1
    return [
        {
            "layers": row.layers,
            "accuracy": row.accuracy if are_curves else row.accuracy[-1],
            "proxies": row.proxies or {},
        }
        for row in newest
    ]
