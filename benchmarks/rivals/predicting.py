"""What the other servers share: the same model file, the same encoding, the same ONNX Runtime session."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.rivals.architecture import Architecture
from model.artifact import read_artifact
from model.encoding.layer_code import encode, pad
from model.runtime import Curves, Predictor

PORT = int(os.environ.get("PEEPHOLE_BENCH_PORT", "8000"))
CORES = int(os.environ.get("PEEPHOLE_BENCH_CORES", "1"))
Codes = NDArray[np.int32]


class CurvePredictor:
    """A predictor of whole curves; `threads` are the cores that one call may use."""

    def __init__(self, threads: int = 1) -> None:
        self.predictor = Predictor(read_artifact(Path(os.environ["PEEPHOLE_BENCH_MODEL"])), threads=threads)
        self.card = self.predictor.card
        self.epochs = range(1, self.card.epochs + 1)

    def read(self, architectures: Sequence[dict[str, Any]]) -> list[Codes]:
        """Return the codes [layers, columns] of each network of a request that was parsed from JSON."""
        return [self.encode(Architecture.model_validate(architecture)) for architecture in architectures]

    def encode(self, architecture: Architecture) -> Codes:
        """Return the codes [layers, columns] of a validated network."""
        return encode(architecture.model_dump()["layers"], self.card.layer_code, self.card.image).codes

    def run(self, networks: Sequence[Codes]) -> Curves:
        """Predict networks in one call."""
        return self.predictor.run(*pad(networks), self.epochs)


def document(curves: Curves, start: int = 0, stop: int | None = None) -> dict[str, Any]:
    """Return the response for the networks from `start` to `stop` of a batch, ready for JSON."""
    rows = slice(start, stop)
    return {
        "accuracy": curves.accuracy[rows].tolist(),
        "lower": curves.lower[rows].tolist(),
        "upper": curves.upper[rows].tolist(),
        "distance": curves.distance[rows].tolist(),
    }
