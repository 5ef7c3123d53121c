"""Cross-validation of a whole fit; the chance level and the conformal intervals that follow from it."""

import math
from collections.abc import Callable
from dataclasses import astuple, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from model.predictors.predictor import CurvePredictor, Raw
from training.fitting.chance_level import cross_fit_chance_level, fit_chance_level, missed
from training.metrics import Floats, Metrics, score
from training.observations.table import Table

LEVEL = 0.9
FOLDS = 5
UNKNOWN = 1e6  # a margin where nothing was measured: the interval is everything


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of networks by predictors that were not fitted to them.

    Attributes:
        measured: accuracies, NaN where not measured [networks, epochs].
        predicted: accuracies, snapped to a chance level that the other folds gave [networks, epochs].
        unsnapped: accuracies as the predictors gave them [networks, epochs].
        curves: the same on the predictors' own scale [networks, epochs].
        residuals: measured minus predicted on the predictor's own scale, NaN where not measured, 0 where what
            was measured lies between the prediction and the snapped one [networks, epochs].
        variance: disagreement of the ensemble members, same scale [networks, epochs].
        distance: out-of-distribution score [networks].
        fold: which fold predicted each network [networks].
    """

    measured: Floats
    predicted: Floats
    unsnapped: Floats
    curves: Floats
    residuals: Floats
    variance: Floats
    distance: Floats
    fold: NDArray[np.intp]

    def metrics(self, predicted: Floats | None = None) -> Metrics:
        """The mean of the folds' metrics, of `predicted` or of others; a fold of one network has no R2."""
        chosen = self.predicted if predicted is None else predicted
        folds = [self.fold == number for number in np.unique(self.fold)]
        each = [astuple(score(self.measured[out], chosen[out])) for out in folds]
        return Metrics(*(float(np.nanmean(column)) for column in zip(*each, strict=True)))


@torch.no_grad()
def predict_table(predictor: CurvePredictor, table: Table) -> tuple[Floats, Raw]:
    """Return accuracies [networks, epochs] before they are snapped, and the prediction on the predictor's own scale."""
    predictor.eval()
    index = torch.arange(table.epochs)
    raw = predictor.raw(torch.from_numpy(table.codes), torch.from_numpy(table.lengths), index)
    return predictor.scale.accuracy(raw.curve).double().numpy(), raw


def cross_validate(
    table: Table, fit: Callable[[Table, int], CurvePredictor], *, folds: int = FOLDS, seed: int = 0
) -> OutOfFold:
    """Fit to all folds but one and predict that one, in turn.

    Duplicates under the encoding share a fold, so that none is on both sides.

    Args:
        table: networks of at least two different codes.
        fit: from a table and the number of the fold to a predictor.
        folds: how many parts.
        seed: of the split.
    """
    unsnapped, curves, residuals, variance = (np.empty_like(table.curves) for _ in range(4))
    distance = np.empty(len(table))
    fold_of = np.empty(len(table), dtype=np.intp)
    groups = table.groups
    distinct = np.unique(groups)
    split = KFold(min(folds, len(distinct)), shuffle=True, random_state=seed).split(distinct)
    for number, (_, chosen) in enumerate(split):
        inside = np.isin(groups, chosen)
        held_out = np.flatnonzero(inside)
        predictor = fit(table.rows(np.flatnonzero(~inside)), number)
        part = table.rows(held_out)
        unsnapped[held_out], raw = predict_table(predictor, part)
        curves[held_out], variance[held_out], distance[held_out] = (tensor.double().numpy() for tensor in raw)
        residuals[held_out] = predictor.scale.standardise(part.curves) - curves[held_out]
        fold_of[held_out] = number
    predicted = cross_fit_chance_level(table.curves, unsnapped, fold_of)
    residuals = missed(residuals, table.curves, unsnapped, predicted)
    return OutOfFold(table.curves, predicted, unsnapped, curves, residuals, variance, distance, fold_of)


def conformal_margins(residuals: Floats, uncertainty: Floats, level: float = LEVEL) -> Floats:
    """Return, per epoch, the factor on `uncertainty` that covers `level` of the residuals (split conformal).

    The largest of too few residuals covers less than `level` (one alone covers half), so such epochs get at least the
    widest margin of the others; where no epoch has enough, the largest residual of all.
    """
    ratios = np.abs(residuals) / uncertainty
    largest, margins = np.full((2, ratios.shape[1]), np.nan)
    for epoch, column in enumerate(ratios.T):
        measured = np.sort(column[~np.isnan(column)])
        rank = math.ceil((len(measured) + 1) * level)
        if len(measured):
            largest[epoch] = measured[-1]
        if rank <= len(measured):
            margins[epoch] = measured[rank - 1]
    few = np.isnan(margins)
    known = largest[~np.isnan(largest)] if few.all() else margins[~few]
    margins[few] = np.fmax(largest[few], max(known, default=UNKNOWN))
    return margins


def base_uncertainty(result: OutOfFold) -> float:
    """Root mean square residual: what a network's uncertainty is when its members agree."""
    return float(np.sqrt(np.nanmean(result.residuals**2)))


def calibrate(predictor: CurvePredictor, result: OutOfFold) -> None:
    """Set a predictor's chance level and its interval from out-of-fold predictions."""
    chance_level = fit_chance_level(result.measured, result.unsnapped)
    predictor.chance_level = chance_level if chance_level.thresholds.any() else None
    predictor.base_uncertainty = base_uncertainty(result)
    uncertainty = np.sqrt(result.variance + predictor.base_uncertainty**2)
    predictor.margins = torch.from_numpy(conformal_margins(result.residuals, uncertainty).astype(np.float32))


def coverage(result: OutOfFold) -> float:
    """Share of measured accuracies inside intervals whose margins come from the other folds alone."""
    uncertainty = np.sqrt(result.variance + base_uncertainty(result) ** 2)
    inside: list[NDArray[np.bool_]] = []
    for number in np.unique(result.fold):
        others, held_out = result.fold != number, result.fold == number
        margins = conformal_margins(result.residuals[others], uncertainty[others])
        ratios = np.abs(result.residuals[held_out]) / uncertainty[held_out]
        inside.append((ratios <= margins)[~np.isnan(ratios)])
    return float(np.concatenate(inside).mean())


def mean_width(predictor: CurvePredictor, result: OutOfFold) -> float:
    """Mean width, in accuracy, of the calibrated predictor's intervals around the out-of-fold predictions."""
    margin = np.sqrt(result.variance + predictor.base_uncertainty**2) * predictor.margins.numpy()
    lower, upper = (
        predictor.scale.accuracy(torch.from_numpy(result.curves + sign * margin)).numpy() for sign in (-1, 1)
    )
    return float((np.maximum(upper, result.predicted) - np.minimum(lower, result.predicted)).mean())
