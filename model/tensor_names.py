"""The order of layers as the names of their tensors tell it, and how messages name tensors."""

import re
from collections.abc import Iterable

from .network.faults import MAX_NAME

NAMED = 5
"""Tensors that a message names; it counts the others."""
_LAST = frozenset({"fc", "classifier"})
_HEADS = _LAST | {"head", "output", "linear", "dense"}
_NORMALISES = re.compile("bn|gn|ln|.*norm").fullmatch
_DIGITS = "0123456789"
_MOST_LEVELS = 16
_WITHOUT_NUMBER = [(1, "1"), (10**9, "")]

Place = tuple[int, list[tuple[int, str]], int, list[tuple[int, str]]]


def natural_order(name: str) -> list[Place]:
    """Sort key for names of tensors, in the order in which layers usually follow each other.

    At each level of the name: a stem first, a classifier last; then by number, layer2 before layer10, a name without a
    number behind those of number 1; then a convolution before its normalisation. Numbers compare by their digits, as
    names may hold more of them than Python turns into an integer.
    """
    return [_place(part) for part in name.split(".", _MOST_LEVELS - 1)]


def is_head(name: str) -> bool:
    """Tell whether a tensor's name has a part that stands for a classifier."""
    return not _HEADS.isdisjoint(name.split("."))


def named(names: Iterable[str]) -> str:
    """Return the first names in their order, each cut, and how many others there are."""
    every = sorted(names, key=natural_order)
    shown = [re.sub(r"[^A-Za-z0-9_.:/-]", "?", name[:MAX_NAME]) for name in every[:NAMED]]
    return ", ".join(shown) + (f" (and {len(every) - NAMED} more)" if len(every) > NAMED else "")


def _place(part: str) -> Place:
    pieces = [_number(piece) if piece[0] in _DIGITS else (-1, piece) for piece in re.findall("[0-9]+|[^0-9]+", part)]
    words = _words(part)
    side = -1 if "stem" in words else 2 if part in _LAST else int(not _HEADS.isdisjoint(words))
    kind = 0 if any(word.startswith("conv") for word in words) else 1 if any(map(_NORMALISES, words)) else 2
    return side, [piece for piece in pieces if piece[0] >= 0] or _WITHOUT_NUMBER, kind, pieces


def _words(text: str) -> set[str]:
    """Return the words of a name, in small letters: conv_head2 has conv and head."""
    return set(re.findall("[a-z]+", text.lower()))


def _number(digits: str) -> tuple[int, str]:
    significant = digits.lstrip("0")
    return len(significant), significant
