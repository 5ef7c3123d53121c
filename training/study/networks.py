"""The networks of a table as every method of the study reads them, and how they are split."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from model.encoding.features import attributes, network_features
from model.encoding.layer_code import EXTENDED, PAPER, LayerCode
from model.network.shapes import Shape
from training.fitting.calibrate import FOLDS
from training.observations.observation import Observation, ObservationError
from training.observations.read import read
from training.observations.table import Floats, Table, carry_forward, tabulate
from training.observations.tasks import image_of

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Networks:
    """Distinct networks and their curves.

    Attributes:
        image: shape of the task's images.
        table: in the extended code.
        code: what the plain LSTM reads: Table 1's code, or the extended one where Table 1 cannot express a network.
        codes: in `code`, int32 [networks, layers, columns], zero-padded.
        features: hand features [networks, features].
        curves: accuracies [networks, epochs], the last value carried forward.
    """

    image: Shape
    table: Table
    code: LayerCode
    codes: NDArray[np.int32]
    features: Floats
    curves: Floats

    def __len__(self) -> int:
        return len(self.table)

    @property
    def final(self) -> Floats:
        """The last accuracy of each network [networks]."""
        return self.curves[:, -1]

    def rows(self, chosen: Indices) -> "Networks":
        """Return some of the networks."""
        return Networks(
            self.image,
            self.table.rows(chosen),
            self.code,
            self.codes[chosen],
            self.features[chosen],
            self.curves[chosen],
        )


def describe(rows: Sequence[Observation]) -> Networks:
    """Encode the rows of one task and compute the hand features of its networks."""
    image = image_of(rows)
    table = tabulate(rows, EXTENDED, image, clamp=True)
    try:
        code, codes = PAPER, tabulate(rows, PAPER, image, clamp=True).codes
    except ObservationError:  # dropout, strides: not in Table 1
        code, codes = EXTENDED, table.codes
    features = network_features(attributes(table.codes, table.lengths, image))
    return Networks(image, table, code, codes, features, carry_forward(table.curves))


@dataclass(frozen=True)
class Task:
    """A table and how the study splits it.

    Attributes:
        name: of the task.
        rows: its observations.
        own: whether the project measured it: the test split is a third of the networks. A table from elsewhere
            is cross-validated.
    """

    name: str
    rows: list[Observation]
    own: bool

    @property
    def test_rows(self) -> list[Observation]:
        """Rows of the test split."""
        return [row for row in self.rows if row.split == "test"]

    @property
    def sha256(self) -> str:
        """Hash of what was measured, whatever the order of the rows."""
        content = "\n".join(sorted(f"{row.network_id} {row.seed} {row.accuracy}" for row in self.rows))
        return hashlib.sha256(content.encode()).hexdigest()

    def parts(self, networks: Networks) -> list[tuple[Indices, Indices]]:
        """Return pairs of networks to learn from and to predict: one pair, or one for each of five folds."""
        if not self.own:
            return list(KFold(FOLDS, shuffle=True, random_state=0).split(networks.curves))
        tested = {row.network_id for row in self.test_rows}
        test = np.array([name in tested for name in networks.table.network_ids])
        return [(np.flatnonzero(~test), np.flatnonzero(test))]


def tasks_in(folder: Path, *, own: bool) -> list[Task]:
    """Read every Parquet table of a folder; none when it does not exist."""
    tables = [read(path) for path in sorted(folder.glob("*.parquet"))]
    return [Task(rows[0].task, rows, own) for rows in tables]
