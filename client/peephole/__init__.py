"""Peephole for Python: networks from PyTorch modules and ONNX files, in the form that the service reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from peephole.importers.graph import Request
from peephole.importers.unmapped import ImportNote, UnmappedError, UnmappedOperator

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ImportNote", "Request", "UnmappedError", "UnmappedOperator", "from_onnx", "from_torch"]


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
