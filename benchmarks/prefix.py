"""What could candidates that share a prefix save? Measured on the trace of an evolutionary search.

    python -m benchmarks.prefix

Regularised evolution (Real et al., arXiv 1802.01548) of the paper's blocks, with the shipped predictor as the fitness.
Each generation is one request. Two bounds follow: how many layers a recurrent predictor would not have to read again if
the state behind every shared prefix were free, and how much faster the shipped predictor answers when those layers are
cut off its input, which no exact way to share work can beat.
"""

import argparse
from collections import deque
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import describe
from model.artifact import ZOO, read_artifact
from model.encoding.layer_code import encode, pad
from model.network.schema import Layer
from model.runtime import Predictor
from model.sampling.blocks import sample_block
from model.sampling.skeleton import assemble
from training.protocols import PROTOCOLS, Protocol

Codes = NDArray[np.int32]
POPULATION = 64
TOURNAMENT = 16
REPEATS = 15


def mutate(block: list[Layer], rng: np.random.Generator) -> list[Layer]:
    """Replace one layer but the first with a fresh one, insert one, or leave one out."""
    child = list(block)
    fresh = sample_block(rng)[-1]
    at = int(rng.integers(1, len(child) + 1))
    kind = rng.choice(["replace", "insert", "remove"])
    if kind == "insert" or at == len(child):
        child.insert(at, fresh)
    elif kind == "replace":
        child[at] = fresh
    else:
        del child[at]
    return child


def evolve(predictor: Predictor, protocol: Protocol, children: int, generations: int, seed: int) -> list[list[Codes]]:
    """Return the networks that each generation asks about, encoded."""
    rng = np.random.default_rng(seed)

    def codes_of(block: list[Layer]) -> Codes:
        layers = assemble(block, protocol.image, protocol.width)
        return encode(layers, predictor.card.layer_code, protocol.image, clamp=True).codes

    def evaluate(blocks: list[list[Layer]]) -> tuple[list[Codes], list[float]]:
        codes = [codes_of(block) for block in blocks]
        return codes, predictor.run(*pad(codes), [predictor.card.epochs]).accuracy[:, 0].tolist()

    blocks = [sample_block(rng) for _ in range(POPULATION)]
    alive = deque(zip(blocks, evaluate(blocks)[1], strict=True), maxlen=POPULATION)
    predicted = []
    for _ in range(generations):
        born = []
        for _ in range(children):
            rivals = [alive[int(index)] for index in rng.integers(len(alive), size=TOURNAMENT)]
            born.append(mutate(max(rivals, key=lambda one: one[1])[0], rng))
        codes, fitness = evaluate(born)
        predicted.append(codes)
        alive.extend(zip(born, fitness, strict=True))
    return predicted


def shared_layers(codes: list[Codes]) -> list[int]:
    """Return how many of each network's first layers an earlier network of the request begins with as well."""
    known: set[bytes] = set()
    shared = []
    for network in codes:
        prefixes = [network[: end + 1].tobytes() for end in range(len(network))]
        shared.append(next((end for end, prefix in enumerate(prefixes) if prefix not in known), len(network)))
        known.update(prefixes)
    return shared


def _seconds(predictor: Predictor, codes: list[Codes]) -> float:
    batch = pad(sorted(codes, key=len))
    times = []
    for _ in range(REPEATS):
        began = perf_counter()
        predictor.run(*batch, [predictor.card.epochs])
        times.append(perf_counter() - began)
    return float(np.median(times))


def main() -> None:
    """Evolve, count, time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="cifar10-mini", help="whose predictor and protocol (default: %(default)s)")
    parser.add_argument("--children", type=int, default=32, help="networks a request (default: %(default)s)")
    parser.add_argument("--generations", type=int, default=30, help="requests (default: %(default)s)")
    arguments = parser.parse_args()
    predictor = Predictor(read_artifact(ZOO / arguments.task))
    protocol = PROTOCOLS[arguments.task]
    layers = unread = 0
    whole = cut = 0.0
    for codes in evolve(predictor, protocol, arguments.children, arguments.generations, seed=0):
        shared = shared_layers(codes)
        layers += sum(map(len, codes))
        unread += sum(shared)
        whole += _seconds(predictor, codes)
        cut += _seconds(
            predictor, [network[min(at, len(network) - 1) :] for network, at in zip(codes, shared, strict=True)]
        )
    print(describe())
    print(
        f"{arguments.generations} requests of {arguments.children} networks, {layers} layers, "
        f"{unread} of them in shared prefixes"
    )
    print(f"a recurrent predictor: at most {layers / (layers - unread):.2f}x")
    print(f"the shipped predictor with those layers cut off: {whole / cut:.2f}x")


if __name__ == "__main__":
    main()
