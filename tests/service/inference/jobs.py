"""Jobs without a predictor, for the tests of batching and queue."""

import asyncio
from time import monotonic
from types import SimpleNamespace
from typing import Any

import numpy as np

from service.inference.batching import Job

MODEL: Any = SimpleNamespace(card=SimpleNamespace(task="fake"))


def job(*lengths: int, epochs: tuple[int, ...] = (1,), model: Any = MODEL, seconds: float = 60.0) -> Job:
    """Return a job of networks with so many layers, whose deadline is in so many seconds."""

    async def make() -> Job:
        networks = [np.ones((length, 1), dtype=np.int32) for length in lengths]
        return Job(model, networks, epochs, monotonic() + seconds)

    return asyncio.run(make())
