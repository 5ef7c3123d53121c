"""Accuracies as the share of the known networks that are worse: targets between 0 and 1, without outliers."""

import numpy as np
from scipy.stats import rankdata

from training.baselines import Floats


def shares(final: Floats) -> Floats:
    """Return the share of networks that are worse than each [networks]; equal ones share the mean of theirs."""
    return np.asarray((rankdata(final) - 1) / max(len(final) - 1, 1))


def accuracies(found: Floats, final: Floats) -> Floats:
    """Return the accuracies that shares [batch] stand for among known ones [networks]."""
    return np.asarray(np.quantile(final, np.clip(found, 0, 1)), dtype=np.float64)
