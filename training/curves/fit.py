"""Measured curves and out-of-fold predictions to `continuation.npz`: fit, compare with the alternatives, calibrate."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.artifact import Card, digests
from model.calibration import logit
from model.continuation import ContinuationCard, pack_continuation, write_continuation
from model.curve_continuation import CurveContinuation, milestones
from training.curves.figures import figures
from training.curves.kernels import add_kernels
from training.curves.ridges import (
    CrossFitted,
    cross_fit,
    final_quantiles,
    fit_ridges,
    margins,
    replace_if_worse_than_baseline,
)
from training.fitting.calibrate import LEVEL
from training.fitting.chance_level import fit_chance_level
from training.fitting.out_of_fold import KeptPredictions

Floats = NDArray[np.floating]


def fit_curve_continuation(
    curves: Floats, prior: Floats, fold: NDArray[np.intp]
) -> tuple[CurveContinuation, list[CrossFitted]]:
    """Fit all parts without the prior and with it; return them and out-of-fold continuations.

    Of long curves only the milestones are fitted, and the out-of-fold continuations are of those.

    Args:
        curves: measured accuracies [networks, epochs], NaN where not measured.
        prior: predicted before training by predictors not fitted to the network, same shape.
        fold: of the cross-validation that `prior` comes from [networks].
    """
    at = milestones(curves.shape[1])
    logits, before = logit(curves[:, at - 1]), logit(prior[:, at - 1])
    everyone = np.ones(len(curves), dtype=bool)
    all_ridges, all_kernels, crossings = [], [], []
    for known in (None, before):
        crossed = cross_fit(logits, known, fold)
        ridges = fit_ridges(logits, known)
        replace_if_worse_than_baseline(ridges, crossed, logits, known)
        crossed, kernels = add_kernels(crossed, logits, known, fold)
        all_ridges.append(ridges)
        all_kernels.append(kernels)
        crossings.append(crossed)
    chance_levels = np.array(
        [[fit_chance_level(*each) for each in zip(one.measured, one.raw, strict=True)] for one in crossings]
    )
    fitted = CurveContinuation(
        milestones=at,
        weights=np.stack([ridges.weights for ridges in all_ridges]),
        margins=np.stack([margins(crossed, everyone) for crossed in crossings]),
        residuals=np.stack([final_quantiles(crossed, everyone) for crossed in crossings]),
        points=all_kernels[-1].points,
        point_priors=all_kernels[-1].prior,
        scale=np.stack([kernels.scale for kernels in all_kernels]),
        coefficients=np.stack([kernels.coefficients for kernels in all_kernels]),
        constant=np.stack([kernels.constant for kernels in all_kernels]),
        share=np.stack([kernels.share for kernels in all_kernels]),
        levels=chance_levels[:, :, 0],
        thresholds=chance_levels[:, :, 1],
    )
    return fitted, crossings


def fit_continuation(folder: Path, predictor: Card, known: KeptPredictions) -> ContinuationCard:
    """Fit a continuation and write it beside the predictor that it continues.

    Args:
        folder: the artifact's.
        predictor: the artifact's card.
        known: the predictor's out-of-fold predictions (`training.fitting.out_of_fold.read_out_of_fold`).
    """
    curves, fold = known.measured, known.fold
    fitted, crossings = fit_curve_continuation(curves, known.predicted, fold)
    files = pack_continuation(fitted)
    card = ContinuationCard(
        files=digests(files),
        task=predictor.task,
        epochs=curves.shape[1],
        predictor_sha256=predictor.sha256,
        interval_level=LEVEL,
        training={"networks": len(curves), "folds": len(np.unique(fold))},
        metrics=figures(curves, known.predicted, crossings),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_continuation(folder, card, files)
    return card
