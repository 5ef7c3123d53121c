"""A network's weights and biases among the tensors of a state dict, however they are stored.

Some tensors are neither (running statistics, observers, counters) and are left out. A weight may be stored as parts, of
which the network makes it in each pass: PyTorch's pruning, weight normalisation and spectral normalisation are
understood. What is not understood is rejected with its name, never read as something else.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .several_networks import apart
from .tensor_names import named, natural_order
from .weight_features import FeaturesError, Floats

Tensors = Mapping[str, NDArray[Any]]

_BOOKKEEPING = re.compile(r"(.*\.)?(running_mean|running_var|num_batches_tracked|n_averaged)")
_OBSERVER = re.compile(r"observer|fake_quant|post_process|quantizer|_quant(\.|$)")
_LOSS = re.compile(r"(^|\.)(criterion|loss\w*)\.")
_LOW_RANK = re.compile(r"(^|[._])lora", re.IGNORECASE)
_PARAMETER = re.compile(r"weight|(^|\.)bias|parametrizations")
_STORED = (
    re.compile(r"(?:(?P<layer>.*)\.)?(?P<last>weight|bias)(?:_(?P<part>orig|mask|g|v|u))?"),
    re.compile(r"(?:(?P<layer>.*)\.)?parametrizations\.(?P<last>weight|bias)\.(?:0\.)?(?P<part>\w+)"),
    re.compile(r"(?P<layer>(?:.*\.)?(?:in|q|k|v)_proj)_(?P<last>weight|bias)(?P<part>)"),  # nn.MultiheadAttention
)


@dataclass(frozen=True)
class Parameters:
    """What is read of a state dict.

    Attributes:
        tensors: weights and biases as the network uses them, named `layer3.weight`, `layer3.bias`.
        stored: the tensors that they are made of, by their names in the file.
        notes: what was not read.
    """

    tensors: dict[str, Floats]
    stored: dict[str, Floats]
    notes: tuple[str, ...]


def parameters(tensors: Tensors) -> Parameters:
    """Find the weights and biases of one network.

    Args:
        tensors: of a state dict, by name. Other numbers than floats of 16 bits or more have an integer type.

    Raises:
        FeaturesError: naming tensors that are quantised, are not understood, or belong to another network.
    """
    groups, unread = _grouped(tensors)
    unknown = [name for name in unread if _PARAMETER.search(name) and not _LOSS.search(name)]
    read = [name for parts in groups.values() for part, name in parts.items() if part != "mask"]
    if integers := [name for name in read + unknown if not np.issubdtype(tensors[name].dtype, np.floating)]:
        raise FeaturesError(  # their values follow from scales, which are stored in many ways
            f"quantised weights, not floats of 16 bits or more: {named(integers)}; dequantise them before saving"
        )
    made: dict[str, Floats] = {}
    for parameter, parts in groups.items():
        values = _make({part: tensors[name] for part, name in parts.items()})
        if values is None:
            unknown += parts.values()
        else:
            made[parameter] = values
    if unknown:
        raise FeaturesError(
            f"tensors that are not understood: {named(unknown)}; save the weights as the network uses them "
            "(in PyTorch, after prune.remove, remove_parametrizations or merge_and_unload)"
        )
    if others := apart({name: tensor.shape for name, tensor in made.items()}):
        raise FeaturesError(f"several networks in one file; one of them has {named(others)}; send one")
    stored = {name: tensors[name] for parts in groups.values() for name in parts.values()}
    return Parameters(made, stored, (f"not read: {named(unread)}",) if unread else ())


def _grouped(names: Iterable[str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return the names of the parts of each weight and bias, in the order of the layers, and other names."""
    groups: dict[str, dict[str, str]] = {}
    unread = []
    for name in sorted(names, key=natural_order):
        if _BOOKKEEPING.fullmatch(name) or _OBSERVER.search(name):
            continue
        found = next(filter(None, (form.fullmatch(name) for form in _STORED)), None)
        if found is None or _LOSS.search(name) or _LOW_RANK.search(name):
            unread.append(name)
            continue
        parts = groups.setdefault(".".join(filter(None, (found["layer"], found["last"]))), {})
        if parts.setdefault(found["part"] or "", name) != name:  # it is stored twice
            unread.append(name)
    return groups, unread


def _make(parts: Mapping[str, NDArray[Any]]) -> Floats | None:
    """Return the weight that the parts make; `None` when that is not known."""
    if set(parts) == {""}:
        return parts[""]
    for names, rule in _RULES:
        if set(parts) == set(names):
            with np.errstate(all="ignore"):  # a norm of 0 makes values that are not finite, as in PyTorch
                return rule(*(parts[name].astype(np.float64) for name in names))
    return None


def _masked(values: Floats, mask: Floats) -> Floats | None:
    return values * mask if values.shape == mask.shape else None


def _scaled(norm: Floats, direction: Floats) -> Floats | None:
    """Give each slice of a direction its norm (arXiv 1602.07868); the norm has length 1 along what it sums over."""
    norm = norm if norm.ndim else norm.reshape([1] * direction.ndim)
    if norm.ndim != direction.ndim or any(n not in (1, d) for n, d in zip(norm.shape, direction.shape, strict=True)):
        return None
    axes = tuple(axis for axis in range(norm.ndim) if norm.shape[axis] == 1)
    scaled: Floats = direction * (norm / np.sqrt((direction**2).sum(axis=axes, keepdims=True)))
    return scaled


def _spectral(values: Floats, left: Floats, right: Floats) -> Floats | None:
    """Divide by the largest singular value, as the stored vectors estimate it (arXiv 1802.05957)."""
    for axis in range(min(values.ndim, 2)):  # the rows of the matrix are the outputs: axis 1 where it is transposed
        if left.shape == (values.shape[axis],) and right.shape == (values.size // max(left.size, 1),):
            rows = np.moveaxis(values, axis, 0).reshape(left.size, -1)
            divided: Floats = values / (left @ rows @ right)
            return divided
    return None


_RULES: tuple[tuple[tuple[str, ...], Callable[..., Floats | None]], ...] = (
    (("", "mask"), _masked),
    (("orig", "mask"), _masked),  # torch.nn.utils.prune
    (("g", "v"), _scaled),  # torch.nn.utils.weight_norm
    (("original0", "original1"), _scaled),  # torch.nn.utils.parametrizations.weight_norm
    (("orig", "u", "v"), _spectral),  # torch.nn.utils.spectral_norm
    (("original", "_u", "_v"), _spectral),  # torch.nn.utils.parametrizations.spectral_norm
)
"""Parts that a weight is stored as, and what makes it of them."""
