"""What the examples train: networks under a protocol of this project, one after another."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import peephole.search
from training.measuring.datasets import load
from training.measuring.train import train_network
from training.observations.read import read
from training.protocols import PROTOCOLS, TrainingProtocol

PREDICTOR_OF = {"digits-mini": "mnist-mini"}  # nothing ships for digits: another data set's predictor ranks there too
images_of = cache(load)


def predictor_of(protocol: TrainingProtocol) -> peephole.Predictor:
    return peephole.load(PREDICTOR_OF.get(protocol.name, protocol.name))


def space_of(protocol: TrainingProtocol, kind: str = "paper") -> peephole.search.Space:
    image = (protocol.in_channels, protocol.resolution, protocol.resolution)
    limits = {} if protocol.max_flops is None else {"flops": protocol.max_flops}
    return peephole.search.Space(image, kind=kind, width=protocol.width, constraints=limits)


def measured(table: Path) -> list[dict[str, object]]:
    """The networks of a table, as the context of predictions."""
    return [{"layers": row.layers, "accuracy": row.accuracy} for row in read(table) if row.accuracy]


def final_accuracy(layers, protocol: TrainingProtocol, on_epoch: Callable[[float], None] = lambda _: None) -> float:
    return train_network(layers, protocol, images_of(protocol), seed=0, on_epoch=on_epoch).accuracy[-1]


__all__ = ["PROTOCOLS", "final_accuracy", "measured", "predictor_of", "space_of"]
