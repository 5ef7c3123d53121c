"""Work that would hold up the event loop, on a thread and for as long as the caller waits."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from time import monotonic
from typing import TypeVar, TypeVarTuple, Unpack

from service.problems import Problem

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")
INLINE_BYTES = 8 * 1024  # of a body with layers never met: read within a millisecond or two
SHORT = 64  # networks whose look-up, continuation or answer takes the event loop less than a millisecond or two


def too_late() -> Problem:
    """Return the 504 for a caller who does not wait any more."""
    return Problem("deadline-exceeded", "The deadline passed before the prediction was done.")


async def aside(
    threads: Executor, deadline: float, function: Callable[[Unpack[Arguments]], Result], *arguments: *Arguments
) -> Result:
    """Run a function on one of the threads.

    Args:
        threads: where it runs.
        deadline: on the monotonic clock; a function that has begun by then goes on, unheard.
        function: what to do.
        arguments: of the function.

    Raises:
        Problem: 504 when the deadline passes first.
    """
    try:
        async with asyncio.timeout(max(0.0, deadline - monotonic())):
            return await asyncio.get_running_loop().run_in_executor(threads, function, *arguments)
    except TimeoutError:
        raise too_late() from None
