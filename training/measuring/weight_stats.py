"""Statistics of a network's weights, per tensor (Unterthiner et al., arXiv 2002.11448)."""

import torch
from torch import nn

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
NAMES = ("mean", "variance", *(f"quantile_{int(100 * q)}" for q in QUANTILES))
_SIGNIFICANT_DIGITS = 6


@torch.no_grad()
def weight_statistics(network: nn.Module) -> dict[str, list[float]]:
    """Return, per parameter tensor, its mean, variance and quantiles in the order of `NAMES`.

    Tensors are named as in the module: `layer3.weight` belongs to the layer at index 3 of the layer list,
    `head.bias` to the classifier. A tensor with a value that is not finite has no entry.
    """
    statistics = {}
    for name, parameter in network.named_parameters():
        values = parameter.detach().float().flatten()
        if not torch.isfinite(values).all():
            continue
        quantiles = torch.quantile(values, torch.tensor(QUANTILES, device=values.device))
        numbers = [float(values.mean()), float(values.var(correction=0)), *quantiles.tolist()]
        statistics[name] = [float(f"{number:.{_SIGNIFICANT_DIGITS}g}") for number in numbers]
    return statistics
