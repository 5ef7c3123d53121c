"""What zero-cost scores are worth, alone and on top of hand features, for few networks and for many."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from model.calibration import QuantileScale
from model.ensemble import FeatureScaler
from model.gaussian_process import GaussianProcess, most_likely
from model.proxies.names import SCORES
from model.proxies.scores import swap_regularised
from model.proxy_reader import read_proxy_reader
from model.score_scale import ScoreScale
from training.fitting.fit_ensemble import explained
from training.metrics import Floats, tau
from training.study.networks import Indices, Study, Task
from training.study.results import Row, rows_of
from training.study.spaces import METHOD, rank, sample

SIZES, DRAWS = (50, 200), 3
MOST_SCALED = 300  # networks that give the process its scales
FAMILIES = {  # by the beginning of the names
    "SWAP": ("swap",),
    "NASWOT and agreement": ("naswot", "agreement"),
    "logits and features": ("logit", "feature"),
    "synflow": ("synflow",),
    "SNIP": ("snip",),
    "gradient norms by layer": ("gradient",),
    "input gradients": ("input",),
    "first steps of descent": ("loss",),
    "all scores": ("",),
}
SPACE, BENCHMARK, SCORED = "nasbench201-cifar10", "nasbench201", "nasbench201_hw_zc.parquet"
PUBLISHED_SIZES, PUBLISHED_DRAWS = (50, 100, 200), 5


def with_proxies(study: Study) -> Iterator[Row]:
    """The shipped predictors with scores and without, cross-validated and on the test split: of the cards."""
    for task in study.own:
        if task.predictor is None or (reader := read_proxy_reader(task.artifact, task.predictor.card)) is None:
            continue
        for part, name in (("cross_validation", "cross-validation"), ("held_out", "test split")):
            found = reader.card.metrics[part]
            networks = found.get("networks", reader.card.training["networks"])
            for method, key in (("with scores", "with_proxies"), ("without", "without")):
                figures = {metric: found[key][metric] for metric in ("tau", "r2", "curve_mae")}
                yield from rows_of(
                    "with-proxies", task.name, f"{name}, {method}", figures, networks=networks, **task.shas
                )


def proxies(study: Study) -> Iterator[Row]:
    """Kendall's tau on the test split, and in NAS-Bench-201 with the scores that others published."""
    for task in study.own:
        yield from _own(task)
    if study.only is None:
        yield from _published(study)


def _own(task: Task) -> Iterator[Row]:
    scored = {row.network_id: row.proxies for row in task.rows if row.proxies}
    networks = task.networks
    ((fitting, tested),) = task.parts
    final, hand = networks.final, networks.features
    known = [scored[name] for name in networks.table.network_ids]
    scale = ScoreScale.of([known[index] for index in fitting])  # what is measured is known of all networks
    scores, params = scale(known), _params(task)
    families = {
        family: [index for index, name in enumerate(scale.names) if name in SCORES and name.startswith(beginnings)]
        for family, beginnings in FAMILIES.items()
    }
    for size in (*SIZES, len(fitting)):
        for draw in range(DRAWS if size < len(fitting) else 1):
            chosen = fitting[np.sort(np.random.default_rng(draw).permutation(len(fitting))[:size])]
            about = {"networks": size, "seed": draw, "data_sha": task.data_sha}
            found = {"hand features": _ranked(hand, final, chosen)}
            for family, columns in families.items():
                found[f"{family}, alone"] = _ranked(scores[:, columns], final, chosen)
                found[f"{family}, on top"] = _ranked(np.hstack([hand, scores[:, columns]]), final, chosen)
            centre, width = params[chosen].mean(), params[chosen].var()
            pairs = zip(known, params, strict=True)
            found["regularised SWAP, alone"] = np.array(
                [swap_regularised(one["swap"], own, centre, width) for one, own in pairs]
            )
            for method, predicted in found.items():
                figures = {"tau": tau(final[tested], predicted[tested])}
                yield from rows_of("proxies", task.name, method, figures, **about)


def _params(task: Task) -> Floats:
    """Return the parameters of each network in thousands [networks]."""
    known = {row.network_id: (row.params or 0) / 1000 for row in task.rows}
    return np.array([known[name] for name in task.networks.table.network_ids])


def _ranked(features: Floats, final: Floats, rows: Indices) -> Floats:
    """Return what a Gaussian process that learns from some networks says of all."""
    targets = QuantileScale.of(final[rows]).standardise(final[rows])[:, None]
    names = [str(column) for column in range(features.shape[1])]
    scaler = FeatureScaler.fit(names, features[rows], explained(features[rows], targets[:, 0]), len(names))
    read, _ = scaler(features)
    scales, _ = most_likely(read[rows][:MOST_SCALED], targets[:MOST_SCALED])
    return GaussianProcess.fit(read[rows], targets, scales=scales).predict(read)[0][:, 0]


@dataclass(frozen=True)
class Published:
    """The networks of NAS-Bench-201 that have the published scores.

    Attributes:
        cells: the operations of each.
        features: those of graphs that vary [networks, features].
        scores: by name.
        accuracy: on CIFAR-10 [networks].
        group: the same for networks that compute the same [networks].
    """

    cells: list[list[str]]
    features: Floats
    scores: list[dict[str, float]]
    accuracy: Floats
    group: Indices

    def __len__(self) -> int:
        return len(self.cells)

    def draw(self, size: int, seed: int) -> tuple[Indices, Indices]:
        """Return networks to learn from, and those that compute something else than each of them."""
        chosen = np.random.default_rng(seed).permutation(len(self))[:size]
        return chosen, np.flatnonzero(~np.isin(self.group, self.group[chosen]))


def read_published(folder: Path) -> Published | None:
    """Return the networks that have the published scores; `None` where the folder lacks these."""
    if not (folder / SCORED).is_file():
        return None
    space = sample(folder, SPACE, networks=20_000)
    keys = [("task", "=", "cifar10")]
    order = pq.read_table(folder / f"{BENCHMARK}.parquet", columns=["index", "arch"], filters=keys).to_pylist()
    table = pq.read_table(folder / SCORED, filters=keys).to_pylist()
    by_index = {row["index"]: {name: row[name] for name in row if name.startswith("zc_")} for row in table}
    rows = [place for place, row in enumerate(order) if None not in by_index[row["index"]].values()]
    features = space.features[rows]
    return Published(
        [json.loads(order[place]["arch"])["ops"] for place in rows],
        features[:, features.std(axis=0) > 0],
        [by_index[order[place]["index"]] for place in rows],
        space.accuracy[rows],
        space.group[rows],
    )


def _published(study: Study) -> Iterator[Row]:
    """Tau on other networks of NAS-Bench-201 that have the 13 published scores, with them and without."""
    space = read_published(study.public.parent / "benchmarks")
    if space is None:
        return
    both = np.hstack([space.features, ScoreScale.of(space.scores)(space.scores)])
    for size in PUBLISHED_SIZES:
        for draw in range(PUBLISHED_DRAWS):
            chosen, others = space.draw(size, draw)
            for method, read in ((METHOD, space.features), (f"{METHOD} and 13 published scores", both)):
                predicted = rank(read[chosen], space.accuracy[chosen], read)
                figures = {"tau": tau(space.accuracy[others], predicted[others]), "tested_on": len(others)}
                yield from rows_of("proxies", SPACE, method, figures, networks=size, seed=draw)
