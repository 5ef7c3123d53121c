"""How few networks of a public space tell how to rank the others."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from model.calibration import QuantileScale
from model.encoding.hand_features import WIRING, hand_features
from model.encoding.layer_cache import LayerCache
from model.encoding.layer_code import EXTENDED, pad
from model.ensemble import FeatureScaler
from model.gaussian_process import GaussianProcess
from model.network.notations import SPACES
from model.network.shapes import Shape
from training.fitting.fit_ensemble import explained
from training.metrics import Floats, tau
from training.observations.benchmarks import BENCHMARKS
from training.study.networks import Study
from training.study.results import Row, rows_of

FITTED_TO = {"nasbench101-cifar10": (100, 172, 424), "nasbench201-cifar10": (78, 156, 469)}
DRAWS, NETWORKS, BATCH = 5, 7000, 256
METHOD = "Gaussian process on features of graphs"


@dataclass(frozen=True)
class Sample:
    """Networks of a space.

    Attributes:
        features: `WIRING` [networks, features].
        accuracy: [networks].
        group: the same for networks that compute the same [networks].
    """

    features: Floats
    accuracy: Floats
    group: NDArray[np.intp]


def sample(folder: Path, name: str, networks: int = NETWORKS) -> Sample:
    """Draw networks of a space.

    Args:
        folder: with the benchmark's table.
        name: of the task.
        networks: how many, at most.
    """
    benchmark, key = next(
        (one, key) for one in BENCHMARKS.values() for key, task in one.tasks.items() if task.name == name
    )
    side = benchmark.tasks[key].resolution
    image, cache = Shape(3, side, side), LayerCache(EXTENDED)
    table = pq.read_table(folder / benchmark.file, filters=[("task", "=", key)])
    drawn = np.sort(np.random.default_rng(0).permutation(len(table))[:networks])
    rows = table.take(pa.array(drawn)).to_pylist()
    codes = []
    for row in rows:
        arch = json.loads(row["arch"])
        codes.append(cache.encode(SPACES[arch["space"]].read(arch), image).codes.astype(np.int16))
    order = np.argsort([len(one) for one in codes], kind="stable")
    features = np.empty((len(rows), len(WIRING)))
    for part in np.array_split(order, -(-len(order) // BATCH)):
        padded, lengths = pad([codes[index].astype(np.int32) for index in part])
        features[part] = hand_features(WIRING, padded, lengths, image)
    column = benchmark.group_column
    group = drawn if column is None else np.array([int(row[column]) for row in rows])
    return Sample(features, np.array([row["accuracy"][-1] for row in rows]), group)


def rank(known: Floats, accuracy: Floats, space: Floats) -> Floats:
    """Return scores of all networks of a space [networks] from a few whose accuracy is known.

    Args:
        known: features of the networks that were trained [trained, features].
        accuracy: theirs [trained].
        space: features of all networks [networks, features]; how they vary there scales them.
    """
    targets = QuantileScale.of(accuracy).standardise(accuracy)
    names = [str(column) for column in range(space.shape[1])]
    scaler = FeatureScaler.fit(names, space, explained(known, targets), len(names))
    process = GaussianProcess.fit(scaler(known)[0], targets[:, None])
    return process.predict(scaler(space)[0])[0][:, 0]


def spaces(study: Study) -> Iterator[Row]:
    """Kendall's tau of a predictor fitted to few networks of a space, on networks that compute something else."""
    folder = study.public.parent / "benchmarks"
    for name, counts in FITTED_TO.items():
        if study.only not in {None, name} or not folder.is_dir():
            continue
        space = sample(folder, name)
        for count in counts:
            for draw in range(DRAWS):
                chosen = np.random.default_rng(draw).permutation(len(space.accuracy))[:count]
                others = ~np.isin(space.group, space.group[chosen])
                scores = rank(space.features[chosen], space.accuracy[chosen], space.features)
                figures = {"tau": tau(space.accuracy[others], scores[others]), "tested_on": int(others.sum())}
                yield from rows_of("spaces", name, METHOD, figures, networks=count, seed=draw)
