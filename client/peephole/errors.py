"""What goes wrong between a search and its predictor."""

from collections.abc import Sequence

from .model.network.faults import Fault, pointer

SHOWN = 3  # faults that a message names


class PeepholeError(Exception):
    """Base of all errors of this package's predictors.

    Attributes:
        status: HTTP status; `None` where there was no response.
        request_id: under which the service's log has the request.
    """

    def __init__(self, message: str, status: int | None = None, request_id: str | None = None) -> None:
        super().__init__(message, status, request_id)  # all arguments, so that errors can be pickled
        self.status = status
        self.request_id = request_id

    def __str__(self) -> str:
        return str(self.args[0])


class RequestError(PeepholeError, ValueError):
    """A request that cannot be answered: correct it.

    Attributes:
        faults: each with a JSON Pointer, a code and a sentence; `/architectures/3` is the network at index 3.
    """

    def __init__(
        self, message: str, status: int | None = 422, request_id: str | None = None, faults: Sequence[Fault] = ()
    ) -> None:
        super().__init__(message, status, request_id)
        self.args = (message, status, request_id, tuple(faults))
        self.faults = list(faults)

    def __str__(self) -> str:
        said = str(self.args[0])
        others = [f"{fault.pointer}: {fault.detail}" for fault in self.faults[1:SHOWN]]
        return "\n".join([said, *others])

    def moved(self, key: str, by: int) -> "RequestError":
        """Return the error with the pointers of a list `key` that began at another index."""
        if not by:
            return self
        faults = [Fault(_moved(fault.pointer, key, by), fault.code, fault.detail) for fault in self.faults]
        first = f"{faults[0].pointer}: {faults[0].detail}" if faults else str(self.args[0])
        return RequestError(first, self.status, self.request_id, faults)


class UnavailableError(PeepholeError, ConnectionError):
    """No answer within the time that was allowed: nobody listens, the service is busy or stopping, or a proxy says so.

    Attributes:
        retry_after: seconds that the service asks to wait.
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, status, request_id)
        self.args = (message, status, request_id, retry_after)
        self.retry_after = retry_after


class ServiceError(PeepholeError, RuntimeError):
    """The service failed, or what answers is no Peephole service."""


def _moved(where: str, key: str, by: int) -> str:
    _, *parts = where.split("/")
    if len(parts) < 2 or parts[0] != key or not parts[1].isdigit():
        return where
    return pointer(key, int(parts[1]) + by) + "".join(f"/{part}" for part in parts[2:])
