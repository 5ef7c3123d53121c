"""Cross-validation of a whole fit; the chance level and the conformal intervals that follow from it."""

import math
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from model.calibration import StandardisedPrediction
from model.runtime import CurvePredictor
from training.fitting.chance_level import cross_fit_chance_level, fit_chance_level, residuals_outside_interval
from training.metrics import Floats, Metrics, score
from training.observations.dataset import CurveDataset

LEVEL = 0.9
FOLDS = 5
IN_DISTRIBUTION_SHARE = 0.99  # of networks out of fold that are nearer than the threshold
UNKNOWN = 1e6  # a margin where nothing was measured: the interval is everything


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of networks by predictors that were not fitted to them.

    Attributes:
        measured: accuracies, NaN where not measured [networks, epochs].
        predicted: accuracies, snapped to a chance level that the other folds gave [networks, epochs].
        raw: accuracies as the predictors gave them [networks, epochs].
        curves: the same on the predictors' own scale [networks, epochs].
        residuals: measured minus predicted on the predictor's own scale, NaN where not measured, 0 where what
            was measured lies between the prediction and the snapped one [networks, epochs].
        variance: disagreement of the ensemble members, same scale [networks, epochs].
        distance: out-of-distribution score [networks].
        fold: which fold predicted each network [networks].
    """

    measured: Floats
    predicted: Floats
    raw: Floats
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


def predict_table(predictor: CurvePredictor, table: CurveDataset) -> tuple[Floats, StandardisedPrediction]:
    """Return accuracies [networks, epochs] before they are snapped, and the prediction on the predictor's own scale."""
    index = np.arange(table.epochs)
    prediction = predictor.family.predict(predictor.run, table.codes, table.lengths, index)
    return predictor.calibration.scale.to_accuracy(prediction.curve), prediction


def cross_validate(
    table: CurveDataset, fit: Callable[[CurveDataset, int], CurvePredictor], *, folds: int = FOLDS, seed: int = 0
) -> OutOfFold:
    """Fit to all folds but one and predict that one, in turn.

    Duplicates under the encoding share a fold, so that none is on both sides.

    Args:
        table: networks of at least two different codes.
        fit: from a table and the number of the fold to a predictor.
        folds: how many parts.
        seed: of the split.
    """
    raw, curves, residuals, variance = (np.empty_like(table.curves) for _ in range(4))
    distance = np.empty(len(table))
    fold_of = np.empty(len(table), dtype=np.intp)
    groups = table.duplicate_groups
    distinct = np.unique(groups)
    split = KFold(min(folds, len(distinct)), shuffle=True, random_state=seed).split(distinct)
    for number, (_, chosen) in enumerate(split):
        inside = np.isin(groups, chosen)
        held_out = np.flatnonzero(inside)
        predictor = fit(table.rows(np.flatnonzero(~inside)), number)
        part = table.rows(held_out)
        raw[held_out], prediction = predict_table(predictor, part)
        curves[held_out], variance[held_out], distance[held_out] = prediction
        residuals[held_out] = predictor.calibration.scale.standardise(part.curves) - curves[held_out]
        fold_of[held_out] = number
    predicted = cross_fit_chance_level(table.curves, raw, fold_of)
    residuals = residuals_outside_interval(residuals, table.curves, raw, predicted)
    return OutOfFold(table.curves, predicted, raw, curves, residuals, variance, distance, fold_of)


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


def calibrate(predictor: CurvePredictor, result: OutOfFold) -> CurvePredictor:
    """Return a predictor with a chance level, intervals and a threshold of distances from out-of-fold predictions."""
    calibration = replace(
        predictor.calibration,
        base_uncertainty=base_uncertainty(result),
        chance_level=fit_chance_level(result.measured, result.raw),
        threshold=float(np.quantile(result.distance, IN_DISTRIBUTION_SHARE)),
    )
    margins = conformal_margins(result.residuals, calibration.uncertainty(result.variance, result.distance))
    return replace(predictor, calibration=replace(calibration, margins=margins))


def coverage(predictor: CurvePredictor, result: OutOfFold) -> float:
    """Share of measured accuracies inside a predictor's intervals, with margins from the other folds alone."""
    uncertainty = predictor.calibration.uncertainty(result.variance, result.distance)
    inside: list[NDArray[np.bool_]] = []
    for number in np.unique(result.fold):
        others, held_out = result.fold != number, result.fold == number
        margins = conformal_margins(result.residuals[others], uncertainty[others])
        ratios = np.abs(result.residuals[held_out]) / uncertainty[held_out]
        inside.append((ratios <= margins)[~np.isnan(ratios)])
    return float(np.concatenate(inside).mean())


def mean_width(predictor: CurvePredictor, result: OutOfFold) -> float:
    """Mean width, in accuracy, of the calibrated predictor's intervals around the out-of-fold predictions."""
    prediction = StandardisedPrediction(result.curves, result.variance, result.distance)
    curves = predictor.calibration.curves(prediction, np.arange(result.curves.shape[1]))
    return float((np.maximum(curves.upper, result.predicted) - np.minimum(curves.lower, result.predicted)).mean())
