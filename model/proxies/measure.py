"""All scores of a network."""

import math
from collections.abc import Sequence
from statistics import fmean

import numpy as np
import torch
from torch import nn

from ..network.schema import Layer
from ..network.shapes import Shape
from ..torch_modules import build
from . import scores
from .names import DEPTHS, STEPS
from .passes import Passes, run

IMAGES = 64  # that scores are about
SEEDS = 2  # initialisations; a network's scores are their means


def measure(
    module: nn.Module, images: torch.Tensor, labels: torch.Tensor | None = None, *, seed: int = 0
) -> dict[str, float]:
    """Return the scores of an untrained module by name (`model.proxies.names`); those that are not finite are left out.

    The module stays as it is, and so do torch's random numbers.

    Args:
        module: maps images to logits [images, classes].
        images: normalised [images, channels, height, width], on the module's device.
        labels: int64 [images]; drawn at random where they are not given.
        seed: of what is drawn, and of dropout.

    Raises:
        ValueError: when there are fewer than two images, or the module does not return such logits.
    """
    if images.ndim != 4 or len(images) < 2:
        raise ValueError(f"images must be [2 or more, channels, height, width], not {list(images.shape)}")
    with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
        torch.manual_seed(seed)
        found = _scores(module, images, labels)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def measure_layers(
    layers: Sequence[Layer], image: Shape, classes: int, images: torch.Tensor, labels: torch.Tensor
) -> dict[str, float]:
    """Return the mean scores of a network over `SEEDS` initialisations; those that are not always finite are left out.

    Args:
        layers: from the image up to, but not including, the classifier.
        image: shape of the images.
        classes: of the classifier.
        images: as `measure`, on the device to measure on.
        labels: int64 [images].

    Raises:
        NetworkError: as `model.network.graph.resolve`.
    """
    found = []
    for seed in range(SEEDS):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = build(layers, image, classes)
        found.append(measure(module.to(images.device), images, labels, seed=seed))
    return {name: fmean(one[name] for one in found) for name in found[0] if all(name in one for one in found)}


def _scores(module: nn.Module, images: torch.Tensor, labels: torch.Tensor | None) -> dict[str, float]:
    seen = run(module, images, labels)
    last = seen.patterns[-1:]
    found = {
        "logit_spread": scores.spread(seen.logits),
        "logit_contrast": scores.contrast(seen.logits),
        "logit_sameness": scores.sameness(seen.logits),
        "swap": scores.swap(seen.patterns),
        "swap_last": scores.swap(last),
        "naswot": scores.naswot(seen.patterns),
        "naswot_last": scores.naswot_share(last),
        "agreement": scores.agreement(seen.patterns),
        "agreement_last": scores.agreement(last),
        "synflow": scores.synflow(module, images.shape[1:]),
        "snip": scores.snip(seen.weights, seen.gradients),
        "gradient_norm": scores.total_norm(seen.gradients),
        "input_gradient_norm": scores.input_norm(seen.input_gradients),
        "input_gradient_covariance": scores.input_covariance(seen.input_gradients),
    }
    if seen.features is not None:
        found |= {
            "feature_spread": scores.spread(seen.features),
            "feature_contrast": scores.contrast(seen.features),
            "feature_sameness": scores.sameness(seen.features),
        }
    losses = scores.descent(module, images, seen.labels, STEPS)
    return found | _by_layer(seen) | {f"loss_{step}": loss for step, loss in enumerate(losses)}


def _by_layer(seen: Passes) -> dict[str, float]:
    """Return what the norms of the layers' gradients are on the way through the network."""
    norms = np.array(scores.norms(seen.gradients))
    ratios = norms - np.array(scores.norms(seen.weights))
    found: dict[str, float] = {}
    for name, values in (("gradient_norm", norms), ("gradient_ratio", ratios)):
        at = np.interp(np.array(DEPTHS) / 100 * (len(values) - 1), np.arange(len(values)), values)
        found |= {f"{name}_{depth}": float(value) for depth, value in zip(DEPTHS, at, strict=True)}
        found |= {f"{name}_lowest": float(values.min()), f"{name}_spread": float(values.std())}
    return found
