"""In-context prediction: a few measured networks of any data set stand in for a fit.

A Gaussian process on hand features of the networks and on what others predict of them: another task's predictor, the
prior, and a neural process that learned on many tasks. It is exact, for up to a thousand networks, and says of itself
by leaving one out how far to trust it (Rasmussen and Williams, Gaussian Processes for Machine Learning, section 5.4.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_solve, cholesky
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import kendalltau

from .calibration import Curves

Floats = NDArray[np.floating[Any]]

MOST_TO_FIT = 200  # networks that the kernel's scales are fitted to: time grows with their cube
CLIP = 1e-3  # of accuracies, before logits
LEVEL = 0.9  # of intervals
FAMILIAR_SHARE = 0.95  # of the context is nearer to its nearest other than the threshold of distances
SMALLEST_SPREAD = 0.05  # of a feature
LARGEST_FEATURE = 6.0  # standard deviations
REFERENCE_WEIGHT = 20  # how many networks the reference's spread counts for
EQUAL_WEIGHT = 20  # how many networks the assumption that all features tell the same counts for
GUESS_WEIGHT = 40.0  # features that a guess counts for in a distance
LINEAR = -1.5, -2.2, -3.0  # of the linear part, by the number of guesses, which know what is linear in the features
# Logarithms: variance and length scale of the smooth part, variances of the parts that are linear in the features and
# in the guesses, noise. The likelihood moves them from here, a standard deviation of 1 at a time.
START = np.array([-1.0, 0.7, LINEAR[0], 0.0, -1.9])
FARTHEST = 10.0  # standard deviations from there that the search goes, at most
JITTER = 1e-6
SMALL_SAMPLE_MARGIN = 2.5  # standard deviations, while too few residuals are known for a quantile


@dataclass(frozen=True)
class Evidence:
    """What is known of networks before they are measured.

    Attributes:
        features: hand features, and zero-cost scores where they are known [networks, features].
        guesses: final accuracies as up to two others predict them, on their scales [networks, others].
    """

    features: Floats
    guesses: Floats

    def rows(self, chosen: NDArray[np.intp]) -> "Evidence":
        """Return some of the networks."""
        return Evidence(self.features[chosen], self.guesses[chosen])


@dataclass(frozen=True)
class _Inputs:
    """Evidence as the kernel reads it: features and guesses together, and each alone."""

    whole: Floats
    features: Floats
    guesses: Floats


@dataclass(frozen=True)
class _Scaler:
    """Makes evidence comparable: features in standard deviations, guesses as standardised logits.

    A feature that varies with the accuracies of the context counts more: by `stretch`, of mean square 1.
    """

    centre: Floats
    spread: Floats
    stretch: Floats
    guess_mean: Floats
    guess_std: Floats

    @classmethod
    def fit(cls, known: Evidence, target: Floats, reference: Floats | None) -> "_Scaler":
        """Fit to a context.

        Args:
            known: its networks.
            target: what is to be predicted of each [networks].
            reference: the features' spread in a larger set of networks [features], NaN where unknown.
        """
        count, own = len(known.features), known.features.var(axis=0)
        if reference is not None:
            both = (count * own + REFERENCE_WEIGHT * reference**2) / (count + REFERENCE_WEIGHT)
            own = np.where(np.isnan(reference), own, both)
        odds = _logit(known.guesses)
        spread = np.maximum(np.sqrt(own), SMALLEST_SPREAD)
        centre, stretch = known.features.mean(axis=0), np.sqrt(_relevance(known.features, target))
        return cls(centre, spread, stretch, odds.mean(axis=0), odds.std(axis=0) + SMALLEST_SPREAD)

    def __call__(self, evidence: Evidence) -> _Inputs:
        features = np.clip((evidence.features - self.centre) / self.spread, -LARGEST_FEATURE, LARGEST_FEATURE)
        features *= self.stretch
        guesses = (_logit(evidence.guesses) - self.guess_mean) / self.guess_std
        whole = np.hstack([features, GUESS_WEIGHT**0.5 * guesses])
        return _Inputs(whole / whole.shape[1] ** 0.5, features / features.shape[1] ** 0.5, guesses)


@dataclass(frozen=True)
class ContextModel:
    """A process that knows the measured networks of a context.

    Attributes:
        tau: Kendall's, of final accuracies and their predictions when each network is left out.
        log_likelihood: mean logarithm of the density of the final accuracies' logits when each is left out.
        epochs: of the curves.
    """

    tau: float
    log_likelihood: float
    epochs: int
    _scaler: _Scaler
    _known: _Inputs
    _theta: Floats
    _factor: Floats
    _weights: Floats
    _mean: Floats
    _std: Floats
    _margins: Floats
    _threshold: float

    @classmethod
    def fit(cls, known: Evidence, accuracies: Floats, reference: Floats | None = None) -> "ContextModel":
        """Fit to a context.

        Args:
            known: its networks, at least three.
            accuracies: measured after each epoch [networks, epochs], from 0 to 1.
            reference: spread of the features in a larger set of networks [features], if there is one.
        """
        odds = _logit(accuracies)
        mean, std = odds.mean(axis=0), odds.std(axis=0) + CLIP
        targets = (odds - mean) / std
        scaler = _Scaler.fit(known, targets[:, -1], reference)
        inputs = scaler(known)
        part = evenly(len(targets), MOST_TO_FIT)
        theta = _most_likely(scaler(known.rows(part)), targets[part])
        covariance = _kernel(theta, inputs, inputs) + _noise(theta) * np.eye(len(targets))
        factor = cholesky(covariance, lower=True)
        weights = cho_solve((factor, True), targets)
        variances = 1 / np.diag(cho_solve((factor, True), np.eye(len(targets))))
        missed = weights * variances[:, None]  # measured less predicted, when each is left out
        scores = np.abs(missed) / np.sqrt(variances)[:, None]
        density = -0.5 * (scores[:, -1] ** 2 + np.log(2 * np.pi * variances)) - np.log(std[-1])
        left_out = targets[:, -1] - missed[:, -1]
        tau = float(np.nan_to_num(kendalltau(targets[:, -1], left_out).statistic))
        nearest = _distances(inputs.whole, inputs.whole)
        np.fill_diagonal(nearest, np.inf)
        threshold = float(np.quantile(np.sqrt(nearest.min(axis=1)), FAMILIAR_SHARE)) + SMALLEST_SPREAD
        return cls(
            tau,
            float(density.mean()),
            accuracies.shape[1],
            scaler,
            inputs,
            theta,
            factor,
            weights,
            mean,
            std,
            _conformal(scores),
            threshold,
        )

    def predict(self, asked: Evidence) -> Curves:
        """Predict networks; a distance of 1 is the threshold of what resembles the context."""
        inputs = self._scaler(asked)
        across = _kernel(self._theta, inputs, self._known)
        solved = cho_solve((self._factor, True), across.T)
        own = _own_variance(self._theta, inputs) + _noise(self._theta)
        spread = np.sqrt(np.maximum(own - (across.T * solved).sum(axis=0), _noise(self._theta)))
        middle = across @ self._weights
        margin = spread[:, None] * self._margins
        found = (expit((middle + side * margin) * self._std + self._mean) for side in (0, -1, 1))
        distance = np.sqrt(_distances(inputs.whole, self._known.whole).min(axis=1)) / self._threshold
        return Curves(*(values.astype(np.float32) for values in (*found, distance)))


def _relevance(features: Floats, target: Floats) -> Floats:
    """Return how much each feature tells of a target, of mean 1 [features].

    It is the squared correlation less what chance gives, mixed with equal shares: the fewer networks, the more so.
    """
    count = len(features)
    varied, aim = features - features.mean(axis=0), target - target.mean()
    squares = np.einsum("nf,nf->f", varied, varied) * (aim @ aim)
    explained = np.divide((aim @ varied) ** 2, squares, out=np.zeros(features.shape[1]), where=squares > 0)
    explained = np.maximum(explained - 1 / (count - 1), 0)
    equal = EQUAL_WEIGHT / (count + EQUAL_WEIGHT) if explained.any() else 1.0
    return np.asarray(equal + (1 - equal) * explained / max(explained.mean(), JITTER))


def _logit(accuracies: Floats) -> Floats:
    return np.asarray(logit(np.clip(accuracies, CLIP, 1 - CLIP)))


def _distances(one: Floats, other: Floats) -> Floats:
    """Return squared distances of rows [one, other]."""
    found = (one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T
    return np.asarray(np.maximum(found, 0))


def _parts(theta: Floats, distances: Floats, features: Floats, guesses: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the three parts of the kernel, given squared distances and inner products."""
    amplitude, length_scale, linear, of_guesses = np.exp(theta[:4])
    smooth = amplitude * np.exp(-0.5 * distances / length_scale**2)
    return smooth, linear * features, of_guesses * guesses


def _kernel(theta: Floats, one: _Inputs, other: _Inputs) -> Floats:
    distances = _distances(one.whole, other.whole)
    return np.asarray(sum(_parts(theta, distances, one.features @ other.features.T, one.guesses @ other.guesses.T)))


def _own_variance(theta: Floats, inputs: _Inputs) -> Floats:
    """Return the kernel of each network with itself."""
    products = (inputs.features**2).sum(1), (inputs.guesses**2).sum(1)
    return np.asarray(sum(_parts(theta, np.zeros(len(inputs.whole)), *products)))


def _noise(theta: Floats) -> float:
    return float(np.exp(theta[4])) + JITTER


def _most_likely(inputs: _Inputs, targets: Floats) -> Floats:
    """Return the logarithms of the kernel's scales: the likelihood of the targets times what `START` says."""
    distances = _distances(inputs.whole, inputs.whole)
    features, guesses = inputs.features @ inputs.features.T, inputs.guesses @ inputs.guesses.T
    count, outputs = targets.shape
    start = START.copy()
    start[2] = LINEAR[inputs.guesses.shape[1]]

    def loss(theta: Floats) -> tuple[float, Floats]:
        smooth, linear, of_guesses = _parts(theta, distances, features, guesses)
        try:
            factor = cholesky(smooth + linear + of_guesses + _noise(theta) * np.eye(count), lower=True)
        except LinAlgError:
            return np.inf, np.zeros(len(theta))
        weights = cho_solve((factor, True), targets)
        inner = weights @ weights.T / outputs - cho_solve((factor, True), np.eye(count))
        stretched = smooth * distances * np.exp(-2 * theta[1])
        slopes = [(inner * part).sum() for part in (smooth, stretched, linear, of_guesses)]
        gradient = -0.5 * np.array([*slopes, np.exp(theta[4]) * np.trace(inner)])
        value = 0.5 * (targets * weights).sum() / outputs + np.log(np.diag(factor)).sum()
        return float(value + 0.5 * ((theta - start) ** 2).sum()), gradient + theta - start

    bounds = [(one - FARTHEST, one + FARTHEST) for one in start]
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": 60})
    return np.array(found.x, dtype=np.float64)


def _conformal(scores: Floats) -> Floats:
    """Return how many standard deviations an interval reaches, [epochs]: the scores' quantile that gives its level.

    Args:
        scores: absolute errors in standard deviations when each network is left out [networks, epochs].
    """
    count = len(scores)
    place = int(np.ceil(LEVEL * (count + 1)))
    if place > count:
        return np.asarray(np.maximum(scores.max(axis=0), SMALL_SAMPLE_MARGIN))
    found: Floats = np.sort(scores, axis=0)[place - 1]
    return found


def most_likely_first(candidates: Sequence[tuple[Evidence, Floats | None]], accuracies: Floats) -> list[int]:
    """Return the order in which evidence makes a context likely when each of its networks is left out, best first.

    Args:
        candidates: of the same networks, each with the spread of features as `ContextModel.fit` takes it.
        accuracies: measured [networks, epochs].
    """
    if len(candidates) == 1:
        return [0]
    found = [ContextModel.fit(evidence, accuracies, spread).log_likelihood for evidence, spread in candidates]
    return sorted(range(len(found)), key=found.__getitem__, reverse=True)


def evenly(count: int, most: int) -> NDArray[np.intp]:
    """Return at most so many places of a sequence, evenly spread."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.intp)
