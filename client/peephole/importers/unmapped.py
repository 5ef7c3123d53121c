"""What cannot be said in the network form: reported at once, by operator, place and count."""

from collections.abc import Sequence
from dataclasses import dataclass

SHOWN = 3  # places of an operator that a message names


class Unmapped(Exception):  # noqa: N818 - it never reaches the caller
    """One operator has no counterpart in the network form; the message says why."""


UNEXPECTED = (IndexError, KeyError, TypeError, ValueError)
"""What a handler raises for arguments that nobody thought of; the operator is reported then."""


class ImportNote(UserWarning):
    """What an imported network leaves out: constant factors, or parameters that the form counts in another way."""


@dataclass(frozen=True)
class UnmappedOperator:
    """An operator without a counterpart.

    Attributes:
        operator: as PyTorch or ONNX calls it.
        reason: why it cannot be expressed.
        places: modules or nodes where it is used.
    """

    operator: str
    reason: str
    places: Sequence[str]

    def __str__(self) -> str:
        count = len(self.places)
        named = ", ".join(list(dict.fromkeys(place or "the model itself" for place in self.places))[:SHOWN])
        more = ", ..." if len(set(self.places)) > SHOWN else ""
        return f"{self.operator} ({count} {'time' if count == 1 else 'times'}, in {named}{more}): {self.reason}"


class UnmappedError(ValueError):
    """A network that the form cannot express; `operators` lists all reasons."""

    def __init__(self, operators: Sequence[UnmappedOperator]) -> None:
        super().__init__("the network form cannot express " + "; ".join(map(str, operators)))
        self.operators = list(operators)


def reason_of(error: Exception) -> str:
    """Return why an operator cannot be expressed, of what its handler raised."""
    if isinstance(error, Unmapped):
        return str(error)
    return f"it is used in a way that the importer does not know ({type(error).__name__}: {error})"
