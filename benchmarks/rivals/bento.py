"""BentoML with adaptive batching; the lists of networks of several requests are joined by BentoML itself."""

from typing import Any

import bentoml
import numpy as np

from benchmarks.rivals.predicting import CORES, CurvePredictor


@bentoml.service(
    workers=CORES,
    threads=1,
    traffic={"timeout": 60, "max_concurrency": 32},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
    monitoring={"enabled": False},
)
class Peephole:
    """The predictor as a BentoML service."""

    def __init__(self) -> None:
        self.curves = CurvePredictor()

    @bentoml.api(route="/predict", batchable=True, max_batch_size=1024, max_latency_ms=60_000)
    def predict(self, architectures: list[dict[str, Any]]) -> list[list[float]]:
        """Return accuracy, lower, upper and distance of each network, joined in one row."""
        curves = self.curves.run(self.curves.read(architectures))
        rows = np.concatenate([curves.accuracy, curves.lower, curves.upper, curves.distance[:, None]], axis=1)
        answer: list[list[float]] = rows.tolist()
        return answer
