"""NAS-Bench-201 as a simulator: what a predictor in context saves, without a training.

python examples/nasbench201.py nasbench201.parquet --trainings 100 --seeds 5

The table (`task`, `arch` as JSON with the `ops` of a cell, `accuracy`) is not part of Peephole. A batch is chosen from
candidates by the upper end of the predicted interval; what was measured is the context of the next prediction. No
predictor of NAS-Bench-201 is used, but the neural process that contexts build on learned from a few of its networks.
The table shows how far the best network found is from the best there is, in points of accuracy: the mean of all seeds.
"""

import argparse
import json

import numpy as np
import pyarrow.parquet as pq

import peephole
from peephole.model.network.notations import nasbench201

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = 6


def sampled(rng):
    return tuple(rng.choice(OPERATIONS, EDGES).tolist())


def mutated(cell, rng):
    edge = rng.integers(EDGES)
    other = rng.choice([one for one in OPERATIONS if one != cell[edge]])
    return (*cell[:edge], str(other), *cell[edge + 1 :])


def best_of(found, count):
    return sorted(found, key=found.get, reverse=True)[:count]


def random_search(_accuracy_of, _given, rng):
    while True:
        yield sampled(rng)


def evolution(accuracy_of, _given, rng, population=10, tournament=3):
    """Regularised evolution: the oldest network leaves."""
    alive = [sampled(rng) for _ in range(population)]
    yield from alive
    while True:
        drawn = rng.choice(population, tournament, replace=False)
        parent = max((alive[place] for place in drawn), key=accuracy_of.get)
        yield (child := mutated(parent, rng))
        alive = [*alive[1:], child]


def guided(accuracy_of, given, rng):
    """Train what is promising: the upper end of the interval is high where accuracy or uncertainty is."""
    predictor = peephole.load(given.prior)
    known = {}
    while True:
        candidates = {sampled(rng) for _ in range(given.candidates)}
        candidates |= {mutated(cell, rng) for cell in best_of(known, 5) for _ in range(given.candidates // 5)}
        candidates = sorted(candidates - known.keys())
        if known:
            context = [{"layers": nasbench201(cell), "accuracy": accuracy} for cell, accuracy in known.items()]
            networks = [nasbench201(cell) for cell in candidates]
            ranked = predictor.top(networks, given.batch, context=context, input=(3, 32, 32), rank_by="upper")
            batch = [candidates[one.index] for one in ranked]
        else:  # something to learn from
            batch = [candidates[place] for place in rng.choice(len(candidates), 2 * given.batch, replace=False)]
        yield from batch
        known |= {cell: accuracy_of[cell] for cell in batch}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("table", help="Parquet")
    options.add_argument("--task", default="cifar10", choices=["cifar10", "cifar100", "imagenet16-120"])
    options.add_argument("--prior", default="nasbench101-cifar10", help="a shipped predictor, used where it helps")
    options.add_argument("--trainings", type=int, default=100)
    options.add_argument("--batch", type=int, default=5, help="networks that are trained at a time, 3 at least")
    options.add_argument("--candidates", type=int, default=100, help="networks that each batch is chosen from")
    options.add_argument("--seeds", type=int, default=3)
    given = options.parse_args()
    rows = pq.read_table(given.table, columns=["arch", "accuracy"], filters=[("task", "=", given.task)]).to_pylist()
    accuracy_of = {tuple(json.loads(row["arch"])["ops"]): row["accuracy"][-1] for row in rows}
    best = max(accuracy_of.values())
    counts = [count for count in (10, 20, 30, 50, 75, 100, 150, 200) if count <= given.trainings]
    print(f"{'trainings':24} {' '.join(f'{count:6}' for count in counts)}")
    for search in (guided, evolution, random_search):
        regrets = []
        for seed in range(given.seeds):
            cells = search(accuracy_of, given, np.random.default_rng(seed))
            found = [accuracy_of[next(cells)] for _ in range(given.trainings)]
            regrets.append([100 * (best - max(found[:count])) for count in counts])
        print(f"{search.__name__:24} {' '.join(f'{regret:6.2f}' for regret in np.mean(regrets, axis=0))}", flush=True)


if __name__ == "__main__":
    main()
