"""Read a network's accuracy off its trained weights: a graph in an artifact's folder, run by ONNX Runtime.

The graph reads `layers` float32 [batch, layers, statistics] (`layer_statistics`, padded), `lengths` int32 [batch] and
`summary` float32 [batch, features] (`features`), and gives `accuracy` float32 [batch].
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from .artifact import ArtifactError, HasFiles, read_verified, write_verified
from .calibration import snap
from .encoding.layer_code import pad
from .onnx_network import OnnxNetwork
from .weight_features import (
    FEATURES,
    LAYER_STATISTICS,
    FeaturesError,
    Floats,
    Weights,
    fan_ins,
    features,
    layer_statistics,
    tensor_statistics,
)

WEIGHTS_FILE = "weights.onnx"
WEIGHTS_CARD_FILE = "weights.json"
WEIGHTS_INPUTS = ("layers", "lengths", "summary")
WEIGHTS_OUTPUT = "accuracy"
NEAREST = 0.001
"""Predictions stay this far from 0 and 1, where log-odds have no end."""
MOST_TENSORS = 10_000
_TYPE = re.compile(r"(?<=')[A-Z][A-Z0-9_]{1,11}(?=')")


class WeightsError(ValueError):
    """A file that is not the weights of a network; the message says why."""


class WeightsCard(HasFiles):
    """What reads accuracy off weights, what it was fitted to, how well it does.

    Attributes:
        task: whose networks it was fitted to.
        features: number of summary features it reads (`model.weight_features`).
        layer_statistics: number of statistics of a layer that it reads.
        chance_level: accuracy of networks that learn nothing, and the threshold below which it is predicted
            (`model.calibration.snap`); 0 and 0 where few learn nothing.
        margin: half width of the interval, in log-odds.
        interval_level: nominal coverage of the interval.
        metrics: measured figures, with how they were measured.
    """

    format: Literal[4] = 4
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
    """The accuracy that a network's weights suggest, and its interval."""

    accuracy: float
    lower: float
    upper: float


def within_reach(predicted: Floats) -> Floats:
    """Keep accuracies off 0 and 1."""
    accuracies: Floats = np.clip(predicted, NEAREST, 1 - NEAREST)
    return accuracies


def pad_layers(layers: Sequence[Floats]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return the layers of networks, float32 [networks, most layers, statistics] with zeros behind, and lengths."""
    return pad([one.astype(np.float32) for one in layers])


class WeightsPredictor:
    """A loaded model. Safe to call from several threads."""

    def __init__(self, card: WeightsCard, model: bytes) -> None:
        self.card = card
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
        read = self._read([layers], summary[None])
        odds = float(np.log(read / (1 - read))[0])
        lower, upper = (1 / (1 + math.exp(-odds - shift)) for shift in (-self.card.margin, self.card.margin))
        middle = float(snap(read, *self.card.chance_level)[0])
        return WeightsPrediction(middle, min(lower, middle), max(upper, middle))


def _count_tensors(content: bytes) -> None:
    """Refuse a file of too many tensors before it is parsed, which lets no other thread go on.

    It begins with the size of its header, eight bytes, and its header, a JSON object in which each tensor is one and
    so are the metadata; a brace, unlike a name, has one spelling.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    found = content.count(b"{", 8, end) - 1 - (content.find(b'"__metadata__"', 8, end) >= 0)
    if found > MOST_TENSORS:
        raise WeightsError(f"{found} tensors; {MOST_TENSORS} is the most")


def read_tensors(content: bytes) -> dict[str, Floats]:
    """Parse a safetensors file; nothing in it is ever executed.

    Raises:
        WeightsError: when it is not one, is truncated, or holds a type that numpy does not have.
    """
    from safetensors import SafetensorError  # noqa: PLC0415 - the client has no use for it
    from safetensors.numpy import load  # noqa: PLC0415

    _count_tensors(content)
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise WeightsError("not a safetensors file, or a truncated one") from error
    except (KeyError, TypeError) as error:
        named = _TYPE.search(str(error))
        raise WeightsError(f"a tensor has a type that is not supported: {named[0] if named else 'unknown'}") from error
    except (ValueError, OverflowError) as error:
        raise WeightsError("a tensor has too many dimensions, or too large ones") from error
    if len(tensors) > MOST_TENSORS:
        raise WeightsError(f"{len(tensors)} tensors; {MOST_TENSORS} is the most")
    return {name: tensor for name, tensor in tensors.items() if np.issubdtype(tensor.dtype, np.floating)}


def read_weights(content: bytes) -> Weights:
    """Return the statistics and sizes of a safetensors file's tensors.

    Raises:
        WeightsError: when it is not the weights of a network.
    """
    try:
        tensors = read_tensors(content)
        return Weights(tensor_statistics(tensors), fan_ins({name: t.shape for name, t in tensors.items()}))
    except FeaturesError as error:
        raise WeightsError(str(error)) from None


def read_weights_predictor(folder: Path) -> WeightsPredictor | None:
    """Load what reads weights from an artifact's folder; `None` when it has none.

    Raises:
        ArtifactError: when its card is malformed or its graph is not the card's.
    """
    if not (folder / WEIGHTS_CARD_FILE).exists():
        return None
    card, files = read_verified(folder, WeightsCard, WEIGHTS_CARD_FILE, (WEIGHTS_FILE,))
    return WeightsPredictor(card, files[WEIGHTS_FILE])


def write_weights_predictor(folder: Path, card: WeightsCard, model: bytes) -> None:
    """Write a model into an artifact's folder; the card last."""
    write_verified(folder, card, WEIGHTS_CARD_FILE, {WEIGHTS_FILE: model})
