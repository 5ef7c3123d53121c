"""Run predictors on a thread of their own."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from model.runtime import Curves
from model.ulc import pad
from service.models import Model
from service.vocabulary import Ints

BATCH = 256


class Engine:
    """One inference thread; batches of similar length."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "inference")

    async def predict(self, model: Model, codes: Sequence[Ints], epochs: Sequence[int]) -> Curves:
        """Return the curves of networks, in their order."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, _run, model, codes, epochs)

    def close(self) -> None:
        """Stop the thread after the batch in hand."""
        self._thread.shutdown(cancel_futures=True)


def _run(model: Model, codes: Sequence[Ints], epochs: Sequence[int]) -> Curves:
    order = np.argsort([len(one) for one in codes], kind="stable")
    parts = []
    for start in range(0, len(order), BATCH):
        padded, lengths = pad([codes[i] for i in order[start : start + BATCH]])
        parts.append(model.predictor.run(padded, lengths, epochs))
    back = np.argsort(order, kind="stable")
    return Curves(*(np.concatenate([getattr(part, name) for part in parts])[back] for name in Curves.__slots__))
