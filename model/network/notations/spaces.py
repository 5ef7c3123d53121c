"""The search spaces by name, each with what reads a notation that is given as JSON."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..schema import Layer
from .builder import NotationError
from .darts_cells import darts
from .mbconv import mbconv, once_for_all
from .nb101 import nasbench101
from .nb201 import nasbench201
from .transnas import transnas101

Read = Callable[[Any], list[Layer]]


@dataclass(frozen=True)
class Space:
    """A search space.

    Attributes:
        read: from a notation, as JSON has it, to layers; raises `NotationError`.
        form: what a notation looks like, for people.
    """

    read: Read
    form: str


def _nasbench101(given: Any) -> list[Layer]:
    fields = _fields(given, "ops")
    edges = fields.get("edges", fields.get("matrix", fields.get("adjacency")))
    return nasbench101(_strings(fields["ops"], "ops"), _integer_lists(edges, "edges"))


def _nasbench201(given: Any) -> list[Layer]:
    cell = given.get("arch_str", given.get("ops")) if isinstance(given, Mapping) else given
    return nasbench201(cell if isinstance(cell, str) else _strings(cell, "ops"))


def _transnas101(given: Any) -> list[Layer]:
    if isinstance(given, Mapping):
        given = given.get("code", given.get("ops", given.get("blocks")))
    if isinstance(given, list) and all(isinstance(one, Mapping) for one in given):
        return transnas101(given)
    return transnas101(given if isinstance(given, str) else _strings(given, "ops"))


def _darts(given: Any) -> list[Layer]:
    if isinstance(given, Mapping) and "genotype" in given:
        given = given["genotype"]
    return darts(given if isinstance(given, str) else _fields(given, "normal"))


def _darts_imagenet(given: Any) -> list[Layer]:
    if isinstance(given, Mapping) and "genotype" in given:
        given = given["genotype"]
    return darts(given if isinstance(given, str) else _fields(given, "normal"), cells=14, channels=48, stem="imagenet")


def _mbconv(given: Any) -> list[Layer]:
    stages = given.get("stages") if isinstance(given, Mapping) else given
    if not isinstance(stages, list) or not all(isinstance(one, Mapping) for one in stages):
        raise NotationError("stages: must be a list of objects")
    return mbconv(stages)


def _once_for_all(given: Any) -> list[Layer]:
    fields = _fields(given, "ks")
    ks, e, d = (_integers(fields.get(name), name) for name in ("ks", "e", "d"))
    width = fields.get("width", 1.0)
    if not isinstance(width, int | float) or not 0 < width <= 8:
        raise NotationError("width: must be a number above 0, up to 8")
    return once_for_all(ks, e, d, width=width)


def _fields(given: Any, needed: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping) or needed not in given:
        raise NotationError(f"must be an object with `{needed}`")
    return given


def _strings(given: Any, name: str) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise NotationError(f"{name}: must be a list of names of operations")
    return given


def _integers(given: Any, name: str) -> list[int]:
    if not isinstance(given, list) or not all(type(one) is int for one in given):
        raise NotationError(f"{name}: must be a list of integers")
    return given


def _integer_lists(given: Any, name: str) -> list[list[int]]:
    if not isinstance(given, list):
        raise NotationError(f"{name}: must be a list of lists of integers")
    return [_integers(row, f"{name}/{place}") for place, row in enumerate(given)]


SPACES = {
    "nasbench101": Space(_nasbench101, '{"ops": ["conv3x3", ...], "edges": [[0, 1], ...]}, or "matrix"'),
    "nasbench201": Space(_nasbench201, '"|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...|", or its six operations'),
    "transnas101": Space(_transnas101, '"64-41414-3_33_332", six operations, or residual blocks'),
    "darts": Space(_darts, '"Genotype(normal=[...], ...)", or an object; 20 cells, 36 channels'),
    "darts-imagenet": Space(_darts_imagenet, "as darts; 14 cells, 48 channels"),
    "mbconv": Space(_mbconv, '[{"expand": 6, "kernel": 3, "layers": 2, "se": true, "out": 24, "stride": 2}, ...]'),
    "accel_nasbench": Space(_mbconv, "as mbconv: seven stages"),
    "once-for-all": Space(_once_for_all, '{"ks": [20 kernels], "e": [20 ratios], "d": [5 depths], "width": 1.0}'),
}
