"""What one forward and one backward pass through an untrained network show."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Tensor = torch.Tensor
ACTIVATIONS = frozenset(
    {
        "relu",
        "relu6",
        "leaky_relu",
        "prelu",
        "elu",
        "gelu",
        "silu",
        "hardswish",
        "hardsigmoid",
        "sigmoid",
        "tanh",
    }
)


class _Watcher(TorchFunctionMode):
    """Notes what activations and linear layers read, whether they are modules or functions."""

    def __init__(self) -> None:
        super().__init__()
        self.patterns: list[Tensor] = []
        self.features: Tensor | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch."""
        name = getattr(func, "__name__", "")
        if name.rstrip("_") in ACTIVATIONS:
            self.patterns.append((args[0].detach() > 0).flatten(1))
        elif name == "linear":
            self.features = args[0].detach()
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class Passes:
    """A network's answers to images, and the gradients of the loss.

    Attributes:
        logits: [images, classes].
        labels: int64 [images].
        features: what the last linear layer reads [images, features]; `None` where there is no linear layer.
        patterns: of each activation, in the order of the pass: whether its inputs are positive [images, units].
        weights: of each layer with weights, in the order of the module.
        gradients: of the cross-entropy by these weights.
        input_gradients: of the sum of all logits by the images [images, values].
    """

    logits: Tensor
    labels: Tensor
    features: Tensor | None
    patterns: list[Tensor] = field(repr=False)
    weights: list[Tensor] = field(repr=False)
    gradients: list[Tensor] = field(repr=False)
    input_gradients: Tensor = field(repr=False)


@contextmanager
def mode(module: nn.Module, *, training: bool) -> Iterator[None]:
    """Set a module to training or evaluation, and back."""
    before = [(one, one.training) for one in module.modules()]
    module.train(training)
    try:
        yield
    finally:
        for one, was_training in before:
            one.training = was_training


def state_of(module: nn.Module, dtype: torch.dtype | None = None) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return copies of a module's weights and buffers, so that passes with them leave it as it is."""
    weights = {name: one.detach().clone().to(dtype).requires_grad_() for name, one in module.named_parameters()}
    buffers = {
        name: one.clone().to(dtype) if one.is_floating_point() else one.clone() for name, one in module.named_buffers()
    }
    return weights, buffers


def run(module: nn.Module, images: Tensor, labels: Tensor | None = None) -> Passes:
    """Pass images through a network, and back.

    Batch normalisation uses the statistics of these images, as in the first step of a training.

    Args:
        module: stays as it is.
        images: [images, channels, height, width].
        labels: int64 [images]; drawn at random where they are not given.

    Raises:
        ValueError: when the module does not return logits, or has no weights.
    """
    weights, buffers = state_of(module)
    watcher, seen = _Watcher(), images.detach().clone().requires_grad_()
    with watcher, mode(module, training=True):
        logits = functional_call(module, (weights, buffers), (seen,))
    layers = [one for one in weights.values() if one.ndim > 1]
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images) or not layers:
        raise ValueError("the module must have weights and return logits [images, classes]")
    if labels is None:
        labels = torch.randint(logits.shape[1], (len(images),)).to(images.device)
    (by_images,) = torch.autograd.grad(logits.sum(), seen, retain_graph=True, materialize_grads=True)
    gradients = torch.autograd.grad(F.cross_entropy(logits, labels), layers, materialize_grads=True)
    return Passes(
        logits=logits.detach(),
        labels=labels,
        features=None if watcher.features is None else watcher.features.flatten(1),
        patterns=watcher.patterns,
        weights=[one.detach() for one in layers],
        gradients=list(gradients),
        input_gradients=by_images.flatten(1),
    )
