"""How good continued curves are after a tenth, a quarter, half and three quarters of the epochs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from model.curve_continuation import milestones
from training.curves.ridges import MIN_CURVES, CrossFitted, margins
from training.metrics import final_error, rounded

Floats = NDArray[np.floating]
SHARES = (0.1, 0.25, 0.5, 0.75)


def cuts(epochs: int) -> dict[float, int]:
    """Return the number of epochs seen at each share of the curve, at least one and not all."""
    return {share: min(max(1, round(share * epochs)), epochs - 1) for share in SHARES}


def interval_figures(crossed: CrossFitted, seen: int) -> dict[str, float]:
    """Coverage and mean width of the intervals, their margins taken from the other folds alone.

    `coverage` is over all epochs to come (of long curves, over the milestones), `final_coverage` and `final_width` are
    for the last.
    """
    inside, final_inside, widths = [], [], []
    for number in np.unique(crossed.fold):
        out = crossed.fold == number
        margin = margins(crossed, ~out)[seen, seen:]
        residuals, predicted = crossed.residuals_outside_interval[seen, out][:, seen:], crossed.predicted[seen, out, -1]
        snapped = crossed.snapped[seen, out, -1]
        within = np.where(np.isnan(residuals), np.nan, np.abs(residuals) <= margin)
        inside.append(within[~np.isnan(within)])
        final_inside.append(within[:, -1][~np.isnan(within[:, -1])])
        upper, lower = expit(predicted + margin[-1]), expit(predicted - margin[-1])
        widths.append(np.maximum(upper, snapped) - np.minimum(lower, snapped))
    return {
        "coverage": round(float(np.concatenate(inside).mean()), 4),
        "final_coverage": round(float(np.concatenate(final_inside).mean()), 4),
        "final_width": round(float(np.concatenate(widths).mean()), 4),
    }


def figures(curves: Floats, prior: Floats, crossings: Sequence[CrossFitted]) -> dict[str, Any]:
    """Return, per share of the epochs seen, the errors of final accuracies and the intervals' coverage.

    Of long curves the nearest milestones stand for the shares.

    Args:
        curves: measured accuracies [networks, epochs].
        prior: predicted before training, out of fold, same shape.
        crossings: out-of-fold continuations without the prior and with it, of the curves' milestones.

    Returns:
        The figures; none when too few curves go to the last epoch.
    """
    whole = ~np.isnan(curves).any(axis=1)
    if whole.sum() < MIN_CURVES:
        return {}
    final = curves[whole, -1]
    table: dict[str, Any] = {}
    at = milestones(curves.shape[1])
    for share, wanted in cuts(curves.shape[1]).items():
        passed = 1 + int(np.abs(at[:-1] - wanted).argmin())
        seen = int(at[passed - 1])
        entry: dict[str, Any] = {"epochs_seen": seen}
        for name, crossed in zip(("curve_only", "with_prior"), crossings, strict=True):
            error = final_error(final, crossed.snapped[passed, whole, -1])
            entry[name] = rounded(error) | interval_figures(crossed, passed)
        entry["last_seen_value"] = rounded(final_error(final, curves[whole, seen - 1]))
        entry["before_training"] = rounded(final_error(final, prior[whole, -1]))
        table[f"{share:.0%}"] = entry
    return table
