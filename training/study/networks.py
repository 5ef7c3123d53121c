"""The tables and predictors that the study is about, and the networks of a table as every method reads them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from model.artifact import Card, read_artifact
from model.encoding.features import attributes, network_features
from model.encoding.layer_code import EXTENDED, PAPER, LayerCode
from model.network.shapes import Shape
from model.runtime import Predictor
from training.fitting.calibrate import FOLDS
from training.fitting.evaluate import Evaluation, evaluate
from training.observations.dataset import CurveDataset, Floats, carry_forward, image_of, to_dataset
from training.observations.observation import Observation, ObservationError
from training.observations.read import read

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
    table: CurveDataset
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
        table, codes = self.table.rows(chosen), self.codes[chosen]
        return Networks(self.image, table, self.code, codes, self.features[chosen], self.curves[chosen])


def describe(rows: Sequence[Observation]) -> Networks:
    """Encode the rows of one task and compute the hand features of its networks."""
    image = image_of(rows)
    table = to_dataset(rows, EXTENDED, image)
    try:
        code, codes = PAPER, to_dataset(rows, PAPER, image).codes
    except ObservationError:  # dropout, strides: not in Table 1
        code, codes = EXTENDED, table.codes
    features = network_features(attributes(table.codes, table.lengths, image))
    return Networks(image, table, code, codes, features, carry_forward(table.curves))


def folds(count: int) -> list[tuple[Indices, Indices]]:
    """Return pairs of networks to learn from and to predict, for each fold of a cross-validation."""
    return list(KFold(FOLDS, shuffle=True, random_state=0).split(np.empty(count)))


@dataclass(frozen=True)
class Task:
    """A table, its shipped predictor, and how the study splits it.

    Attributes:
        name: of the task.
        rows: its observations.
        own: whether the project measured it: the test split is a third of the networks. A table from elsewhere
            is cross-validated.
        artifact: folder of its predictor, which may be missing.
    """

    name: str
    rows: list[Observation]
    own: bool
    artifact: Path = Path()

    def split(self, name: str) -> list[Observation]:
        """Return the rows of the split `train` or `test`."""
        return [row for row in self.rows if row.split == name]

    @cached_property
    def networks(self) -> Networks:
        """All networks of the table."""
        return describe(self.rows)

    @property
    def parts(self) -> list[tuple[Indices, Indices]]:
        """Pairs of networks to learn from and to predict: one pair, or one for each of five folds."""
        if not self.own:
            return folds(len(self.networks))
        test = np.isin(self.networks.table.network_ids, [row.network_id for row in self.split("test")])
        return [(np.flatnonzero(~test), np.flatnonzero(test))]

    @cached_property
    def predictor(self) -> Predictor | None:
        """The shipped predictor; `None` where there is none."""
        return Predictor(read_artifact(self.artifact)) if (self.artifact / "card.json").is_file() else None

    @cached_property
    def evaluation(self) -> Evaluation | None:
        """The shipped predictor on the test split; `None` without a predictor."""
        return evaluate(self.rows, self.predictor, "test") if self.predictor else None

    @cached_property
    def data_sha(self) -> str:
        """Hash of what was measured, whatever the order of the rows."""
        content = "\n".join(sorted(f"{row.network_id} {row.seed} {row.accuracy}" for row in self.rows))
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    @property
    def artifact_sha(self) -> str:
        """Hash in the version of the shipped predictor; empty where there is none."""
        return artifact_sha(self.predictor.card) if self.predictor else ""

    @property
    def shas(self) -> dict[str, Any]:
        """What the figures of the shipped predictor on this table depend on."""
        return {"data_sha": self.data_sha, "artifact_sha": self.artifact_sha}


def artifact_sha(card: Card) -> str:
    """Return the hash in a card's version, which stays when an artifact is converted to another format."""
    return card.version.rpartition("-")[2]


@dataclass(frozen=True)
class Study:
    """Everything that the experiments read.

    Attributes:
        root: of the repository: tables in `data/`, pages in `docs/`.
        zoo: folder of artifacts.
        public: folder of tables from elsewhere, which may be missing.
        only: the task whose figures are measured; all by default.
    """

    root: Path
    zoo: Path
    public: Path
    only: str | None = None

    @property
    def docs(self) -> Path:
        """Folder of the pages and their pictures."""
        return self.root / "docs"

    @property
    def results(self) -> Path:
        """The table of figures."""
        return self.docs / "data" / "results.csv"

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """The tables at hand by task, the project's own first."""
        found = {}
        for folder, own in ((self.root / "data", True), (self.public, False)):
            for path in sorted(folder.glob("*.parquet")):
                rows = read(path)
                found[rows[0].task] = Task(rows[0].task, rows, own, self.zoo / rows[0].task)
        return found

    @property
    def chosen(self) -> list[Task]:
        """The tasks whose figures are measured."""
        return [task for task in self.tasks.values() if self.only in {None, task.name}]

    @property
    def own(self) -> list[Task]:
        """Those of the chosen tasks that the project measured."""
        return [task for task in self.chosen if task.own]

    def cards(self) -> list[Card]:
        """Return the cards of all shipped predictors."""
        return [read_artifact(path.parent).card for path in sorted(self.zoo.glob("*/card.json"))]
