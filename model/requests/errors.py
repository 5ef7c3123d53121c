"""Requests that cannot be answered: all faults at once, each with its place."""

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ..network.faults import Fault, faults_of

MAX_FAULTS = 20

Form = TypeVar("Form")


class InvalidRequestError(ValueError):
    """A request of another form, or one that the predictor cannot answer; the message is its first fault."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(summary(faults))
        self.faults = list(faults)


def summary(faults: Sequence[Fault]) -> str:
    """Return the first of the faults, with its place, and the number of others."""
    first = faults[0]
    place = first.pointer.rpartition("/")[0] if first.code == "missing" else first.pointer  # a missing field has none
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{place}: {first.detail}{more}".removeprefix(": ")


def parse(adapter: TypeAdapter[Form], body: bytes, form: Any) -> Form:
    """Return a JSON text as the form of a request.

    Args:
        adapter: of the form.
        body: UTF-8.
        form: the `TypedDict`, whose fields messages list.

    Raises:
        InvalidRequestError: when it is not JSON or of another form.
    """
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        raise InvalidRequestError(*faults_of(error, (), form)) from None
