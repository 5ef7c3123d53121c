"""Notations of public search spaces, turned into layers of the one form.

Parameters are those of the benchmarks' own modules, less the classifier, for every network of their tables.
"""

from .builder import NotationError
from .darts_cells import darts
from .mbconv import mbconv, once_for_all
from .nb101 import nasbench101
from .nb201 import nasbench201
from .spaces import SPACES, Space
from .transnas import transnas101

__all__ = [
    "SPACES",
    "NotationError",
    "Space",
    "darts",
    "mbconv",
    "nasbench101",
    "nasbench201",
    "once_for_all",
    "transnas101",
]
