"""Search with a predictor, and train what it finds: evolution beside random search and the best of many samples.

python examples/evolve.py --protocol cifar10-mini --trainings 5 --seeds 3
python examples/evolve.py --space families --context data/in_progress/cifar10-mini-families.parquet

All methods train the same number of networks, and all but the random one predict the same number. A search finds
networks whose prediction is too high: the table shows by how much. The lower end of the interval, less what is out of
distribution, finds networks that are like those which the predictor knows.
"""

import argparse
from pathlib import Path

import numpy as np
from common import PROTOCOLS, final_accuracy, measured, predictor_of, space_of

import peephole.search


def mean(one: peephole.Prediction) -> float:
    return one.final_accuracy


def cautious(one: peephole.Prediction) -> float:
    """The lower end of the interval, less what is out of distribution."""
    return one.lower[-1] - max(0.0, one.distance - 1) * (one.upper[-1] - one.lower[-1])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--protocol", default="cifar10-mini", choices=["cifar10-mini", "mnist-mini", "digits-mini"])
    options.add_argument("--trainings", type=int, default=5, help="networks that each method trains")
    options.add_argument("--generations", type=int, default=15)
    options.add_argument("--children", type=int, default=200, help="networks of a generation")
    options.add_argument("--space", default="paper", choices=["paper", "families"])
    options.add_argument("--context", help="table of measured networks that predictions also build on")
    options.add_argument("--seeds", type=int, default=1)
    options.add_argument("--first-seed", type=int, default=0)
    given = options.parse_args()
    protocol = PROTOCOLS[given.protocol]
    predictor, space = predictor_of(protocol), space_of(protocol, given.space)
    context = measured(Path(given.context)) if given.context else None

    def predict(networks):
        return predictor.predict([one["layers"] for one in networks], input=space.input, context=context)

    def told(search, score):
        """The networks of a search that was told predictions, best first."""
        for _ in range(given.generations):
            networks = search.ask(given.children)
            search.tell(networks, [score(one) for one in predict(networks)])
        return [{"layers": one.layers} for one in search.best(given.trainings)]

    columns = ("trained: best", "mean", "predicted: mean", "lower", "optimism")
    print(f"{'seed':>4} {'method':22} {' '.join(f'{name:>15}' for name in columns)}")
    for seed in range(given.first_seed, given.first_seed + given.seeds):

        def evolved(score, seed=seed):
            return told(peephole.search.Evolution(space, population=given.children // 2, seed=seed), score)

        methods = {
            "random search": peephole.search.RandomSearch(space, seed=seed + 1000).ask(given.trainings),
            "best predicted samples": told(peephole.search.RandomSearch(space, seed=seed), mean),
            "evolution": evolved(mean),
            "evolution, lower end": evolved(cautious),
        }
        for name, networks in methods.items():
            trained = [final_accuracy(one["layers"], protocol) for one in networks]
            predicted = predict(networks)
            expected = np.mean([mean(one) for one in predicted])
            lower = np.mean([one.lower[-1] for one in predicted])
            figures = (max(trained), np.mean(trained), expected, lower, expected - np.mean(trained))
            print(f"{seed:4} {name:22} {' '.join(f'{figure:15.3f}' for figure in figures)}", flush=True)


if __name__ == "__main__":
    main()
