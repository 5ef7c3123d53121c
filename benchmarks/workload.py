"""Requests made of networks that the block generator draws; no network occurs twice in the pool."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model.artifact import Card
from model.encoding.layer_code import CodeError, encode, pad
from model.sampling.blocks import sample_block
from model.sampling.skeleton import assemble

Form = Literal["codes", "layers"]
LAYERS = range(40, 61)
WIDTH = 16
SEED = 4


@dataclass(frozen=True, slots=True)
class Network:
    """One network: its codes [layers, columns], and itself as JSON in both forms a request may have."""

    codes: NDArray[np.int32]
    json: dict[Form, str]


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def sample(card: Card, count: int) -> list[Network]:
    """Draw `count` different networks of about 50 layers that the predictor's code can express."""
    found: dict[bytes, Network] = {}
    index = 0
    while len(found) < count:
        layers = assemble(sample_block(np.random.default_rng([SEED, index])), card.image, WIDTH)
        index += 1
        if len(layers) not in LAYERS:
            continue
        try:
            codes = encode(layers, card.layer_code, card.image).codes
        except CodeError:
            continue
        objects = [layer.model_dump(mode="json", exclude_none=True) for layer in layers]
        forms: dict[Form, str] = {
            "codes": _compact({"codes": codes.tolist()}),
            "layers": _compact({"layers": objects}),
        }
        found.setdefault(codes.tobytes(), Network(codes, forms))
    return list(found.values())


class Workload:
    """A pool of networks that is walked through in order, so that a network comes back as late as possible."""

    def __init__(self, card: Card, pool: int) -> None:
        self.card = card
        self.networks = sample(card, pool)
        self._next = 0

    def take(self, count: int) -> list[Network]:
        """Return the next `count` networks."""
        start, self._next = self._next, (self._next + count) % len(self.networks)
        return [self.networks[(start + i) % len(self.networks)] for i in range(count)]

    def bodies(self, form: Form, batch: int, count: int, *, final_only: bool = False) -> list[bytes]:
        """Return the bodies of `count` requests of `batch` networks each."""
        epochs = f'"epochs":[{self.card.epochs}],' if final_only else ""
        return [body([network.json[form] for network in self.take(batch)], epochs) for _ in range(count)]

    def batches(self, batch: int, count: int) -> list[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        """Return `count` padded batches, codes and lengths, as the predictor takes them."""
        return [pad([network.codes for network in self.take(batch)]) for _ in range(count)]


def body(networks: Sequence[str], fields: str = "") -> bytes:
    """Return the JSON of a request."""
    return f'{{{fields}"architectures":[{",".join(networks)}]}}'.encode()
