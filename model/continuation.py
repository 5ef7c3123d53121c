"""The continuation of an artifact: arrays and a card of their own in its folder.

They stand apart from the predictor's so that either can be fitted again alone. The continuation takes what the
predictor predicted before training as an input, and also does without.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from .artifact import ArtifactError, HasFiles, pack_arrays, read_verified, unpack_arrays, write_verified
from .curve_continuation import Continued, CurveContinuation

CONTINUATION_FILE = "continuation.npz"
CONTINUATION_CARD_FILE = "continuation.json"
CONTINUATION_OUTPUTS = ("accuracy", "lower", "upper", "below")
NO_PRIOR = -1.0


class ContinuationCard(HasFiles):
    """What a continuation was fitted to and how well it does.

    Attributes:
        task: whose curves it continues.
        epochs: number of epochs of a curve.
        predictor_sha256: of the predictor whose curves it was fitted to (`Card.sha256`).
        interval_level: nominal coverage of `lower` and `upper`.
        training: what it was fitted to.
        metrics: measured figures at several numbers of epochs seen.
    """

    format: Literal[2] = 2
    task: str
    epochs: int = Field(ge=2)
    predictor_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    interval_level: float = Field(gt=0, lt=1)
    training: dict[str, Any]
    metrics: dict[str, Any]
    created_at: str


class Continuation:
    """A loaded continuation. Safe to call from several threads."""

    def __init__(self, card: ContinuationCard, fitted: CurveContinuation) -> None:
        self.card = card
        self._fitted = fitted

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
        padded = np.zeros((count, epochs))
        for index, (row, curve) in enumerate(zip(padded, observed, strict=True)):
            if not 1 <= len(curve) <= epochs:
                raise ValueError(f"curve {index} has {len(curve)} epochs; {self.card.task} takes 1 to {epochs}")
            row[: len(curve)] = curve
        if not ((padded >= 0) & (padded <= 1)).all():
            raise ValueError("accuracies must be numbers from 0 to 1")
        known = np.full((count, epochs), NO_PRIOR) if prior is None else np.nan_to_num(prior, nan=NO_PRIOR)
        wanted = np.broadcast_to(np.asarray(best, dtype=np.float64), (count,))
        continued = self._fitted.run(padded, np.array([len(curve) for curve in observed]), known, wanted)
        # What was measured leaves a run room above all that others reached, but no accuracy is above 1.
        return replace(continued, below=np.where(wanted >= 1, np.float32(1), continued.below))


def read_continuation(folder: Path) -> Continuation | None:
    """Load the continuation of an artifact's folder; `None` when it has none.

    Raises:
        ArtifactError: when its card is malformed or its graph is not the card's.
    """
    if not (folder / CONTINUATION_CARD_FILE).exists():
        return None
    card, files = read_verified(folder, ContinuationCard, CONTINUATION_CARD_FILE, (CONTINUATION_FILE,))
    try:
        fitted = CurveContinuation.from_arrays(unpack_arrays(files[CONTINUATION_FILE]))
    except (KeyError, ValueError) as error:
        raise ArtifactError(f"{folder / CONTINUATION_FILE}: {error}") from error
    if fitted.epochs != card.epochs:
        raise ArtifactError(f"{folder / CONTINUATION_FILE}: {fitted.epochs} epochs, not {card.epochs}")
    return Continuation(card, fitted)


def discard_continuation(folder: Path) -> None:
    """Remove what continues the curves of an artifact that is about to be replaced."""
    for name in (CONTINUATION_CARD_FILE, CONTINUATION_FILE):
        (folder / name).unlink(missing_ok=True)


def pack_continuation(fitted: CurveContinuation) -> dict[str, bytes]:
    """Return the files of a continuation, in single precision."""
    arrays = fitted.arrays()
    floats = {name: values.astype(np.float32) for name, values in arrays.items() if name != "milestones"}
    return {CONTINUATION_FILE: pack_arrays(arrays | floats)}


def write_continuation(folder: Path, card: ContinuationCard, files: dict[str, bytes]) -> None:
    """Write a continuation into an artifact's folder."""
    write_verified(folder, card, CONTINUATION_CARD_FILE, files)
