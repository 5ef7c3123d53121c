"""Fit the paper's predictor (Peephole, sections 4.2 and 5.1)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from model.calibration import Calibration, CurveScale
from model.encoding.layer_code import LayerCode
from model.paper_lstm import PaperLSTM
from model.predictors.export import TorchNetwork
from model.predictors.peephole import Peephole, fold_batch_norm
from model.runtime import CurvePredictor
from training.observations.dataset import CurveDataset


@dataclass(frozen=True)
class LSTMConfig:
    """How the paper's predictor is trained; the paper gives its sizes and loss, the rest is this project's choice."""

    passes: int = 80
    batch_size: int = 64
    learning_rate: float = 1e-3
    final_epoch_only: bool = False


def fit_peephole(table: CurveDataset, code: LayerCode, config: LSTMConfig, *, seed: int = 0) -> CurvePredictor:
    """Fit Peephole with the smooth L1 loss, on whole curves or, as in equation 2, on their last epoch alone."""
    torch.manual_seed(seed)
    codes, lengths = torch.from_numpy(table.codes), torch.from_numpy(table.lengths)
    curves = torch.from_numpy(table.curves).float()
    network = Peephole(code, table.epochs)
    optimizer = torch.optim.Adam(network.parameters(), config.learning_rate)
    steps = config.passes * -(-len(table) // config.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, steps)
    first = table.epochs if config.final_epoch_only else 1
    epochs = torch.arange(first, table.epochs + 1)
    for _ in range(config.passes):
        for chosen in torch.randperm(len(table)).split(config.batch_size):
            if len(chosen) * len(epochs) < 2:
                continue  # batch normalisation needs two values
            longest = int(lengths[chosen].max())
            targets = curves[chosen, first - 1 :]
            measured = ~torch.isnan(targets)
            predicted, _ = network(codes[chosen, :longest], lengths[chosen], epochs)
            loss = F.smooth_l1_loss(predicted[measured], targets[measured])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        structures = network.structure(codes, lengths)
    family = PaperLSTM(structures.numpy().astype(np.float64))
    calibration = Calibration.without(CurveScale.unchanged(table.epochs))
    return CurvePredictor(family, calibration, TorchNetwork(fold_batch_norm(network)))
