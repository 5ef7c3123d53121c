"""Pretraining tables: networks of other tasks, which ensemble members learn before those of their own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.encoding.layer_code import LayerCode, encode
from model.network.graph import NetworkError
from model.network.shapes import Shape
from training.observations.dataset import CurveDataset, image_of, task_of, to_dataset, training_split
from training.observations.observation import Observation, ObservationError


@dataclass(frozen=True)
class PretrainingTable:
    """A table of another task.

    Attributes:
        task: its name.
        image: shape of its images.
        table: its networks.
        encoding_keys: of its networks on the images of the task that is learnt afterwards, as those of a
            `CurveDataset`; empty where the code cannot express a network on those images.
    """

    task: str
    image: Shape
    table: CurveDataset
    encoding_keys: list[bytes]

    def without(self, others: CurveDataset) -> "PretrainingTable":
        """Leave out networks, and their duplicates."""
        names, encoding_keys = set(others.network_ids), set(others.encoding_keys)
        both = zip(self.table.network_ids, self.encoding_keys, strict=True)
        kept = np.flatnonzero([name not in names and key not in encoding_keys for name, key in both])
        keys = [self.encoding_keys[index] for index in kept]
        return PretrainingTable(self.task, self.image, self.table.rows(kept), keys)


def _encoding_key(row: Observation, code: LayerCode, image: Shape) -> bytes:
    try:
        return encode(row.layers, code, image).codes.tobytes()
    except NetworkError:
        return b""


def pretraining_table(rows: Sequence[Observation], code: LayerCode, image: Shape) -> PretrainingTable:
    """Prepare a table of another task.

    Args:
        rows: of one task.
        code: the layer code.
        image: shape of the images of the task that is learnt afterwards.

    Raises:
        ObservationError: when the rows are of several tasks, or a layer is outside the code.
    """
    task, _ = task_of(rows)
    own_image = image_of(rows)
    table = to_dataset(rows, code, own_image)
    first = {row.network_id: row for row in rows}
    keys = [_encoding_key(first[name], code, image) for name in table.network_ids]
    return PretrainingTable(task, own_image, table, keys)


def other_tasks(tables: Sequence[Sequence[Observation]], task: str) -> list[list[Observation]]:
    """Return the rows of each task of some tables but one, in the order of the tasks' names.

    Raises:
        ObservationError: when there are tables and none of them holds another task.
    """
    rows = [row for table in tables for row in table if row.task != task]
    if tables and not rows:
        raise ObservationError(f"the tables to learn from first hold no task but {task}")
    return [[row for row in rows if row.task == name] for name in sorted({row.task for row in rows})]


def pretraining_tables(
    tables: Sequence[Sequence[Observation]], task: str, code: LayerCode, image: Shape, split: str
) -> list[PretrainingTable]:
    """Prepare the tables of other tasks than `task`.

    With the split `train`, only the train split of each is used; a task with no rows in it is left out.

    Raises:
        ObservationError: as `pretraining_table` and `other_tasks` do.
    """
    others = other_tasks(tables, task)
    parts = (training_split(rows, code, image_of(rows))[0] if split == "train" else rows for rows in others)
    return [pretraining_table(rows, code, image) for rows in parts if rows]


def without_held_out(
    pretraining: Sequence[PretrainingTable], everything: CurveDataset, part: CurveDataset
) -> list[PretrainingTable]:
    """Leave out the networks that are predicted, which are those of `everything` that `part` lacks."""
    learnt = set(part.network_ids)
    outside = np.flatnonzero([name not in learnt for name in everything.network_ids])
    return [one.without(everything.rows(outside)) for one in pretraining]
