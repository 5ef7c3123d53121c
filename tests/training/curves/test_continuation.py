"""Curves continued from the epochs seen."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from model.artifact import ArtifactError
from model.calibration import logit, snap
from model.continuation import CONTINUATION_FILE, Continuation, read_continuation
from tests.slices import Curves
from training.curves.figures import figures
from training.curves.fit import fit_curve_continuation
from training.curves.kernels import add_kernels, fit_kernels
from training.curves.ridges import cross_fit, fit_ridges, margins, replace_if_worse_than_baseline
from training.metrics import tau


def test_what_was_seen_is_returned_as_it_was(continuation: Continuation, curves: Curves) -> None:
    """Epochs that were measured need no prediction and no interval."""
    seen = curves.measured[:8, :3]
    got = continuation.run(seen.tolist(), prior=curves.prior[:8, :5])
    for part in (got.accuracy, got.lower, got.upper):
        np.testing.assert_allclose(part[:, :3], seen, atol=1e-6)
    assert (got.lower[:, 3:] < got.accuracy[:, 3:]).all()
    assert (got.accuracy[:, 3:] < got.upper[:, 3:]).all()


def test_intervals_narrow_as_epochs_arrive(continuation: Continuation, curves: Curves) -> None:
    widths = []
    for seen in range(1, 5):
        got = continuation.run(curves.measured[:, :seen].tolist(), prior=curves.prior[:, :5])
        widths.append(float((got.upper - got.lower)[:, -1].mean()))
    assert widths == sorted(widths, reverse=True)


def test_it_beats_the_last_value_and_the_prior_on_networks_it_was_not_fitted_to(curves: Curves) -> None:
    """Fitted to 80 networks, tested on 40 others, at every share of the curve."""
    rest, out = slice(0, 80), slice(80, None)
    fitted, _ = fit_curve_continuation(curves.measured[rest], curves.prior[rest], curves.fold[rest])
    final = curves.measured[out, -1]
    for seen in (2, 5, 10, 15):
        cut = np.where(np.arange(20) < seen, curves.measured[out], 0)
        got = fitted.run(cut, np.full(len(final), seen, dtype=np.int32), curves.prior[out], np.zeros(len(final)))
        error = np.abs(got.accuracy[:, -1] - final).mean()
        assert error < np.abs(cut[:, seen - 1] - final).mean()
        assert error < np.abs(curves.prior[out, -1] - final).mean()


def test_the_prior_helps_early(curves: Curves) -> None:
    """After two epochs of twenty, what was predicted before training is worth more than it costs."""
    alone, informed = (
        cross_fit(logit(curves.measured), prior, curves.fold).residuals[2, :, -1]
        for prior in (None, logit(curves.prior))
    )
    assert np.abs(informed).mean() < 0.8 * np.abs(alone).mean()


def test_a_regression_that_loses_is_replaced_by_what_beats_it(curves: Curves) -> None:
    """On random walks nothing beats the last value; out of fold, the gated continuation never loses to it."""
    walks = np.random.default_rng(0).normal(size=(len(curves.fold), 8)).cumsum(axis=1)
    crossed = cross_fit(walks, None, curves.fold)
    assert replace_if_worse_than_baseline(fit_ridges(walks, None), crossed, walks, None) > 0
    for seen in range(1, 8):
        for target in range(seen, 8):
            last = np.mean((walks[:, target] - walks[:, seen - 1]) ** 2)
            assert np.mean(crossed.residuals[seen, :, target] ** 2) <= last


def test_support_vectors_never_cost_much(curves: Curves) -> None:
    """On real curves they are no worse than ridges alone by more than the choice of a share can cost."""
    logits, prior = logit(curves.measured), logit(curves.prior)
    ridges = cross_fit(logits, prior, curves.fold)
    blended, kernels = add_kernels(ridges, logits, prior, curves.fold)
    assert kernels.share.max() > 0
    for seen in (2, 5, 10, 15):
        before, after = (np.mean(crossed.residuals[seen, :, -1] ** 2) for crossed in (ridges, blended))
        assert after < 1.1 * before
    np.testing.assert_allclose(blended.predicted + blended.residuals, ridges.predicted + ridges.residuals)


def test_few_curves_are_left_to_ridges(curves: Curves) -> None:
    logits = logit(curves.measured[:30])
    ridges = cross_fit(logits, None, curves.fold[:30])
    blended, kernels = add_kernels(ridges, logits, None, curves.fold[:30])
    assert kernels.share.max() == 0
    np.testing.assert_array_equal(blended.predicted, ridges.predicted)


def test_margins_cover_what_they_promise(curves: Curves) -> None:
    """Margins from three quarters of the networks cover about 90 % of the last quarter's final accuracies."""
    crossed = cross_fit(logit(curves.measured), logit(curves.prior), curves.fold)
    chosen = np.arange(len(curves.measured)) % 4 > 0
    covered = [
        (np.abs(crossed.residuals[seen, ~chosen, -1]) <= margins(crossed, chosen)[seen, -1]).mean()
        for seen in (2, 5, 10)
    ]
    assert 0.8 <= np.mean(covered) <= 0.98


def test_the_probability_of_ending_below_is_calibrated(curves: Curves) -> None:
    """Of the runs that probably (80 to 95 %) end below the best so far, about that share does."""
    rest, out = np.arange(120) % 2 == 0, np.arange(120) % 2 == 1
    fitted, _ = fit_curve_continuation(curves.measured[rest], curves.prior[rest], curves.fold[rest])
    ended, said = [], []
    for best in np.quantile(curves.measured[:, -1], (0.3, 0.5, 0.7, 0.9)):
        for seen in (2, 5):
            cut = np.where(np.arange(20) < seen, curves.measured[out], 0)
            count = int(out.sum())
            got = fitted.run(cut, np.full(count, seen, dtype=np.int32), curves.prior[out], np.full(count, best))
            said.append(got.below)
            ended.append(curves.measured[out, -1] <= best)
    probability, below = np.concatenate(said), np.concatenate(ended)
    likely = probability >= 0.8
    assert likely.sum() > 100
    assert abs(below[likely].mean() - probability[likely].mean()) < 0.06


def test_what_is_written_continues_as_what_was_fitted(continuation: Continuation, curves: Curves) -> None:
    """Written in single precision."""
    some = curves.first(5)
    fitted, _ = fit_curve_continuation(some.measured, some.prior, some.fold)
    seen = np.full(len(some.measured), 3)
    expected = fitted.run(some.measured, seen, some.prior, some.measured[:, -1])
    got = continuation.run(some.measured[:, :3].tolist(), prior=some.prior, best=some.measured[:, -1].tolist())
    for name in ("accuracy", "lower", "upper"):
        np.testing.assert_allclose(getattr(got, name), getattr(expected, name), atol=1e-5)


def test_support_vectors_and_ridges_are_continued_as_they_were_validated(curves: Curves) -> None:
    """The function that serves gives what the parts give that cross-validation runs one number of epochs at a time."""
    logits, prior = logit(curves.measured), logit(curves.prior)
    fitted, _ = fit_curve_continuation(curves.measured, curves.prior, curves.fold)
    ridges, kernels = fit_ridges(logits, prior), fit_kernels(logits, prior)
    replace_if_worse_than_baseline(ridges, cross_fit(logits, prior, curves.fold), logits, prior)
    for seen in (2, 7, 15):
        got = fitted.run(curves.measured, np.full(len(logits), seen), curves.prior, np.zeros(len(logits)))
        ridge, share = ridges.predict(logits, prior, seen)[:, -1], fitted.share[1, seen]
        final = ridge + share * (kernels.predict(logits, prior, seen) - ridge)
        moved = snap(expit(final), fitted.levels[1, seen, -1], fitted.thresholds[1, seen, -1])
        np.testing.assert_allclose(got.accuracy[:, -1], moved, atol=1e-5)


def test_a_finished_run_is_below_or_not(continuation: Continuation) -> None:
    got = continuation.run([[0.1, 0.2, 0.3, 0.4, 0.5]] * 2, best=[0.4, 0.6])
    assert got.below.tolist() == [0.0, 1.0]


def test_every_run_ends_at_or_below_an_accuracy_of_1(continuation: Continuation) -> None:
    """However many were seen to end higher than was predicted of them; the probability never falls as the bar rises."""
    bars = [0.0, 0.5, 0.9, 0.99, 0.999999, 1 - 1e-12, 1.0]
    got = continuation.run([[0.3, 0.9, 0.98]] * len(bars), best=bars)
    assert got.below.dtype == np.float32
    assert got.below[-1] == 1.0
    assert np.all(np.diff(got.below) >= 0)
    assert got.below[4] < 1


@pytest.mark.parametrize("curve", [[], [0.1] * 6, [1.1], [-0.1], [float("nan")]])
def test_impossible_curves_are_rejected(continuation: Continuation, curve: list[float]) -> None:
    with pytest.raises(ValueError, match=r"epochs|from 0 to 1"):
        continuation.run([curve])


def test_a_changed_graph_is_rejected(continued: Path, tmp_path: Path) -> None:
    for file in continued.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / CONTINUATION_FILE).write_bytes(b"not this")
    with pytest.raises(ArtifactError, match="sha256"):
        read_continuation(tmp_path)


def test_a_folder_without_one_has_none(tmp_path: Path) -> None:
    assert read_continuation(tmp_path) is None


def test_curves_of_different_lengths_are_learnt_from(curves: Curves) -> None:
    """Half of the networks were stopped at epoch 4 of 8; what was not measured is not missed."""
    measured = curves.measured[:60, :8].copy()
    measured[::2, 4:] = np.nan
    fitted, _ = fit_curve_continuation(measured, curves.prior[:60, :8], curves.fold[:60])
    cut = np.where(np.arange(8) < 3, curves.measured[60:, :8], 0)
    got = fitted.run(cut, np.full(60, 3, dtype=np.int32), curves.prior[60:, :8], np.zeros(60))
    assert np.isfinite(got.accuracy).all()
    assert np.abs(got.accuracy[:, -1] - curves.measured[60:, 7]).mean() < 0.05


@pytest.mark.parametrize(("networks", "epochs"), [(20, 2), (20, 3), (25, 20)])
def test_small_tables_are_enough(curves: Curves, networks: int, epochs: int) -> None:
    """Few networks give wide intervals and no certainty, not an error."""
    measured, prior = curves.measured[:networks, :epochs], curves.prior[:networks, :epochs]
    fitted, crossings = fit_curve_continuation(measured, prior, np.arange(networks) % 5)
    figures(measured, prior, crossings)
    cut = np.where(np.arange(epochs) < 1, measured, 0)
    got = fitted.run(cut, np.ones(networks, dtype=np.int32), prior, np.ones(networks))
    assert np.isfinite(got.accuracy).all()
    assert got.below.max() <= networks / (networks + 1)


def test_a_network_that_learnt_nothing_is_continued_at_the_accuracy_of_all_that_do(curves: Curves) -> None:
    """A third of the networks stay at one accuracy; the continuation meets it, and its interval still holds it."""
    measured, prior = curves.measured[:, :8].copy(), curves.prior[:, :8].copy()
    hopeless = np.arange(len(measured)) % 3 == 0
    rng = np.random.default_rng(0)
    measured[hopeless] = 0.1 + rng.uniform(0, 0.005, (hopeless.sum(), 8)) * (np.arange(8) < 4)
    prior[hopeless] = rng.uniform(0.08, 0.3, (hopeless.sum(), 8))
    fitted, crossings = fit_curve_continuation(measured, prior, curves.fold)
    got = fitted.run(
        np.where(np.arange(8) < 4, measured, 0), np.full(len(measured), 4, np.int32), prior, measured[:, -1]
    )
    np.testing.assert_allclose(got.accuracy[hopeless, -1], 0.1, atol=1e-6)
    assert (got.lower <= got.accuracy).all()
    assert (got.accuracy <= got.upper).all()
    final = measured[:, -1]
    assert tau(final, crossings[1].snapped[4, :, -1]) > tau(final, crossings[1].raw[4, :, -1])
