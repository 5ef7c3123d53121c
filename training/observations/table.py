"""Observations as arrays to learn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.encoding.layer_code import CodeError, LayerCode, encode, pad
from model.network.shapes import Shape
from training.observations.observation import Observation, ObservationError

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Table:
    """Distinct networks and their curves.

    Attributes:
        network_ids: identity of each network.
        codes: int32 [networks, longest, columns], zero-padded.
        lengths: int32 [networks].
        curves: accuracies [networks, epochs], the mean over seeds; NaN where an epoch was not measured.
    """

    network_ids: list[str]
    codes: NDArray[np.int32]
    lengths: NDArray[np.int32]
    curves: Floats

    def __len__(self) -> int:
        return len(self.network_ids)

    @property
    def epochs(self) -> int:
        """Number of epochs of the longest curve."""
        return int(self.curves.shape[1])

    @property
    def encoding_keys(self) -> list[bytes]:
        """The codes of each network; the same for duplicates under the encoding."""
        return [codes[:length].tobytes() for codes, length in zip(self.codes, self.lengths, strict=True)]

    @property
    def groups(self) -> NDArray[np.intp]:
        """A number for each network [networks], the same for duplicates."""
        numbers: dict[bytes, int] = {}
        return np.array([numbers.setdefault(key, len(numbers)) for key in self.encoding_keys])

    @property
    def final(self) -> Floats:
        """The last measured accuracy of each network."""
        return np.array([curve[~np.isnan(curve)][-1] for curve in self.curves])

    def rows(self, chosen: NDArray[np.intp]) -> "Table":
        """Return some of the networks."""
        names = [self.network_ids[index] for index in chosen]
        return Table(names, self.codes[chosen], self.lengths[chosen], self.curves[chosen])


def mean_curve(curves: Sequence[Sequence[float]], epochs: int) -> Floats:
    """Average curves of different lengths epoch by epoch; NaN where none reaches."""
    padded = np.full((len(curves), epochs), np.nan)
    for row, curve in zip(padded, curves, strict=True):
        row[: len(curve)] = curve
    counts = (~np.isnan(padded)).sum(axis=0)
    return np.where(counts > 0, np.nansum(padded, axis=0) / np.maximum(counts, 1), np.nan)


def _curve(row: Observation, epochs: int) -> list[float]:
    return [np.nan] * (epochs - len(row.accuracy)) + row.accuracy if row.only_last else row.accuracy


def tabulate(
    observations: Sequence[Observation], code: LayerCode, image: Shape, *, clamp: bool, last: int = 1
) -> Table:
    """Encode observations; several seeds of one network become one row with their mean curve.

    Args:
        observations: rows of one task.
        code: that all of them are expressible in.
        image: shape of the task's images.
        clamp: see `encode`.
        last: the epoch of an accuracy that is known after the last one only; at least the longest curve's.

    Raises:
        ObservationError: naming the rows whose layers the code cannot express.
    """
    grouped: dict[str, list[Observation]] = {}
    for row in observations:
        grouped.setdefault(row.network_id, []).append(row)
    epochs = max(len(row.accuracy) for row in observations)
    if any(row.only_last for row in observations):
        epochs = max(epochs, last)
    encodings, faults = [], []
    for architecture, rows in grouped.items():
        try:
            encodings.append(encode(rows[0].layers, code, image, clamp=clamp).codes)
        except CodeError as error:
            faults.append(f"network {rows[0].id or architecture}: {error}")
    if faults:
        shown = "\n".join(faults[:10])
        raise ObservationError(f"{len(faults)} network(s) that the {code.name} code cannot express\n{shown}")
    codes, lengths = pad(encodings)
    curves = np.stack([mean_curve([_curve(row, epochs) for row in rows], epochs) for rows in grouped.values()])
    return Table(list(grouped), codes, lengths, curves)


def carry_forward(curves: Floats) -> Floats:
    """Fill unmeasured epochs with the last measured value, or the first, for methods that need whole curves."""
    filled = curves.copy()
    for epoch in range(filled.shape[1] - 2, -1, -1):
        missing = np.isnan(filled[:, : epoch + 1]).all(axis=1)
        filled[missing, epoch] = filled[missing, epoch + 1]
    for epoch in range(1, filled.shape[1]):
        missing = np.isnan(filled[:, epoch])
        filled[missing, epoch] = filled[missing, epoch - 1]
    return filled
