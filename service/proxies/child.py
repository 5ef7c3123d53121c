"""What the child process runs. Here alone the service meets torch and training, and only in that process."""

import json
import os
import signal
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec

from model.network.schema import Layer

NEEDED = ("torch", "pyarrow", "PIL", "training")  # packages of the extra `proxies`; an image may leave `training` out
NICENESS = 10


def missing_packages() -> list[str]:
    """Return which of the packages that computing needs are not installed."""
    return [name for name in NEEDED if find_spec(name) is None]


def score(protocols: Sequence[str], layers: Sequence[Layer], *, gpu: bool) -> dict[str, float]:
    """Return a network's scores by name, as `peephole proxies` measures them.

    Exceptions are plain ones: the parent could not read those of packages that it does not import.

    Args:
        protocols: keys of the training recipes that the predictor was fitted to; one of them must be known here.
        layers: valid for that recipe's images.
        gpu: whether to use a GPU where torch finds one.

    Raises:
        LookupError: when no recipe is known, so neither are its images.
        FileNotFoundError: when the images are not there; the message says where they are looked for.
        RuntimeError: when the network cannot be measured.
    """
    _defer_to_parent()
    from training.measuring import datasets, scoring  # noqa: PLC0415 - not in the parent, which imports this module
    from training.observations.observation import proxies_text  # noqa: PLC0415 - likewise
    from training.protocols import PROTOCOLS  # noqa: PLC0415 - likewise

    found = [one for one in PROTOCOLS.values() if one.key in protocols]
    if not found:
        raise LookupError("no such protocol")
    try:
        scores = scoring.score(layers, found[0], _device(gpu=gpu))
    except datasets.DataNotFoundError as error:
        raise FileNotFoundError(str(error)) from None
    except Exception as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from None
    rounded: dict[str, float] = json.loads(proxies_text(scores))  # as they are stored everywhere
    return rounded


@cache
def _defer_to_parent() -> None:
    """Once: leave the cores to predictions, and the end to the parent, whose signals a process group gets too."""
    os.nice(NICENESS)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@cache
def _device(*, gpu: bool) -> str:
    import torch  # noqa: PLC0415 - not in the parent

    return "cuda" if gpu and torch.cuda.is_available() else "cpu"
