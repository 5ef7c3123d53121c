"""How accuracies are given to callers: rounded, and ranked by what is left."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DECIMALS = 6


def rounded(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Round to `DECIMALS`."""
    return values.astype(np.float64).round(DECIMALS)


def ranks(final: Sequence[float]) -> list[int]:
    """Rank final accuracies: 1 is the best, equals share the better rank."""
    places: dict[float, int] = {}
    for place, one in enumerate(sorted(final, reverse=True), 1):
        places.setdefault(one, place)
    return [places[one] for one in final]
