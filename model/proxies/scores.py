"""Zero-cost proxies, a function each.

A score that has no finite value, of a network that overflows or has no activation, is NaN.
"""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from .passes import mode, state_of

Tensor = torch.Tensor
SMALLEST = 1e-20  # what is smaller counts as this much, so that a logarithm exists
BITS = 62  # images whose signs fit into an integer
RIDGE = 1e-6  # on the diagonal of shares
JACOV_RIDGE = 1e-5
LEARNING_RATE, MOMENTUM, CLIP = 0.1, 0.9, 1.0  # of the protocols


def log(value: float | Tensor) -> float:
    """Return the decimal logarithm of a magnitude; NaN where it is not finite."""
    number = float(value)
    return math.log10(max(number, SMALLEST)) if math.isfinite(number) else math.nan


def spread(values: Tensor) -> float:
    """Return how much values [images, outputs] differ from image to image: the log of their standard deviation.

    A network that gives every image the same answer cannot learn to tell them apart.
    """
    return log(values.double().std(dim=0).mean())


def contrast(values: Tensor) -> float:
    """Return the spread of values [images, outputs] by their magnitude, as a logarithm."""
    precise = values.double()
    return log(precise.std(dim=0).mean() / precise.abs().mean().clamp_min(SMALLEST))


def sameness(values: Tensor) -> float:
    """Return the log of 1 less the mean correlation between the rows of two images, of values [images, outputs].

    Where signals of different images converge, the network is in the ordered phase of Schoenholz et al., Deep
    Information Propagation (2017), and trains badly.
    """
    return log(1 - _mean_off_diagonal(_correlation(values)))


def swap(patterns: Sequence[Tensor]) -> float:
    """Return the log of how many distinct sample-wise activation patterns there are.

    A unit's pattern says for which images it is active. Peng et al., SWAP-NAS (ICLR 2024); of at most 62 images.

    Args:
        patterns: of each activation, whether its inputs are positive [images, units].
    """
    if not patterns:
        return math.nan
    units = torch.cat([one[:BITS] for one in patterns], dim=1)
    powers = 2 ** torch.arange(len(units), device=units.device)
    return log(len(torch.unique((units.long() * powers[:, None]).sum(dim=0))))


def swap_regularised(swap: float, params: float, centre: float, width: float) -> float:
    """Return SWAP's score (not its log) times a Gaussian function of the parameters, which favours a size of networks.

    Peng et al., SWAP-NAS (ICLR 2024), equation 6, with parameters in thousands.

    Args:
        swap: log10 of the number of patterns, as `swap` returns it.
        params: of the network, in thousands.
        centre: the favoured size, in thousands.
        width: square of the distance at which the factor is 1/e.
    """
    return float(10**swap * math.exp(-((params - centre) ** 2) / width))


def naswot(patterns: Sequence[Tensor]) -> float:
    """Return the log-determinant of the kernel that counts the units in which two images agree.

    Mellor et al., Neural Architecture Search without Training (ICML 2021). 1 is added to the diagonal, for images that
    agree in all units.

    Args:
        patterns: as of `swap`.
    """
    if not patterns:
        return math.nan
    kernel = _agreeing(patterns)
    return float(torch.linalg.slogdet(kernel + torch.eye(len(kernel)).to(kernel)).logabsdet)


def naswot_share(patterns: Sequence[Tensor]) -> float:
    """Return NASWOT's score of the share of units in which two images agree, which no longer grows with the units."""
    if not patterns:
        return math.nan
    kernel = _agreeing(patterns) / sum(one.shape[1] for one in patterns)
    return float(torch.linalg.slogdet(kernel + RIDGE * torch.eye(len(kernel)).to(kernel)).logabsdet)


def agreement(patterns: Sequence[Tensor]) -> float:
    """Return the share of units in which two images agree."""
    if not patterns:
        return math.nan
    return _mean_off_diagonal(_agreeing(patterns)) / sum(one.shape[1] for one in patterns)


def norms(tensors: Sequence[Tensor]) -> list[float]:
    """Return the logarithms of the Euclidean norms of tensors."""
    return [log(one.double().norm()) for one in tensors]


def total_norm(gradients: Sequence[Tensor]) -> float:
    """Return the log of the norm of all gradients: Abdelfattah et al., Zero-Cost Proxies (ICLR 2021)."""
    return log(math.sqrt(sum(float(one.double().square().sum()) for one in gradients)))


def snip(weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> float:
    """Return the log of the sum of |weight * gradient|: Lee et al., SNIP (ICLR 2019)."""
    return log(sum(float((w * g).abs().double().sum()) for w, g in zip(weights, gradients, strict=True)))


def input_norm(input_gradients: Tensor) -> float:
    """Return the log of the mean norm of the gradients by the images [images, values]."""
    return log(input_gradients.double().norm(dim=1).mean())


def input_covariance(input_gradients: Tensor) -> float:
    """Return how little the gradients by the images [images, values] correlate.

    It is -sum(log(e + k) + 1 / (e + k)) over the eigenvalues e of their correlation matrix: Mellor et al., Neural
    Architecture Search without Training (first version, 2020), `jacov` in Abdelfattah et al. (ICLR 2021).
    """
    correlation = _correlation(input_gradients)
    if not torch.isfinite(correlation).all():
        return math.nan
    eigenvalues = torch.linalg.eigvalsh(correlation).clamp_min(0) + JACOV_RIDGE
    return -float((eigenvalues.log() + 1 / eigenvalues).sum())


def synflow(module: nn.Module, shape: Sequence[int]) -> float:
    """Return the log of the sum of |weight * gradient| of a network of absolute weights that reads ones.

    Tanaka et al., Pruning Neural Networks without any Data (NeurIPS 2020). Batch normalisation takes its running
    statistics, which leave signals of an untrained network as they are.

    Args:
        module: stays as it is.
        shape: channels, height and width of an image.
    """
    found, buffers = state_of(module, torch.float64)
    weights = {name: one.detach().abs().requires_grad_() for name, one in found.items()}
    ones = torch.ones(1, *shape, dtype=torch.float64, device=next(iter(weights.values())).device)
    with mode(module, training=False):
        flow = functional_call(module, (weights, buffers), (ones,)).sum()
    gradients = torch.autograd.grad(flow, list(weights.values()), materialize_grads=True)
    return snip([one.detach() for one in weights.values()], gradients)


def descent(module: nn.Module, images: Tensor, labels: Tensor, steps: int) -> list[float]:
    """Return the logs of the cross-entropy of images before the first and after each step of gradient descent.

    How fast the training loss falls ranks networks: Ru et al., Speedy Performance Estimation (NeurIPS 2021).

    Args:
        module: stays as it is.
        images: [images, channels, height, width].
        labels: int64 [images].
        steps: how many.
    """
    weights, buffers = state_of(module)
    optimizer = torch.optim.SGD(weights.values(), LEARNING_RATE, MOMENTUM)
    losses = []
    with mode(module, training=True):
        for step in range(steps + 1):
            loss = F.cross_entropy(functional_call(module, (weights, buffers), (images,)), labels)
            losses.append(log(loss.detach()))
            if step < steps:
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(weights.values(), CLIP)
                optimizer.step()
    return losses


def _agreeing(patterns: Sequence[Tensor]) -> Tensor:
    """Return in how many units two images are both active or both not [images, images]."""
    counts = torch.zeros(len(patterns[0]), len(patterns[0]), dtype=torch.float64, device=patterns[0].device)
    for one in patterns:
        active = one.float()
        counts += active @ active.T + (1 - active) @ (1 - active).T
    return counts


def _correlation(rows: Tensor) -> Tensor:
    """Return the correlation of rows [rows, values] with each other [rows, rows]; 0 with a row that does not vary."""
    centred = rows.double() - rows.double().mean(dim=1, keepdim=True)
    scaled = centred / centred.norm(dim=1, keepdim=True).clamp_min(1e-300)
    product: Tensor = scaled @ scaled.T
    return product


def _mean_off_diagonal(matrix: Tensor) -> float:
    count = len(matrix)
    return float((matrix.sum() - matrix.trace()) / (count * (count - 1)))
