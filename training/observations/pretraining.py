"""Networks measured on another task: what members learn before they learn their own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.encoding.layer_code import CodeError, LayerCode, encode
from model.network.shapes import Shape
from training.observations.observation import Observation
from training.observations.split import training_split
from training.observations.table import Table, tabulate
from training.observations.tasks import image_of, other_tasks, task_of


@dataclass(frozen=True)
class Related:
    """A table of another task.

    Attributes:
        task: its name.
        image: shape of its images.
        table: its networks.
        looks: their codes on the own task's images, as `Table.looks`; empty where those are too small for a network.
    """

    task: str
    image: Shape
    table: Table
    looks: list[bytes]

    def without(self, others: Table) -> "Related":
        """Leave out the networks of a table of the own task, and their twins."""
        names, looks = set(others.network_ids), set(others.looks)
        both = zip(self.table.network_ids, self.looks, strict=True)
        kept = np.flatnonzero([name not in names and look not in looks for name, look in both])
        return Related(self.task, self.image, self.table.rows(kept), [self.looks[index] for index in kept])


def _look(row: Observation, code: LayerCode, image: Shape) -> bytes:
    try:
        return encode(row.layers, code, image, clamp=True).codes.tobytes()
    except CodeError:
        return b""


def relate(rows: Sequence[Observation], code: LayerCode, image: Shape) -> Related:
    """Make a table of another task ready to begin from.

    Args:
        rows: of one task.
        code: the layer code.
        image: shape of the own task's images.

    Raises:
        ObservationError: when the rows are of several tasks, or a layer is outside the code.
    """
    task, _ = task_of(rows)
    own_image = image_of(rows)
    table = tabulate(rows, code, own_image, clamp=True)
    first = {row.network_id: row for row in rows}
    return Related(task, own_image, table, [_look(first[name], code, image) for name in table.network_ids])


def relate_all(
    tables: Sequence[Sequence[Observation]], task: str, code: LayerCode, image: Shape, split: str
) -> list[Related]:
    """Make tables of other tasks than `task` ready to begin from.

    Of each the train split alone counts where the own task is split; a task with nothing in it is left out.

    Raises:
        ObservationError: as `relate` and `other_tasks` do.
    """
    others = other_tasks(tables, task)
    parts = (training_split(rows, code, image_of(rows))[0] if split == "train" else rows for rows in others)
    return [relate(rows, code, image) for rows in parts if rows]


def begin_from(related: Sequence[Related], everything: Table, part: Table) -> list[Related]:
    """Leave out of other tasks' tables the own networks that are to be predicted: those that `part` lacks."""
    learnt = set(part.network_ids)
    outside = np.flatnonzero([name not in learnt for name in everything.network_ids])
    return [one.without(everything.rows(outside)) for one in related]
