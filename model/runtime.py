"""Predict learning curves: neural networks run by ONNX Runtime, everything else is numpy.

A batch is `codes` int32 [batch, layers, columns], zero-padded, and `lengths` int32 [batch]; epochs count from 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .artifact import ARRAYS_FILE, MEMBERS_FILE, Artifact, ArtifactError, unpack_arrays
from .calibration import Calibration, Curves
from .ensemble import Ensemble, RunNetwork, no_members
from .onnx_network import PROVIDERS, OnnxNetwork, Provider
from .paper_lstm import PaperLSTM

__all__ = ["OUTPUTS", "CurvePredictor", "Curves", "Floats", "Predictor", "Provider"]

Floats = NDArray[np.float32]
OUTPUTS = ("accuracy", "lower", "upper", "distance")  # of `Curves`


@dataclass(frozen=True)
class CurvePredictor:
    """A predictor of learning curves, the same while it is fitted and when it is served.

    Attributes:
        family: what is fitted beside the neural networks: feature scaling, Gaussian process, distances.
        calibration: the scale of curves, chance level and intervals.
        run: runs the neural networks, from named inputs to outputs.
    """

    family: Ensemble | PaperLSTM
    calibration: Calibration
    run: RunNetwork

    def predict(self, codes: NDArray[np.int32], lengths: NDArray[np.int32], epochs: Sequence[int]) -> Curves:
        """Predict a padded batch."""
        index = np.asarray(epochs, dtype=np.int64) - 1
        return self.calibration.curves(self.family.predict(self.run, codes, lengths, index), index)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all fitted numbers but those of the networks."""
        return self.family.arrays() | self.calibration.arrays()


class Predictor:
    """A loaded artifact. Safe to call from several threads.

    Attributes:
        card: the artifact's.
        calibration: the artifact's.
        family: what was fitted beside the networks.
        provider: name of the execution provider in use.
    """

    def __init__(self, artifact: Artifact, *, threads: int = 1, provider: Provider = "cpu", lanes: int = 1) -> None:
        """Load the verified files.

        Args:
            artifact: what `read_artifact` returned.
            threads: cores that one call of the networks may use.
            provider: where the networks run.
            lanes: sessions with buffers of their own, each 2 MiB at first and 20 once large batches went through it.

        Raises:
            ArtifactError: when ONNX Runtime cannot load the networks there, or the files do not make a predictor.
        """
        self.card = card = artifact.card
        family: Ensemble | PaperLSTM
        try:
            arrays = unpack_arrays(artifact.files[ARRAYS_FILE])
            self.calibration = Calibration.from_arrays(arrays, card.distance_threshold)
            if card.family == "lstm":
                family = PaperLSTM.from_arrays(arrays)
            else:
                family = Ensemble.from_arrays(arrays, card.features, card.image)
        except (KeyError, ValueError) as error:
            raise ArtifactError(f"{artifact.folder / ARRAYS_FILE}: {error}") from error
        self.family = family
        if MEMBERS_FILE not in artifact.files:
            self.provider = PROVIDERS["cpu"][0]
            self._lanes = [CurvePredictor(family, self.calibration, no_members)] * lanes
            return
        model, where = artifact.files[MEMBERS_FILE], str(artifact.folder / MEMBERS_FILE)
        networks = [
            OnnxNetwork(model, where, family.INPUTS, family.OUTPUTS, threads=threads, provider=provider)
            for _ in range(lanes)
        ]
        self.provider = networks[0].provider
        self._lanes = [CurvePredictor(family, self.calibration, network) for network in networks]

    def run(
        self, codes: NDArray[np.int32], lengths: NDArray[np.int32], epochs: Sequence[int], *, lane: int = 0
    ) -> Curves:
        """Predict a padded batch on a lane."""
        return self._lanes[lane].predict(codes, lengths, epochs)
