"""Requests made of networks that the block generator draws; no network occurs twice in the pool."""

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.artifact import Card
from model.encoding.layer_code import encode, pad
from model.sampling.blocks import sample_block
from model.sampling.skeleton import assemble

LAYERS = range(40, 61)
WIDTH = 16
SEED = 4


@dataclass(frozen=True, slots=True)
class Network:
    """One network: its codes [layers, columns], and the JSON object that a request holds."""

    codes: NDArray[np.int32]
    json: str


def sample(card: Card, count: int) -> list[Network]:
    """Draw `count` different networks of about 50 layers that the predictor's code can express."""
    found: dict[bytes, Network] = {}
    index = 0
    while len(found) < count:
        layers = assemble(sample_block(np.random.default_rng([SEED, index])), card.image, WIDTH)
        index += 1
        if len(layers) not in LAYERS:
            continue
        codes = encode(layers, card.layer_code, card.image).codes
        text = json.dumps({"layers": layers}, separators=(",", ":"))
        found.setdefault(codes.tobytes(), Network(codes, text))
    return list(found.values())


class Workload:
    """A pool of networks that is walked through in order, so that a network is repeated as late as possible."""

    def __init__(self, card: Card, pool: int) -> None:
        self.networks = sample(card, pool)
        self._next = 0

    def take(self, count: int) -> list[Network]:
        """Return the next `count` networks."""
        start, self._next = self._next, (self._next + count) % len(self.networks)
        return [self.networks[(start + i) % len(self.networks)] for i in range(count)]

    def bodies(self, batch: int, count: int) -> list[bytes]:
        """Return the bodies of `count` requests of `batch` networks each."""
        return [body(self.take(batch)) for _ in range(count)]

    def batches(self, batch: int, count: int) -> list[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        """Return `count` padded batches, codes and lengths, as the predictor takes them."""
        return [pad([network.codes for network in self.take(batch)]) for _ in range(count)]


def body(networks: list[Network]) -> bytes:
    """Return the JSON of a request."""
    return f'{{"architectures":[{",".join(network.json for network in networks)}]}}'.encode()
