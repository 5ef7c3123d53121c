"""Where a search goes under each rule of ranking: python examples/rank_rules.py

An evolution of 8 generations of 150 networks on `cifar10-mini`; nothing is trained. It prints how much of the 20 best
is in distribution after 2, 4 and 8 generations, and what is predicted of the winner.
"""

import random
from itertools import islice

import peephole
from peephole.model.network.shapes import Shape
from peephole.model.sampling.population import population

GENERATIONS, SIZE, PARENTS = 8, 150, 20
RULES = [
    {},
    {"rank_by": "lower"},
    {"rank_by": "upper"},
    {"out_of_distribution": "last"},
    {"out_of_distribution": "penalise"},
    {"rank_by": "lower", "out_of_distribution": "penalise"},
]


def mutate(layers, rng):
    """Change a width or a kernel, add a convolution with its norm and activation, or remove a layer."""
    layers = [dict(layer) for layer in layers]
    convs = [layer for layer in layers if layer["type"] == "conv"]
    kind = rng.choice(["width", "kernel", "add", "remove"])
    if kind == "width" and convs:
        conv = rng.choice(convs)
        conv.pop("channel_ratio", None)
        conv["out_channels"] = rng.choice([8, 16, 24, 32, 48, 64, 96, 128])
    elif kind == "kernel" and convs:
        rng.choice(convs)["kernel_size"] = rng.choice([1, 3, 5])
    elif kind == "add":
        place, conv = rng.randrange(1, len(layers)), {"type": "conv", "kernel_size": 3, "out_channels": 32}
        layers[place:place] = [conv, {"type": "batch_norm"}, {"type": "relu"}]
    elif kind == "remove" and len(layers) > 6:
        del layers[rng.randrange(1, len(layers) - 1)]
    return layers


def search(predictor, rule, generations=GENERATIONS, size=SIZE, seed=0):
    """Return how many of the best were in distribution in each generation, and the last generation's winner."""
    rng = random.Random(seed)
    networks = [one.layers for one in islice(population(Shape(3, 16, 16), width=8), size)]
    known = []
    for generation in range(generations + 1):
        best = predictor.top(networks, PARENTS, epochs=10, **rule)
        known.append(sum(one.in_distribution for one in best))
        if generation < generations:
            parents = [networks[one.index] for one in best]
            children = [mutate(mutate(rng.choice(parents), rng), rng) for _ in range(size - PARENTS)]
            networks = parents + children
    return known, best[0]


def main():
    predictor = peephole.load("cifar10-mini")
    print(f"{'rule':34} {'in distribution':16} winner")
    for rule in RULES:
        known, winner = search(predictor, rule)
        shares = " ".join(f"{known[generation] / PARENTS:4.0%}" for generation in (2, 4, 8))
        predicted = f"{winner.final_accuracy:.3f} [{winner.lower[0]:.3f}, {winner.upper[0]:.3f}]"
        print(f"{', '.join(rule.values()) or 'mean, keep':34} {shares:16} {predicted}  distance {winner.distance:.2f}")


if __name__ == "__main__":
    main()
