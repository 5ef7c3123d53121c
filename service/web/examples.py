"""Networks to begin with: one of each well-known family, a NAS-Bench-201 cell, sampled ones."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from model.network.notations.nb201 import nasbench201
from model.network.schema import Layer
from model.network.shapes import Shape
from model.sampling.families import FAMILIES
from model.sampling.population import population

MAX_SAMPLED = 500
_IMAGE, _WIDTH = Shape(3, 16, 16), 8  # as in the protocols of two cores
_CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"


# Seeds of plain members of their families: 3x3 and 1x1 convolutions, batch norm, some two dozen layers.
def _family(name: str, seed: int) -> Callable[[], Sequence[Layer]]:
    return lambda: FAMILIES[name](np.random.default_rng(seed)).tidy()


EXAMPLES: dict[str, Callable[[], Sequence[Layer]]] = {
    "VGG": _family("vgg", 110),
    "ResNet": _family("resnet", 98),
    "MobileNet": _family("mobile", 213),
    "NAS-Bench-201 cell": lambda: nasbench201(_CELL, cells=1),
}


@cache
def examples() -> list[dict[str, Any]]:
    """Return the examples, each a network with its name as `id`."""
    return [{"id": name, "layers": make()} for name, make in EXAMPLES.items()]


def sampled(seed: int, count: int) -> list[dict[str, Any]]:
    """Return `count` networks, by turns of the paper's generator and of all families; the same for the same seed."""
    drawn = [population(_IMAGE, _WIDTH, seed=seed, space=space) for space in ("paper", "families")]
    return [{"id": f"sampled-{seed}-{index}", "layers": next(drawn[index % 2]).layers} for index in range(count)]
