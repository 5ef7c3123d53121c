"""Predictions in context: a few measured networks of a task, with and without another task's predictor as prior."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import r2_score

from model.artifact import read_artifact
from model.loaded import Model, load_model
from model.network.notations import SPACES
from model.network.shapes import Shape
from model.requests.in_context import InContext
from model.requests.schema import PredictRequest
from training.fitting.ensemble_config import PROCESS_ALONE
from training.fitting.fit import fit
from training.metrics import Floats, tau
from training.observations.benchmarks import BENCHMARKS
from training.study.networks import Study, Task
from training.study.results import Row, rows_of

COUNTS = (10, 20, 50, 100, 200)
DRAWS = 5
NETWORKS = 700  # of a public space
PRIORS = {"cifar10-mini": "mnist-mini", "mnist-mini": "cifar10-mini", "nasbench201-cifar100": "nasbench101-cifar10"}
PUBLIC = ("nasbench201-cifar100", "accel-imagenet")


@dataclass(frozen=True)
class Measured:
    """Networks of a task and their final accuracies [networks]."""

    name: str
    image: Shape
    layers: Sequence[Any]
    accuracy: Floats


def in_context(study: Study) -> Iterator[Row]:
    """Tau, R2 and coverage on the networks that are not in the context; no prior saw one of the task's networks."""
    for task in study.own:
        tested = {row.network_id: row for row in task.split("test")}
        accuracy = np.array([row.accuracy[-1] for row in tested.values()])
        measured = Measured(task.name, task.networks.image, [row.layers for row in tested.values()], accuracy)
        yield from _measure(measured, without_pretraining(study.tasks[PRIORS[task.name]]))
    for name in PUBLIC:
        sample = _sample(study.public.parent / "benchmarks", name) if study.only in {None, name} else None
        if sample is not None:
            prior = load_model(read_artifact(study.zoo / PRIORS[name])) if name in PRIORS else None
            yield from _measure(sample, prior)


def without_pretraining(task: Task) -> Model:
    """Return a predictor of a task that learned from its own networks alone."""
    with tempfile.TemporaryDirectory() as folder:
        fit(task.rows, Path(folder), split="train", config=PROCESS_ALONE)
        return load_model(read_artifact(Path(folder)))


def _sample(folder: Path, name: str) -> Measured | None:
    benchmark, key = next(
        (one, key) for one in BENCHMARKS.values() for key, task in one.tasks.items() if task.name == name
    )
    if not (folder / benchmark.file).exists():
        return None
    table = pq.read_table(folder / benchmark.file, columns=["arch", "accuracy"], filters=[("task", "=", key)])
    rows = table.take(pa.array(np.random.default_rng(0).permutation(len(table))[:NETWORKS])).to_pylist()
    arches = [json.loads(row["arch"]) for row in rows]
    layers = [SPACES[arch["space"].removesuffix("_macro").removesuffix("_micro")].read(arch) for arch in arches]
    side = benchmark.tasks[key].resolution
    return Measured(name, Shape(3, side, side), layers, np.array([row["accuracy"][-1] for row in rows]))


def _measure(measured: Measured, prior: Model | None) -> Iterator[Row]:
    for model in [None, prior] if prior else [None]:
        method = f"prior {model.card.task}" if model else "no prior"
        for count in COUNTS:
            for draw in range(DRAWS):
                figures = _figures(
                    measured, model, np.random.default_rng(draw).permutation(len(measured.layers)), count
                )
                yield from rows_of("in-context", measured.name, method, figures, networks=count, seed=draw)


def _figures(measured: Measured, prior: Model | None, order: Any, count: int) -> dict[str, float]:
    document: PredictRequest = {
        "input": (measured.image.channels, measured.image.height, measured.image.width),
        "prior": prior.card.task if prior else None,
        "context": [
            {"layers": measured.layers[index], "accuracy": float(measured.accuracy[index])} for index in order[:count]
        ],
        "architectures": [{"layers": measured.layers[index]} for index in order[count:]],
    }
    models = {prior.card.task: prior} if prior else {}
    found, _ = InContext().answer(document, models, max_architectures=NETWORKS, max_layers=2048)
    predicted, lower, upper = (
        np.array([one[name][-1] for one in found["predictions"]]) for name in ("accuracy", "lower", "upper")
    )
    truth = measured.accuracy[order[count:]]
    return {
        "tau": tau(truth, predicted),
        "r2": r2_score(truth, predicted),
        "coverage": float(((truth >= lower) & (truth <= upper)).mean()),
    }
