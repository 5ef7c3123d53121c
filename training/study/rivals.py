"""Experiment: predictors of the literature beside Peephole, on the same networks to learn from and to predict.

A further method is an entry of `_own` and of `_published`; the tables show it.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model.encoding.hand_features import every_feature
from model.encoding.layer_cache import LayerCache
from model.encoding.layer_code import EXTENDED, pad
from model.network.notations.nb201 import nasbench201
from model.network.schema import Layer
from model.network.shapes import Shape
from model.neural_process import NeuralProcess
from model.proxies.scores import swap
from model.requests.in_context import InContext
from model.score_scale import ScoreScale
from model.torch_modules import build
from training.baselines import FinalPredictor
from training.baselines.dclp import DCLP, pretrain
from training.baselines.forests import RandomForest
from training.baselines.fr_nas import FRNAS
from training.measuring import datasets
from training.metrics import Floats, tau
from training.protocols import PROTOCOLS
from training.study.in_context import PRIORS, process_without, without_pretraining
from training.study.networks import Indices, Study, Task
from training.study.proxies import SPACE, Published, read_published
from training.study.results import Row, read_results, rows_of
from training.study.spaces import rank

NAME = "rivals"
SIZES, DRAWS = (50, 100, 200, 400), 3
UNLABELLED = 3000  # networks that DCLP learns from first
SWAP_NETWORKS, SWAP_IMAGES = 300, 16
Draw = Callable[[int, int], tuple[Indices, Indices]]
"""From how many, and a seed, to networks to learn from and networks to predict."""
Method = Callable[[Indices, Indices, int], Floats]
"""From networks to learn from, those to predict, and a seed to scores [predicted]; NaN where there is none."""


def rivals(study: Study) -> Iterator[Row]:
    """Kendall's tau of every method; what was measured on the same table before is kept, and not measured again."""
    for task in study.own:
        draw, methods = partial(_draw, task), _own(task, study)
        yield from _measure(study, task.name, task.networks.final, draw, methods, task.data_sha)
    space = read_published(study.public.parent / "benchmarks") if study.only is None else None
    if space:
        yield from _measure(study, SPACE, space.accuracy, space.draw, _published(space, study))


def _measure(
    study: Study, task: str, accuracy: Floats, draw: Draw, methods: dict[str, Method], data_sha: str = ""
) -> Iterator[Row]:
    known = read_results(study.results).query("experiment == @NAME and task == @task and data_sha == @data_sha")
    for name in [name for name in methods if name not in set(known.method)]:
        for size in SIZES:
            for seed in range(DRAWS):
                chosen, tested = draw(size, seed)
                predicted = methods[name](chosen, tested, seed)
                scored = ~np.isnan(predicted)
                figures = {"tau": tau(accuracy[tested[scored]], predicted[scored]), "tested_on": int(scored.sum())}
                yield from rows_of(NAME, task, name, figures, networks=size, seed=seed, data_sha=data_sha)


def _draw(task: Task, size: int, seed: int) -> tuple[Indices, Indices]:
    """Return networks of the training split, and the test split."""
    ((fitting, tested),) = task.parts
    return fitting[np.sort(np.random.default_rng(seed).permutation(len(fitting))[:size])], tested


def _own(task: Task, study: Study) -> dict[str, Method]:
    networks = task.networks
    rows = {row.network_id: row for row in task.rows}
    scores = [rows[name].proxies or {} for name in networks.table.network_ids]
    both = np.hstack([networks.features, ScoreScale.of(scores)(scores)])
    alone = np.array([one["swap"] for one in scores])
    sampled = PROTOCOLS[task.name].population(seed=1)

    process = cache(lambda: process_without(study, task.name))
    described = cache(lambda: _described([rows[name].layers for name in networks.table.network_ids], networks.image))

    @cache
    def unlabelled() -> NDArray[np.int32]:
        return _encoded([one.layers for one in islice(sampled, UNLABELLED)], networks.image)

    return {
        "Peephole, in context": _in_context(task, study, process, with_scores=False),
        "Peephole, in context, with scores": _in_context(task, study, process, with_scores=True),
        "neural process": _by_process(process, described, networks.final),
        "random forest (GRAF-like)": _fitted(RandomForest, networks.features, networks.final),
        "random forest (GRAF-like), with scores": _fitted(RandomForest, both, networks.final),
        "SWAP alone": lambda chosen, tested, seed: alone[tested],
        **_graph_methods(networks.table.codes, networks.final, networks.image, unlabelled),
    }


def _published(space: Published, study: Study) -> dict[str, Method]:
    image = Shape(3, 32, 32)
    both = np.hstack([space.features, ScoreScale.of(space.scores)(space.scores)])
    naswot = np.array([one["zc_nwot"] for one in space.scores])
    # A stage repeats its cell; a mean over layers sees about the same in one cell as in five.
    codes = _encoded([nasbench201(cell, cells=1) for cell in space.cells], image)
    unlabelled = np.random.default_rng(0).permutation(len(space))[:UNLABELLED]

    @cache
    def patterns() -> Floats:
        found = np.full(len(space), np.nan)
        for place in np.random.default_rng(DRAWS).permutation(len(space))[:SWAP_NETWORKS]:  # no draw's own order
            found[place] = _swap(nasbench201(space.cells[place]), image)
        return found

    process = cache(lambda: process_without(study, SPACE))
    described = cache(lambda: _described([nasbench201(cell) for cell in space.cells], image))
    return {
        "Peephole": _ranked(space.features, space.accuracy),
        "neural process": _by_process(process, described, space.accuracy),
        "Peephole, with scores": _ranked(both, space.accuracy),
        "random forest (GRAF-like)": _fitted(RandomForest, space.features, space.accuracy),
        "random forest (GRAF-like), with scores": _fitted(RandomForest, both, space.accuracy),
        "SWAP alone": lambda chosen, tested, seed: patterns()[tested],
        "NASWOT alone (published score)": lambda chosen, tested, seed: naswot[tested],
        **_graph_methods(codes, space.accuracy, image, lambda: codes[unlabelled]),
    }


def _graph_methods(
    codes: NDArray[np.int32], accuracy: Floats, image: Shape, unlabelled: Callable[[], NDArray[np.int32]]
) -> dict[str, Method]:
    encoder = cache(lambda: pretrain(unlabelled(), image))
    return {
        "DCLP": _fitted(lambda seed: DCLP(image, encoder(), seed=seed), codes, accuracy),
        "FR-NAS": _fitted(lambda seed: FRNAS(image, seed=seed), codes, accuracy),
    }


def _fitted(make: Callable[[int], FinalPredictor], described: NDArray[np.generic], accuracy: Floats) -> Method:
    def predict(chosen: Indices, tested: Indices, seed: int) -> Floats:
        method = make(seed)
        method.fit(accuracy[chosen][:, None], described[chosen])
        return method.predict(np.empty((len(tested), 0)), described[tested])

    return predict


def _ranked(features: Floats, accuracy: Floats) -> Method:
    return lambda chosen, tested, seed: rank(features[chosen], accuracy[chosen], features)[tested]


def _by_process(process: Callable[[], NeuralProcess], described: Callable[[], Floats], accuracy: Floats) -> Method:
    def predict(chosen: Indices, tested: Indices, seed: int) -> Floats:
        del seed
        return process().predict(described()[chosen], accuracy[chosen], described()[tested])

    return predict


def _described(networks: list[list[Layer]], image: Shape) -> Floats:
    """Return all hand features of networks [networks, features]."""
    layers = LayerCache(EXTENDED)
    return every_feature([layers.encode(one, image).codes for one in networks], image)


def _in_context(task: Task, study: Study, process: Callable[[], NeuralProcess], *, with_scores: bool) -> Method:
    """Return the predictions in context; neither the prior, of another task, nor the process saw the networks."""
    name = PRIORS[task.name]
    prior = cache(lambda: without_pretraining(study.tasks[name]))
    rows = {row.network_id: row for row in task.rows}
    networks, service = task.networks, InContext(process)
    image = networks.image

    def describe(place: int) -> dict[str, Any]:
        row = rows[networks.table.network_ids[place]]
        return {"layers": row.layers} | ({"proxies": row.proxies} if with_scores else {})

    def predict(chosen: Indices, tested: Indices, seed: int) -> Floats:
        del seed
        document: Any = {
            "input": (image.channels, image.height, image.width),
            "prior": name,
            "context": [describe(place) | {"accuracy": float(networks.final[place])} for place in chosen],
            "architectures": [describe(place) for place in tested],
        }
        found, _ = service.answer(document, {name: prior()}, max_architectures=len(tested), max_layers=2048)
        return np.array([one["accuracy"][-1] for one in found["predictions"]])

    return predict


def _encoded(networks: list[list[Layer]], image: Shape) -> NDArray[np.int32]:
    layers = LayerCache(EXTENDED)
    return pad([layers.encode(one, image).codes for one in networks])[0]


@torch.no_grad()
def _swap(layers: list[Layer], image: Shape) -> float:
    """Return SWAP's score of a network of ReLUs, of one initialisation and the first training images of CIFAR-10."""
    patterns: list[torch.Tensor] = []
    torch.manual_seed(0)
    module = build(layers, image, 10)
    for one in module.modules():
        if isinstance(one, nn.ReLU):
            one.register_forward_pre_hook(lambda _, inputs: patterns.append((inputs[0] > 0).flatten(1)))
    module(_images())
    return swap(patterns)


@cache
def _images() -> torch.Tensor:
    train, _ = datasets.load(PROTOCOLS["cifar10"])
    return train.images[:SWAP_IMAGES].clone()
