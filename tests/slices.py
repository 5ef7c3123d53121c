"""Slices of tables that were really measured, and a tiny artifact that continues their curves."""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.artifact import read_artifact
from tests.service import graphs
from training.curves.fit import fit_continuation
from training.fitting.out_of_fold import KeptPredictions
from training.observations.observation import Observation

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Curves:
    """Learning curves [networks, epochs], what was predicted of them before training, and the fold of each network."""

    measured: np.ndarray
    prior: np.ndarray
    fold: np.ndarray

    def first(self, epochs: int) -> "Curves":
        return Curves(self.measured[:, :epochs], self.prior[:, :epochs], self.fold)


def metaqnn_curves() -> Curves:
    """120 networks of the MetaQNN CIFAR-10 table, 20 epochs each."""
    data = np.load(DATA / "metaqnn-cifar10.npz")
    return Curves(data["curves"].astype(float), data["prior"].astype(float), data["fold"].astype(np.intp))


def trained_rows() -> list[Observation]:
    """60 networks of mnist-mini that were really trained, with the statistics of their weights."""
    content = gzip.decompress((DATA / "mnist-mini.jsonl.gz").read_bytes())
    return [Observation.model_validate_json(line) for line in content.splitlines()]


def continued_artifact(folder: Path) -> Path:
    """Write an artifact of task `tiny`, with a continuation fitted to the first five epochs of real curves."""
    graphs.artifact(folder)
    some = metaqnn_curves().first(graphs.EPOCHS)
    known = KeptPredictions([], some.fold, some.measured, some.prior)
    fit_continuation(folder, read_artifact(folder).card, known)
    return folder
