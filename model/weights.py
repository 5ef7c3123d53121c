"""Read a network's accuracy off its trained weights: a graph in an artifact's folder, run by ONNX Runtime.

`weights.npz` beside it tells how unlike the training set a network is (`model.weights_distance`).

The graph reads `layers` float32 [batch, layers, statistics] (`layer_statistics`, padded), `lengths` int32 [batch] and
`summary` float32 [batch, features] (`features`), and gives `accuracy` float32 [batch].
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from .artifact import ArtifactError, HasFiles, read_verified, unpack_arrays, write_verified
from .calibration import Calibration, ChanceLevel, Curves, CurveScale, StandardisedPrediction, snap
from .encoding.layer_code import pad
from .onnx_network import OnnxNetwork
from .ranking import DECIMALS, UNLIKE
from .weight_features import (
    FEATURES,
    LAYER_STATISTICS,
    Floats,
    Weights,
    features,
    layer_statistics,
)
from .weights_distance import WeightsDistance
from .weights_file import WeightsError

WEIGHTS_FILE = "weights.onnx"
WEIGHTS_ARRAYS_FILE = "weights.npz"
WEIGHTS_CARD_FILE = "weights.json"
WEIGHTS_INPUTS = ("layers", "lengths", "summary")
WEIGHTS_OUTPUT = "accuracy"
NEAREST = 0.001
"""Predictions stay this far from 0 and 1, where log-odds have no end."""


class WeightsCard(HasFiles):
    """What reads accuracy off weights, what it was fitted to, how well it does.

    Attributes:
        task: whose networks it was fitted to.
        features: number of summary features it reads (`model.weight_features`).
        layer_statistics: number of statistics of a layer that it reads.
        chance_level: accuracy of networks that learn nothing, and the threshold below which it is predicted
            (`model.calibration.snap`); 0 and 0 where few learn nothing.
        margin: half width of the interval near the training set, in log-odds (`intervals`).
        interval_level: nominal coverage of the interval.
        metrics: measured figures, with how they were measured.
    """

    format: Literal[5] = 5
    task: str
    features: int
    layer_statistics: int
    chance_level: tuple[float, float] = (0.0, 0.0)
    margin: float
    interval_level: float = Field(gt=0, lt=1)
    training: dict[str, Any]
    metrics: dict[str, Any]
    created_at: str


@dataclass(frozen=True, slots=True)
class WeightsPrediction:
    """The accuracy that a network's weights suggest.

    Attributes:
        accuracy: 0 to 1.
        lower: end of its interval, as is `upper`.
        distance: from the training set; up to 1.0 the network is in distribution.
        notes: what to be careful about.
    """

    accuracy: float
    lower: float
    upper: float
    distance: float
    notes: tuple[str, ...]

    def fields(self) -> dict[str, Any]:
        """Return the fields of a response, rounded."""
        names = ("accuracy", "lower", "upper", "distance")
        values = {name: round(getattr(self, name), DECIMALS) for name in names}
        return {**values, "in_distribution": values["distance"] <= 1, "notes": list(self.notes)}


def intervals(read: Floats, distance: Floats, margin: float, chance_level: tuple[float, float]) -> Curves:
    """Return accuracies snapped to a chance level, and intervals that widen with the distance [networks, 1].

    Args:
        read: accuracies as they were read [networks].
        distance: from the training set [networks].
        margin: of `WeightsCard`.
        chance_level: likewise.
    """
    level, threshold = np.array(chance_level)[:, None]
    odds = CurveScale(np.zeros(1), np.ones(1), is_logit=True)
    calibration = Calibration(odds, np.array([margin]), 1.0, ChanceLevel(level, threshold), threshold=1.0)
    one = (np.log(read) - np.log1p(-read))[:, None]
    return calibration.curves(StandardisedPrediction(one, np.zeros_like(one), distance), np.array([0]))


def within_reach(predicted: Floats) -> Floats:
    """Keep accuracies off 0 and 1."""
    accuracies: Floats = np.clip(predicted, NEAREST, 1 - NEAREST)
    return accuracies


def pad_layers(layers: Sequence[Floats]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return the layers of networks, float32 [networks, most layers, statistics] with zeros behind, and lengths."""
    return pad([one.astype(np.float32) for one in layers])


class WeightsPredictor:
    """A loaded model. Safe to call from several threads."""

    def __init__(self, card: WeightsCard, model: bytes, distance: WeightsDistance) -> None:
        self.card, self.distance = card, distance
        self._network = OnnxNetwork(model, f"{WEIGHTS_FILE} of {card.task}", WEIGHTS_INPUTS, [WEIGHTS_OUTPUT])
        sizes = card.features, card.layer_statistics
        if sizes != (len(FEATURES), len(LAYER_STATISTICS)):
            raise ArtifactError(
                f"{WEIGHTS_FILE} of {card.task} reads {sizes[0]} features and {sizes[1]} statistics of a layer, "
                f"not {len(FEATURES)} and {len(LAYER_STATISTICS)}; fit it again with `peephole fit-weights`"
            )

    def _read(self, layers: Sequence[Floats], summary: Floats) -> Floats:
        padded, lengths = pad_layers(layers)
        feeds = {"layers": padded, "lengths": lengths, "summary": np.asarray(summary, dtype=np.float32)}
        (predicted,) = self._network(feeds)
        return within_reach(np.asarray(predicted, dtype=np.float64))

    def accuracies(self, layers: Sequence[Floats], summary: Floats) -> Floats:
        """Return accuracies [networks].

        Args:
            layers: `layer_statistics` of each network.
            summary: `features` of each network [networks, features].
        """
        return snap(self._read(layers, summary), *self.card.chance_level)

    def intervals(self, layers: Sequence[Floats], summary: Floats) -> Curves:
        """Return accuracies, their intervals and distances [networks, 1]; the arguments are those of `accuracies`."""
        distance = self.distance(summary)
        return intervals(self._read(layers, summary), distance, self.card.margin, self.card.chance_level)

    def predict(self, weights: Weights) -> WeightsPrediction:
        """Predict from the statistics of each tensor.

        Raises:
            FeaturesError: when they are not a network's.
            WeightsError: when they are too large for the graph.
        """
        layers, summary = layer_statistics(weights), features(weights)
        largest = max(float(np.abs(layers).max()), float(np.abs(summary).max()))
        if largest > float(np.finfo(np.float32).max):  # of the tensors' values, each by itself may be less
            raise WeightsError("the values are so large that their statistics are not finite in single precision")
        found = astuple(self.intervals([layers], summary[None]))
        accuracy, lower, upper, distance = (float(values.item()) for values in found)
        notes = (*weights.notes, *((UNLIKE,) if distance > 1 else ()))
        return WeightsPrediction(accuracy, lower, upper, distance, notes)


def read_weights_predictor(folder: Path) -> WeightsPredictor | None:
    """Load what reads weights from an artifact's folder; `None` when it has none.

    Raises:
        ArtifactError: when its card is malformed or its graph is not the card's.
    """
    if not (folder / WEIGHTS_CARD_FILE).exists():
        return None
    card, files = read_verified(folder, WeightsCard, WEIGHTS_CARD_FILE, (WEIGHTS_FILE, WEIGHTS_ARRAYS_FILE))
    try:
        distance = WeightsDistance.of(unpack_arrays(files[WEIGHTS_ARRAYS_FILE]))
    except ValueError as error:
        raise ArtifactError(f"{folder / WEIGHTS_ARRAYS_FILE}: {error}") from error
    return WeightsPredictor(card, files[WEIGHTS_FILE], distance)


def write_weights_predictor(folder: Path, card: WeightsCard, files: Mapping[str, bytes]) -> None:
    """Write the files of a model into an artifact's folder; the card last."""
    write_verified(folder, card, WEIGHTS_CARD_FILE, files)
