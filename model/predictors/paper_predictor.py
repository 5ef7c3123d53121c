"""The paper's predictor, with an interval and a distance."""

import torch

from .peephole import Peephole, fold_batch_norm
from .predictor import AccuracyScale, CurvePredictor, Raw


class PaperPredictor(CurvePredictor):
    """Peephole as published; the distance is to the nearest structural feature seen in training.

    Args:
        peephole: the fitted network.
        epochs: number of epochs of a curve.
        structures: structural features of the training networks, float32 [networks, 160].
    """

    structures: torch.Tensor

    def __init__(self, peephole: Peephole, epochs: int, structures: torch.Tensor) -> None:
        super().__init__(AccuracyScale(epochs), epochs)
        self.peephole = fold_batch_norm(peephole)
        self.register_buffer("structures", structures)

    def raw(self, codes: torch.Tensor, lengths: torch.Tensor, index: torch.Tensor) -> Raw:
        structure = self.peephole.structure(codes, lengths)
        curve = self.peephole.curve(structure, index + 1)
        squared = (structure**2).sum(1, keepdim=True) + (self.structures**2).sum(1) - 2 * structure @ self.structures.T
        distance = torch.sqrt(torch.clamp(squared.amin(1), min=0.0) / structure.shape[1])
        return Raw(curve, torch.zeros_like(curve), distance)
