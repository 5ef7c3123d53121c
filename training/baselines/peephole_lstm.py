"""The plain Peephole LSTM with the paper's code and sizes (Deng, Yan and Lin, arXiv 1712.03351)."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from model.encoding.layer_code import LayerCode
from model.runtime import CurvePredictor
from training.baselines import Floats
from training.fitting.calibrate import predict_table
from training.fitting.fit_peephole import LSTMConfig, fit_peephole
from training.observations.dataset import CurveDataset


def as_table(codes: NDArray[np.int32], curves: NDArray[np.float64]) -> CurveDataset:
    """Return padded codes [networks, layers, columns] and curves as a table; a layer's first code is never zero."""
    lengths = (codes[:, :, 0] > 0).sum(axis=1).astype(np.int32)
    return CurveDataset([str(index) for index in range(len(codes))], codes, lengths, curves)


LAST_EPOCH_RATE = 3e-3  # one target a network instead of all epochs': by cross-validation in the training split


class PlainPeephole:
    """Reads layer codes where the other methods read hand features.

    Args:
        code: the layer code of the descriptions.
        final_epoch_only: learn from the last epoch alone, as in equation 2, instead of whole curves.
        passes: over the networks.
        seed: of the initial weights and the order of the networks.
    """

    predictor: CurvePredictor

    def __init__(
        self, code: LayerCode, *, final_epoch_only: bool = False, passes: int = LSTMConfig.passes, seed: int = 0
    ) -> None:
        self.code, self.seed = code, seed
        self.config = LSTMConfig(passes=passes)
        if final_epoch_only:
            self.config = replace(self.config, final_epoch_only=True, learning_rate=LAST_EPOCH_RATE)

    def fit(self, curves: Floats, features: NDArray[np.int32]) -> None:
        """Fit the network."""
        self.predictor = fit_peephole(
            as_table(features, np.asarray(curves, dtype=np.float64)), self.code, self.config, seed=self.seed
        )

    def predict(self, seen: Floats, features: NDArray[np.int32]) -> Floats:
        """Return the prediction for the last epoch, whatever was seen."""
        del seen
        table = as_table(features, np.full((len(features), len(self.predictor.calibration.margins)), np.nan))
        return predict_table(self.predictor, table)[0][:, -1]
