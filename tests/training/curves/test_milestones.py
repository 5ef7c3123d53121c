"""Long curves: continued from the milestones that stand for them."""

from pathlib import Path

import numpy as np
import pytest

from model.continuation import CONTINUATION_CARD_FILE, Continuation, ContinuationCard
from model.curve_continuation import MOST_MILESTONES, CurveContinuation, milestones
from tests.slices import Curves
from training.curves.figures import figures
from training.curves.fit import fit_curve_continuation
from training.curves.ridges import CrossFitted

STRETCH = 3


def stretched(curves: np.ndarray) -> np.ndarray:
    """Return curves of three times the epochs, the measured ones joined by lines."""
    epochs = curves.shape[1]
    fine = np.linspace(1, epochs, STRETCH * epochs)
    return np.stack([np.interp(fine, np.arange(1, epochs + 1), curve) for curve in curves])


@pytest.fixture(scope="module")
def long_fit(curves: Curves) -> tuple[CurveContinuation, list[CrossFitted]]:
    return fit_curve_continuation(stretched(curves.measured), stretched(curves.prior), curves.fold)


@pytest.mark.parametrize("epochs", [1, 2, 20, MOST_MILESTONES, MOST_MILESTONES + 1, 100, 200, 600, 3000])
def test_milestones_are_few_and_end_with_the_last_epoch(epochs: int) -> None:
    at = milestones(epochs)
    assert at[0] == 1
    assert at[-1] == epochs
    assert len(at) == epochs if epochs <= MOST_MILESTONES else MOST_MILESTONES / 2 < len(at) <= MOST_MILESTONES
    gaps = np.diff(at)
    assert (gaps > 0).all()
    assert (np.diff(gaps) >= -1).all()  # rounding apart, they only grow


def test_short_curves_are_fitted_as_they_are(curves: Curves) -> None:
    fitted, _ = fit_curve_continuation(curves.measured[:, :6], curves.prior[:, :6], curves.fold)
    assert fitted.milestones.tolist() == [1, 2, 3, 4, 5, 6]


def test_long_curves_are_continued_as_well_as_the_short_ones_that_they_repeat(curves: Curves) -> None:
    """The same real curves, drawn with three times the epochs: the same information, so about the same error."""
    rest, out = slice(0, 80), slice(80, None)
    final = curves.measured[out, -1]
    errors = []
    for measured, prior in (
        (curves.measured, curves.prior),
        (stretched(curves.measured), stretched(curves.prior)),
    ):
        epochs = measured.shape[1]
        fitted, _ = fit_curve_continuation(measured[rest], prior[rest], curves.fold[rest])
        seen = epochs // 2
        cut = np.where(np.arange(epochs) < seen, measured[out], 0)
        got = fitted.run(cut, np.full(len(final), seen, dtype=np.int32), prior[out], np.zeros(len(final)))
        np.testing.assert_allclose(got.accuracy[:, :seen], cut[:, :seen], atol=1e-6)
        assert (got.lower <= got.accuracy).all()
        assert (got.accuracy <= got.upper).all()
        errors.append(np.abs(got.accuracy[:, -1] - final).mean())
    assert errors[1] < 1.15 * errors[0]


def test_intervals_hold_between_milestones_as_they_do_at_them(curves: Curves) -> None:
    """Noise from epoch to epoch, as measured accuracies have it: the epochs just after a milestone are no surer."""
    noisy = np.clip(stretched(curves.measured) + np.random.default_rng(0).normal(0, 0.01, (120, 60)), 0, 1)
    rest, out = slice(0, 80), slice(80, None)
    prior = stretched(curves.prior)
    fitted, _ = fit_curve_continuation(noisy[rest], prior[rest], curves.fold[rest])
    at = milestones(60)
    inside, steps = [], []
    for seen in at[at > 20][:-1]:
        cut = np.where(np.arange(60) < seen, noisy[out], 0)
        got = fitted.run(cut, np.full(40, seen, dtype=np.int32), prior[out], np.zeros(40))
        within = (got.lower <= noisy[out]) & (noisy[out] <= got.upper)
        inside.append(within[:, seen:].mean())
        steps.append(within[:, seen].mean())
    assert 0.82 <= np.mean(inside) <= 0.98
    assert np.mean(steps) >= 0.8


def test_between_two_milestones_the_one_that_was_passed_decides(
    long_fit: tuple[CurveContinuation, list[CrossFitted]],
) -> None:
    """What the learning rate did since then is not mistaken for what it had done by then."""
    fitted, _ = long_fit
    at = milestones(fitted.epochs)
    passed = int(at[np.flatnonzero(np.diff(at) > 1)[0]])
    first = [0.2] * passed
    got = [
        fitted.run(
            np.array([[*curve, *[0.0] * (fitted.epochs - len(curve))]]),
            np.array([len(curve)], dtype=np.int32),
            np.full((1, fitted.epochs), -1.0),
            np.array([0.5]),
        )
        for curve in (first, [*first, 0.9])
    ]
    assert got[0].accuracy[0, -1] == got[1].accuracy[0, -1]
    assert got[0].below == got[1].below
    assert got[1].accuracy[0, passed] == pytest.approx(0.9)


def test_every_epoch_may_be_the_newest(
    curves: Curves, continued: Path, long_fit: tuple[CurveContinuation, list[CrossFitted]]
) -> None:
    """Each prefix is continued, milestone or not, and a finished run is below or it is not."""
    measured, prior = stretched(curves.measured), stretched(curves.prior)
    fitted, crossings = long_fit
    card = ContinuationCard.model_validate_json((continued / CONTINUATION_CARD_FILE).read_text())
    continuation = Continuation(card.model_copy(update={"epochs": measured.shape[1]}), fitted)
    for seen in range(1, measured.shape[1] + 1):
        got = continuation.run(measured[:3, :seen].tolist(), prior=prior[:3], best=0.5)
        np.testing.assert_allclose(got.accuracy[:, :seen], measured[:3, :seen], atol=1e-6)
        assert (got.lower <= got.accuracy).all()
        assert (got.accuracy <= got.upper).all()
    whole = continuation.run(measured[:2].tolist(), best=[0.0, 1.0])
    assert whole.below.tolist() == [0.0, 1.0]
    shares = figures(measured, prior, crossings)
    assert [entry["epochs_seen"] for entry in shares.values()] == pytest.approx([6, 15, 30, 45], abs=2)
