"""The threads in which the database is used: it blocks, and the event loop must not wait for a disk."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import BoundedSemaphore
from time import monotonic
from typing import Any, TypeVar

import structlog

from model.network.faults import Fault
from service.errors import RETRY_SOON, Problem, invalid
from store import (
    KeyReusedError,
    QuotaError,
    StoreUnavailableError,
    TaskConflictError,
    UnknownFitError,
    UnknownTaskError,
    UnknownVersionError,
)

THREADS = 4
MOST = 64  # calls that wait or are carried out; beyond them 429

Result = TypeVar("Result")
log = structlog.get_logger("peephole")


class StoreThreads:
    """A few threads of their own: a database that hangs holds up nothing else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "store")
        self._room = BoundedSemaphore(MOST)

    def stop(self) -> None:
        """Begin no more calls."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(self, deadline: float, call: Callable[..., Result], *arguments: Any, **named: Any) -> Result:
        """Call a method of the store.

        Raises:
            Problem: for what the store raises, 429 when too many calls wait.
            TimeoutError: when the deadline passes; what was begun may be carried out all the same.
        """
        if not self._room.acquire(blocking=False):
            raise Problem("queue-full", "Too many requests wait for the database.", headers={"Retry-After": "1"})
        try:
            future = self._threads.submit(partial(call, *arguments, **named))
        except RuntimeError:  # the threads have ended
            self._room.release()
            raise Problem("unavailable", "the service is stopping", headers=RETRY_SOON) from None
        future.add_done_callback(lambda _: self._room.release())
        try:
            async with asyncio.timeout(deadline - monotonic()):
                return await asyncio.wrap_future(future)
        except UnknownTaskError:
            raise Problem("not-found", "There is no stored task of this name; PUT /tasks/{name} creates one.") from None
        except UnknownFitError:
            raise Problem("not-found", "The task has no fit of this id; old ones are forgotten.") from None
        except UnknownVersionError:
            detail = "the task has no such version; GET /tasks/{name}/versions lists them"
            raise invalid(Fault("/version", "unknown-version", detail)) from None
        except TaskConflictError:
            raise Problem(
                "conflict", "The task is there with another `input`; delete it, or choose another name."
            ) from None
        except QuotaError as error:
            raise Problem("quota-exceeded", f"{error}.") from None
        except KeyReusedError:
            detail = "The Idempotency-Key belongs to another request of the last 24 hours; send a new one."
            raise Problem("invalid-request", detail) from None
        except StoreUnavailableError as error:
            log.warning("store_unavailable", reason=str(error))
            raise Problem("unavailable", "Stored tasks are not available now.", headers=RETRY_SOON) from None
