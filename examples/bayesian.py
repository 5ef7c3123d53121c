"""Propose, train, observe, repeat: a search whose predictor learns your data set from a service's stored observations.

peephole serve                                            # in another terminal
python examples/bayesian.py http://127.0.0.1:8000 --trainings 30

Beside it: random search, and evolution without a predictor. The table is the best accuracy after so many trainings.
"""

import argparse

from common import PROTOCOLS, final_accuracy, space_of

import peephole
import peephole.search


def guided(client, task, space, given, train):
    """Train what is promising: the upper end of the interval is high where accuracy or uncertainty is."""
    search = peephole.search.Evolution(space, population=30)
    found = []
    while len(found) < given.trainings:
        if not found:  # something to learn from
            batch = search.ask(given.batch)
        else:
            candidates = search.ask(given.candidates)
            best = client.top(candidates, min(given.batch, given.trainings - len(found)), task=task, rank_by="upper")
            batch = [candidates[one.index] for one in best]
        accuracies = [train(one["layers"]) for one in batch]
        search.tell(batch, accuracies)
        client.observe(task, batch, accuracies, input=None if found else space.input)
        found += accuracies
    return found


def unguided(search, given, train):
    found = []
    while len(found) < given.trainings:
        batch = search.ask(min(given.batch, given.trainings - len(found)))
        found += (accuracies := [train(one["layers"]) for one in batch])
        search.tell(batch, accuracies)
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("url", help="of a service")
    options.add_argument("--key", help="API key")
    options.add_argument("--task", default="bayesian-example", help="a name for the observations")
    options.add_argument("--protocol", default="digits-mini", choices=["cifar10-mini", "mnist-mini", "digits-mini"])
    options.add_argument("--trainings", type=int, default=30)
    options.add_argument("--batch", type=int, default=5, help="networks that are trained at a time, 3 at least")
    options.add_argument("--candidates", type=int, default=200, help="networks that each batch is chosen from")
    given = options.parse_args()
    protocol = PROTOCOLS[given.protocol]
    space = space_of(protocol)

    def train(layers):
        return final_accuracy(layers, protocol)

    with peephole.Client(given.url, key=given.key) as client:
        curves = {
            "with a predictor": guided(client, given.task, space, given, train),
            "evolution": unguided(peephole.search.Evolution(space, population=10, tournament=3), given, train),
            "random search": unguided(peephole.search.RandomSearch(space, seed=1), given, train),
        }
    print(f"{'trainings':>9} {' '.join(f'{name:>17}' for name in curves)}")
    for count in sorted({*range(given.batch, given.trainings, given.batch), given.trainings}):
        print(f"{count:9} {' '.join(f'{max(found[:count]):17.3f}' for found in curves.values())}")


if __name__ == "__main__":
    main()
