"""Predictions in context: a few measured networks of a task, with and without another task's predictor as prior."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import r2_score

from model.artifact import read_artifact
from model.encoding.hand_features import every_feature
from model.encoding.layer_cache import LayerCache
from model.encoding.layer_code import EXTENDED
from model.loaded import Model, load_model
from model.network.notations import SPACES
from model.network.schema import MAX_LAYERS
from model.network.shapes import Shape
from model.neural_process import NeuralProcess, read_process
from model.requests.in_context import InContext
from model.requests.schema import PredictRequest
from training.fitting.ensemble_config import PROCESS_ALONE
from training.fitting.fit import fit
from training.fitting.fit_neural_process import fit_neural_process, write_process
from training.fitting.process_tasks import ProcessTask, tasks_of
from training.metrics import Floats, tau
from training.observations.benchmarks import BENCHMARKS, read_benchmark, write_benchmark
from training.observations.read import read
from training.study.networks import Study, Task
from training.study.results import Row, rows_of

COUNTS = (10, 20, 50, 100, 200)
DRAWS = 5
NETWORKS = 700  # of a public space, tested; the neural process learns from as many, less the test split
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
    """Tau, R2 and coverage on the networks that are not in the context.

    No prior and no neural process saw one of the task's networks, nor another task of the same table.
    """
    folder = study.public.parent / "benchmarks"
    for task in study.own:
        tested = {row.network_id: row for row in task.split("test")}
        accuracy = np.array([row.accuracy[-1] for row in tested.values()])
        measured = Measured(task.name, task.networks.image, [row.layers for row in tested.values()], accuracy)
        prior = without_pretraining(study.tasks[PRIORS[task.name]])
        yield from _measure(measured, prior, process_without(study, task.name))
    for name in PUBLIC:
        sample = _sample(folder, name) if study.only in {None, name} else None
        if sample is not None:
            known = load_model(read_artifact(study.zoo / PRIORS[name])) if name in PRIORS else None
            yield from _measure(sample, known, process_without(study, name))


@cache
def _tables(study: Study) -> list[list[ProcessTask]]:
    """Return the tasks of each table at hand; of a public benchmark, as many networks as are sampled."""
    tables = [list(tasks_of(task.rows)) for task in study.tasks.values()]
    folder = study.public.parent / "benchmarks"
    with tempfile.TemporaryDirectory() as temporary:
        table = Path(temporary) / "benchmark.parquet"
        for name, benchmark in BENCHMARKS.items():
            if (folder / benchmark.file).exists():
                write_benchmark(table, read_benchmark(name, folder, networks=NETWORKS))
                tables.append(list(tasks_of(read(table))))
    return tables


def process_without(study: Study, task: str) -> NeuralProcess:
    """Return a neural process that was fitted to the other tables than a task's."""
    others = [table for table in _tables(study) if task not in {one.name for one in table}]
    with tempfile.TemporaryDirectory() as folder:
        write_process(Path(folder), fit_neural_process(others), others)
        return read_process(Path(folder))


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


def _measure(measured: Measured, prior: Model | None, process: NeuralProcess) -> Iterator[Row]:
    found: dict[str, list[Row]] = {}
    for count in COUNTS:
        for draw in range(DRAWS):
            order = np.random.default_rng(draw).permutation(len(measured.layers))
            for method, figures in _figures(measured, prior, process, order, count):
                rows = rows_of("in-context", measured.name, method, figures, networks=count, seed=draw)
                found.setdefault(method, []).extend(rows)
    yield from chain.from_iterable(found.values())  # those of a method together: they are recorded at once


def _figures(
    measured: Measured, prior: Model | None, process: NeuralProcess, order: Any, count: int
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield each method and its figures: the processes, each alone, both together, and these with a prior."""
    document: PredictRequest = {
        "input": (measured.image.channels, measured.image.height, measured.image.width),
        "context": [
            {"layers": measured.layers[index], "accuracy": float(measured.accuracy[index])} for index in order[:count]
        ],
        "architectures": [{"layers": measured.layers[index]} for index in order[count:]],
    }
    truth = measured.accuracy[order[count:]]
    for method, used in (("Gaussian process", None), ("both", process)):
        for model in [None, prior] if prior else [None]:
            models = {model.card.task: model} if model else {}
            document["prior"] = model.card.task if model else None
            answering = InContext(lambda used=used: used)  # type: ignore[misc]  # mypy infers no default's type
            found, _ = answering.answer(document, models, max_architectures=NETWORKS, max_layers=MAX_LAYERS)
            predicted, lower, upper = (
                np.array([one[name][-1] for one in found["predictions"]]) for name in ("accuracy", "lower", "upper")
            )
            yield (
                f"{method}, prior {model.card.task}" if model else method,
                {
                    "tau": tau(truth, predicted),
                    "r2": r2_score(truth, predicted),
                    "coverage": float(((truth >= lower) & (truth <= upper)).mean()),
                },
            )
    cache = LayerCache(EXTENDED)
    features = every_feature([cache.encode(layers, measured.image).codes for layers in measured.layers], measured.image)
    alone = process.predict(features[order[:count]], measured.accuracy[order[:count]], features[order[count:]])
    yield "neural process", {"tau": tau(truth, alone), "r2": r2_score(truth, alone)}
