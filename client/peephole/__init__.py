"""Peephole for Python: learning curves of networks before they are trained, from a service or in this process.

`Client` and `AsyncClient` send requests to a service, `load` answers without one. `from_torch` and `from_onnx` read
networks into the form that all of them take.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .async_client import AsyncClient
from .client import Client
from .errors import PeepholeError, RequestError, ServiceError, UnavailableError
from .importers.graph import Request
from .importers.unmapped import ImportNote, UnmappedError, UnmappedOperator
from .model.network.faults import Fault
from .predictions import Decision, Fit, Observed, Prediction, Predictions, Source, Task, Versions
from .predictor import Predictor

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .local import LocalPredictor

__all__ = [
    "AsyncClient",
    "Client",
    "Decision",
    "Fault",
    "Fit",
    "ImportNote",
    "Observed",
    "PeepholeError",
    "Prediction",
    "Predictions",
    "Predictor",
    "Request",
    "RequestError",
    "ServiceError",
    "Source",
    "Task",
    "UnavailableError",
    "UnmappedError",
    "UnmappedOperator",
    "Versions",
    "from_onnx",
    "from_torch",
    "load",
    "proxies",
]


def load(*artifacts: str | Path, threads: int = 1) -> "LocalPredictor":
    """Return a predictor in this process, which answers as a service does.

    Args:
        artifacts: shipped tasks, such as `cifar10-mini`, and folders of artifacts; all that ships without any.
        threads: cores that a prediction may use.

    Raises:
        ArtifactError: a ValueError, when there is no such artifact or it cannot be loaded.
    """
    from .local import LocalPredictor  # noqa: PLC0415 - loads ONNX Runtime, which clients of a service do not need

    return LocalPredictor(*artifacts, threads=threads)


def from_torch(module: "nn.Module", input_shape: Sequence[int], *, name: str | None = None) -> Request:
    """Return the request of a module, as it is in eval mode, its final linear layer left out as the classifier.

    The module is traced, not run: its weights may be on the meta device.

    Args:
        module: of images [batch, channels, height, width]; it returns one tensor.
        input_shape: channels, height, width.
        name: the network's `id`.

    Raises:
        ModuleNotFoundError: without PyTorch.
        UnmappedError: when operators cannot be expressed; it lists all of them.
        ValueError: when the module cannot be traced, holds no network, or is beyond the limits of the form.
    """
    from peephole.importers.torch_export import from_torch as read  # noqa: PLC0415 - torch is optional

    return read(module, input_shape, name=name)


def from_onnx(path: str | Path, *, input_shape: Sequence[int] | None = None, name: str | None = None) -> Request:
    """Return the request of an ONNX model, its final linear layer left out as the classifier.

    Args:
        path: of the file; weights in other files are not read.
        input_shape: channels, height, width, where the model leaves them open.
        name: the network's `id`.

    Raises:
        ModuleNotFoundError: without onnx.
        OSError: when the file cannot be read.
        UnmappedError: when operators cannot be expressed; it lists all of them.
        ValueError: when the file is no ONNX model of images, holds no network, or is beyond the limits of the form.
    """
    from peephole.importers.onnx import from_onnx as read  # noqa: PLC0415 - onnx is optional

    return read(path, input_shape=input_shape, name=name)


def proxies(
    module: "nn.Module", images: "Tensor", labels: "Tensor | None" = None, *, seed: int = 0
) -> dict[str, float]:
    """Return zero-cost scores of an untrained module: the `proxies` of an architecture, a context or an observation.

    They cost a few passes, forward and back. The module stays as it is. A score that overflows is left out.

    Args:
        module: maps images to logits [images, classes].
        images: normalised as for training [images, channels, height, width], on the module's device; 64 are enough.
        labels: int64 [images]; drawn at random where they are not given.
        seed: of what is drawn.

    Raises:
        ModuleNotFoundError: without PyTorch.
        ValueError: when the images or the logits have another form.
    """
    from peephole.model.proxies.measure import measure  # noqa: PLC0415 - torch is optional

    return measure(module, images, labels, seed=seed)
