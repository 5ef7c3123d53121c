"""Predictions of networks whose zero-cost scores are known: arrays and a card of their own in an artifact's folder.

They stand apart from the predictor's: a network without scores is predicted as if there were none. With them, a
Gaussian process and boosted trees read the hand features, the scores and what the predictor says without them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from .artifact import (
    Artifact,
    ArtifactError,
    Card,
    HasFiles,
    pack_arrays,
    read_verified,
    unpack_arrays,
    write_verified,
)
from .boosted_trees import BoostedTrees
from .calibration import Calibration, Curves, StandardisedPrediction
from .encoding.hand_features import hand_features, places
from .encoding.layer_code import pad
from .ensemble import FeatureScaler
from .gaussian_process import GaussianProcess
from .network.shapes import Shape

PROXIES_FILE = "proxies.npz"
PROXIES_CARD_FILE = "proxies.json"
BEFORE = "predicted"  # what the predictor says without scores, as a feature
TREES_SHARE = 0.5  # of the blend
BATCH = 256
Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int32]


class ProxiesCard(HasFiles):
    """What reads the scores of an artifact's networks, what it was fitted to and how well it does.

    Attributes:
        task: whose curves it predicts.
        predictor_sha256: of the predictor that it goes with (`Card.sha256`).
        features: names of the hand features that it reads.
        proxies: names of the scores that it reads.
        training: what it was fitted to.
        metrics: measured figures, with the scores and without.
    """

    format: Literal[1] = 1
    task: str
    predictor_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    features: tuple[str, ...]
    proxies: tuple[str, ...] = Field(min_length=1)
    training: dict[str, Any]
    metrics: dict[str, Any]
    created_at: str


@dataclass(frozen=True)
class ProxyModel:
    """A Gaussian process and boosted trees, each half of the blend.

    Attributes:
        usual: of each score, what stands for one that is not known [proxies].
        scaler: of hand features, scores and the prediction without scores.
        process: predicts standardised curves from scaled features.
        trees: likewise.
        calibration: the scale of curves, chance level and intervals.
    """

    usual: Floats
    scaler: FeatureScaler
    process: GaussianProcess
    trees: BoostedTrees
    calibration: Calibration

    def predict(self, features: Floats, scores: Floats, before: Floats) -> Floats:
        """Return standardised curves [batch, epochs].

        Args:
            features: hand features [batch, features].
            scores: NaN where not known [batch, proxies].
            before: accuracies as predicted without the scores [batch, epochs].
        """
        scaled, _ = self.scaler(joined(features, np.where(np.isnan(scores), self.usual, scores), before, self.scale))
        process, _ = self.process.predict(scaled)
        return np.asarray((1 - TREES_SHARE) * process + TREES_SHARE * self.trees.predict(scaled))

    @property
    def scale(self) -> Any:
        """The scale of the curves."""
        return self.calibration.scale


def joined(features: Floats, scores: Floats, before: Floats, scale: Any) -> Floats:
    """Return what a `ProxyModel` reads of networks [batch, features]: the prediction without scores is the last."""
    return np.hstack([features, scores, scale.standardise(before)[:, -1:]])


class ProxyReader:
    """A loaded reader of scores. Safe to call from several threads."""

    def __init__(self, card: ProxiesCard, fitted: ProxyModel, image: Shape) -> None:
        self.card = card
        self._fitted = fitted
        self._image = image

    def run(self, codes: Sequence[Ints], scores: Sequence[Mapping[str, float]], before: Curves) -> Curves:
        """Predict whole curves.

        Args:
            codes: int32 [layers, columns] of each network.
            scores: of each network by name; others than the card's are ignored.
            before: what the predictor says without them, at every epoch.
        """
        rows = np.array([[one.get(name, np.nan) for name in self.card.proxies] for one in scores])
        curves = np.empty_like(before.accuracy, dtype=np.float64)
        by_length = sorted(range(len(codes)), key=lambda index: len(codes[index]))
        for start in range(0, len(codes), BATCH):
            chosen = by_length[start : start + BATCH]
            features = hand_features(self.card.features, *pad([codes[index] for index in chosen]), self._image)
            curves[chosen] = self._fitted.predict(features, rows[chosen], before.accuracy[chosen])
        prediction = StandardisedPrediction(curves, np.zeros_like(curves), before.distance)
        return self._fitted.calibration.curves(prediction, np.arange(curves.shape[1]))


def pack_proxies(fitted: ProxyModel) -> dict[str, bytes]:
    """Return the files of a reader of scores."""
    process, scaler = fitted.process, fitted.scaler
    arrays = {
        "usual": fitted.usual,
        "spread": scaler.spread,
        "low": scaler.low,
        "high": scaler.high,
        "kept": scaler.kept,
        "kept_mean": scaler.mean,
        "kept_stretch": scaler.stretch,
        "process_points": process.points,
        "process_weights": process.weights,
        "process_slopes": process.slopes,
        "process_kernel": np.array([process.amplitude, process.length_scale]),
    }
    return {PROXIES_FILE: pack_arrays(arrays | fitted.trees.arrays() | fitted.calibration.arrays())}


def read_proxy_reader(folder: Path, predictor: Card) -> ProxyReader | None:
    """Load what reads scores from an artifact's folder; `None` when it has none.

    Args:
        folder: the artifact's.
        predictor: the artifact's card.

    Raises:
        ArtifactError: when its card is malformed or its arrays are not the card's.
    """
    if not (folder / PROXIES_CARD_FILE).exists():
        return None
    card, files = read_verified(folder, ProxiesCard, PROXIES_CARD_FILE, (PROXIES_FILE,))
    try:
        fitted = _unpack(unpack_arrays(files[PROXIES_FILE]), card, predictor.distance_threshold)
    except (KeyError, ValueError) as error:
        raise ArtifactError(f"{folder / PROXIES_FILE}: {error}") from error
    return ProxyReader(card, fitted, predictor.image)


def unpack_proxy_reader(artifact: Artifact) -> ProxyReader | None:
    """Load what reads scores from an unpacked artifact; `None` when it came without.

    Raises:
        ArtifactError: when it cannot be read.
    """
    files = artifact.beside
    if PROXIES_CARD_FILE not in files:
        return None
    try:
        card = ProxiesCard.model_validate_json(files[PROXIES_CARD_FILE])
        fitted = _unpack(unpack_arrays(files[PROXIES_FILE]), card, artifact.card.distance_threshold)
    except (KeyError, ValueError) as error:
        raise ArtifactError(f"{artifact.folder / PROXIES_FILE}: {error}") from error
    return ProxyReader(card, fitted, artifact.card.image)


def _unpack(arrays: Mapping[str, NDArray[Any]], card: ProxiesCard, threshold: float) -> ProxyModel:
    places(card.features)
    scaler = FeatureScaler(
        names=(*card.features, *card.proxies, BEFORE),
        spread=arrays["spread"],
        low=arrays["low"],
        high=arrays["high"],
        kept=arrays["kept"],
        mean=arrays["kept_mean"],
        stretch=arrays["kept_stretch"],
    )
    if len(scaler.spread) != len(scaler.names):
        raise ValueError(f"{len(scaler.spread)} features, not the {len(scaler.names)} of {PROXIES_CARD_FILE}")
    amplitude, length_scale = arrays["process_kernel"].tolist()
    points, weights, slopes = (arrays[f"process_{name}"] for name in ("points", "weights", "slopes"))
    process = GaussianProcess(points, weights, slopes, amplitude, length_scale)
    trees = BoostedTrees.from_arrays(arrays)
    return ProxyModel(arrays["usual"], scaler, process, trees, Calibration.from_arrays(arrays, threshold))


def write_proxies(folder: Path, card: ProxiesCard, files: dict[str, bytes]) -> None:
    """Write what reads scores into an artifact's folder."""
    write_verified(folder, card, PROXIES_CARD_FILE, files)


def discard_proxies(folder: Path) -> None:
    """Remove what reads scores for an artifact that is about to be replaced."""
    for name in (PROXIES_CARD_FILE, PROXIES_FILE):
        (folder / name).unlink(missing_ok=True)
