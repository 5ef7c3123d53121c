"""Observations as arrays to learn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model.encoding.layer_cache import LayerCache
from model.encoding.layer_code import LayerCode, pad
from model.network.graph import NetworkError
from model.network.shapes import Shape
from training.observations.observation import (
    DEFAULT_CHANNELS,
    DEFAULT_RESOLUTION,
    Observation,
    ObservationError,
    task_name,
)

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class CurveDataset:
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
    def duplicate_groups(self) -> NDArray[np.intp]:
        """A number for each network [networks], the same for duplicates."""
        numbers: dict[bytes, int] = {}
        return np.array([numbers.setdefault(key, len(numbers)) for key in self.encoding_keys])

    @property
    def final(self) -> Floats:
        """The last measured accuracy of each network."""
        return carry_forward(self.curves)[:, -1]

    def rows(self, chosen: NDArray[np.intp]) -> "CurveDataset":
        """Return some of the networks."""
        names = [self.network_ids[index] for index in chosen]
        return CurveDataset(names, self.codes[chosen], self.lengths[chosen], self.curves[chosen])


def to_dataset(observations: Sequence[Observation], code: LayerCode, image: Shape, *, last: int = 1) -> CurveDataset:
    """Encode observations; several seeds of one network become one row with their mean curve.

    Args:
        observations: rows of one task.
        code: that all of them are expressible in.
        image: shape of the task's images.
        last: the epoch of an accuracy that is known after the last one only; at least the longest curve's.

    Raises:
        ObservationError: naming the rows whose layers the code cannot express.
    """
    grouped: dict[str, list[Observation]] = {}
    for row in observations:
        grouped.setdefault(row.network_id, []).append(row)
    epochs = max(len(row.accuracy) for row in observations)
    if any(row.final_only for row in observations):
        epochs = max(epochs, last)
    encodings, faults, cache = [], [], LayerCache(code)
    for network_id, rows in grouped.items():
        try:
            encodings.append(cache.encode(rows[0].layers, image).codes)
        except NetworkError as error:
            faults.append(f"network {rows[0].id or network_id}: {error}")
    if faults:
        shown = "\n".join(faults[:10])
        raise ObservationError(f"{len(faults)} network(s) that the {code.name} code cannot express\n{shown}")
    codes, lengths = pad(encodings)
    return CurveDataset(
        list(grouped), codes, lengths, np.stack([_mean_curve(rows, epochs) for rows in grouped.values()])
    )


def _mean_curve(rows: Sequence[Observation], epochs: int) -> Floats:
    """Average runs of different lengths epoch by epoch; NaN where none reaches."""
    runs = np.full((len(rows), epochs), np.nan)
    for run, row in zip(runs, rows, strict=True):
        start = epochs - len(row.accuracy) if row.final_only else 0
        run[start : start + len(row.accuracy)] = row.accuracy
    counts = (~np.isnan(runs)).sum(axis=0)
    return np.where(counts > 0, np.nansum(runs, axis=0) / np.maximum(counts, 1), np.nan)


def carry_forward(curves: Floats) -> Floats:
    """Fill unmeasured epochs with the last measured value, or the first, for methods that need whole curves."""
    return pd.DataFrame(curves).ffill(axis=1).bfill(axis=1).to_numpy()


def training_split(rows: Sequence[Observation], code: LayerCode, image: Shape) -> tuple[list[Observation], int]:
    """Return the rows outside the test split, and how many networks were left out as duplicates of test networks.

    Duplicates are different networks that the layer code does not tell apart.

    Raises:
        ObservationError: naming the rows whose layers the code cannot express.
    """
    dataset = to_dataset(rows, code, image)
    group = dict(zip(dataset.network_ids, dataset.duplicate_groups.tolist(), strict=True))
    tested = {group[row.network_id] for row in rows if row.split == "test"}
    kept = [row for row in rows if group[row.network_id] not in tested]
    duplicates = {row.network_id for row in rows if row.split == "train"} - {row.network_id for row in kept}
    return kept, len(duplicates)


def task_of(observations: Sequence[Observation], task: str | None = None) -> tuple[str, list[Observation]]:
    """Return the task and its rows.

    Raises:
        ObservationError: when the table holds several tasks and none was chosen, or the chosen one is missing.
    """
    tasks = sorted({row.task for row in observations})
    if task is None and len(tasks) > 1:
        raise ObservationError(f"the table holds several tasks ({', '.join(tasks)}); choose one with --task")
    chosen = task_name(task) if task else tasks[0]
    if chosen not in tasks:
        raise ObservationError(f"the table holds no task {chosen}; it holds {', '.join(tasks)}")
    return chosen, [row for row in observations if row.task == chosen]


def image_of(
    observations: Sequence[Observation], resolution: int | None = None, in_channels: int | None = None
) -> Shape:
    """Return the shape of the task's images: as given, else from the rows, else 3 channels and 32 pixels.

    Raises:
        ObservationError: when the rows disagree.
    """
    channels = {in_channels} if in_channels else {row.in_channels for row in observations if row.in_channels}
    sizes = {resolution} if resolution else {row.resolution for row in observations if row.resolution}
    if len(channels) > 1 or len(sizes) > 1:
        raise ObservationError(
            f"the rows disagree on the images: channels {sorted(channels)}, resolutions {sorted(sizes)}"
        )
    size = next(iter(sizes), DEFAULT_RESOLUTION)
    return Shape(next(iter(channels), DEFAULT_CHANNELS), size, size)
