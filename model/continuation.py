"""Continue learning curves from the epochs seen so far: a second graph in an artifact's folder, run by ONNX Runtime.

It is a graph of its own, and not two more inputs of `predictor.onnx`, so that predictions before training cost what
they cost without it and either can be fitted again alone. It takes what the predictor said before training as an input,
and also does without.

The graph reads `observed` float32 [batch, epochs] (zero-padded), `seen` int32 [batch], `prior` float32 [batch, epochs]
(-1 where there is none) and `best` float32 [batch], and gives `accuracy`, `lower` and `upper` float32 [batch, epochs]
and `below` float32 [batch], the probability that the final accuracy is at most `best`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from .artifact import HasDigest, read_verified
from .small_graph import open_graph

CONTINUATION_FILE = "continuation.onnx"
CONTINUATION_CARD_FILE = "continuation.json"
CONTINUATION_INPUTS = ("observed", "seen", "prior", "best")
CONTINUATION_OUTPUTS = ("accuracy", "lower", "upper", "below")
NO_PRIOR = -1.0

Floats = NDArray[np.float32]


class ContinuationCard(HasDigest):
    """What a continuation was fitted to and how well it does.

    Attributes:
        task: whose curves it continues.
        epochs: number of epochs of a curve.
        predictor_sha256: of the `predictor.onnx` whose curves it was fitted to.
        interval_level: nominal coverage of `lower` and `upper`.
        training: what it was fitted to.
        metrics: measured figures at several numbers of epochs seen.
        sha256: of `continuation.onnx`.
    """

    format: Literal[1] = 1
    task: str
    epochs: int = Field(ge=2)
    predictor_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    interval_level: float = Field(gt=0, lt=1)
    training: dict[str, Any]
    metrics: dict[str, Any]
    created_at: str


@dataclass(frozen=True, slots=True)
class Continued:
    """Continued curves: accuracy and its interval [batch, epochs]; probability of ending at or below `best` [batch].

    Epochs that were seen are returned as they were seen, with an interval of no width.
    """

    accuracy: Floats
    lower: Floats
    upper: Floats
    below: Floats


class Continuation:
    """A loaded continuation. Safe to call from several threads."""

    def __init__(self, card: ContinuationCard, model: bytes) -> None:
        self.card = card
        self._session = open_graph(model, f"{CONTINUATION_FILE} of {card.task}", CONTINUATION_INPUTS)

    def run(
        self,
        observed: Sequence[Sequence[float]],
        *,
        prior: NDArray[np.floating] | None = None,
        best: float | Sequence[float] = 0.0,
    ) -> Continued:
        """Continue curves.

        Args:
            observed: accuracies after epochs 1, 2, ... of each network; at most the card's epochs, at least one.
            prior: what was predicted before training [networks, epochs]; rows of NaN where nothing was.
            best: final accuracy to compare with, one or one for each network.

        Raises:
            ValueError: when a curve is empty, too long, or holds anything but numbers from 0 to 1.
        """
        count, epochs = len(observed), self.card.epochs
        padded = np.zeros((count, epochs), dtype=np.float32)
        for index, (row, curve) in enumerate(zip(padded, observed, strict=True)):
            if not 1 <= len(curve) <= epochs:
                raise ValueError(f"curve {index} has {len(curve)} epochs; {self.card.task} takes 1 to {epochs}")
            row[: len(curve)] = curve
        if not ((padded >= 0) & (padded <= 1)).all():
            raise ValueError("accuracies must be numbers from 0 to 1")
        known = np.full((count, epochs), NO_PRIOR) if prior is None else np.nan_to_num(prior, nan=NO_PRIOR)
        feeds = {
            "observed": padded,
            "seen": np.array([len(curve) for curve in observed], dtype=np.int32),
            "prior": known.astype(np.float32),
            "best": np.broadcast_to(np.asarray(best, dtype=np.float32), (count,)),
        }
        accuracy, lower, upper, below = self._session.run(CONTINUATION_OUTPUTS, feeds)
        # What was measured leaves a run room above all that others reached, but no accuracy is above 1.
        return Continued(accuracy, lower, upper, np.where(feeds["best"] >= 1, np.float32(1), below))


def read_continuation(folder: Path) -> Continuation | None:
    """Load the continuation of an artifact's folder; `None` when it has none.

    Raises:
        ArtifactError: when its card is malformed or its graph is not the card's.
    """
    if not (folder / CONTINUATION_CARD_FILE).exists():
        return None
    card, model = read_verified(folder, ContinuationCard, CONTINUATION_CARD_FILE, CONTINUATION_FILE)
    return Continuation(card, model)


def discard_continuation(folder: Path) -> None:
    """Remove what continues the curves of an artifact that is about to be replaced."""
    for name in (CONTINUATION_CARD_FILE, CONTINUATION_FILE):
        (folder / name).unlink(missing_ok=True)


def write_continuation(folder: Path, card: ContinuationCard, model: bytes) -> None:
    """Write a continuation into an artifact's folder; the card last."""
    (folder / CONTINUATION_FILE).write_bytes(model)
    (folder / CONTINUATION_CARD_FILE).write_text(json.dumps(card.model_dump(mode="json"), indent=2) + "\n")
