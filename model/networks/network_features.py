"""Hand features of whole networks, from the quantities of their layers.

Tabular models live on these; they are computed in the predictor's graph, from the codes alone.
"""

from collections.abc import Iterator

import torch

from model.networks.layer_features import ID, Quantities, log_scale
from model.shapes import Shape

KERNELS = (1, 2, 3, 4, 5)
# Shares of the image's positions that a feature map may have left: full, about a quarter, a sixteenth, less.
STAGES = ((0.5, 2.0), (0.1, 0.5), (0.02, 0.1), (0.0, 0.02))
AREAS = ((0, 9), (9, 36), (36, 81), (81, 300), (300, 1e9))
FIRST_CONVS, LAST_CONVS, FIRST_POOLS = 4, 3, 3

Features = Iterator[torch.Tensor]


def _at_least_one(counts: torch.Tensor) -> torch.Tensor:
    return torch.clamp(counts, min=1.0)


def _mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (values * mask).sum(1) / _at_least_one(mask.sum(1))


def _smallest(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the smallest masked value of values in 0 to 2; 0 where the mask is empty."""
    return (2 - (mask * (2 - values)).amax(1)) * (mask.sum(1) > 0)


def _totals(q: Quantities) -> Features:
    depth = q.present.sum(1)
    yield log_scale(q.params.sum(1))
    yield log_scale(q.flops.sum(1))
    yield log_scale(depth)
    for name in ID:
        count = q.is_kind(name).sum(1)
        yield log_scale(count)
        yield count / _at_least_one(depth)
    for size in KERNELS:
        yield log_scale((q.is_conv * (q.kernel_width == size)).sum(1))
        yield log_scale((q.is_pool * (q.kernel_width == size)).sum(1))
    yield _mean(q.kernel_width, q.is_conv) * 0.2
    yield _mean(q.kernel_height, q.is_conv) * 0.2
    yield log_scale(q.reach.amax(1))


def _widths(q: Quantities) -> Features:
    channels = log_scale(q.channels)
    change = (channels - log_scale(q.channels_in)) * q.is_conv
    mean = _mean(channels, q.is_conv)
    yield mean
    yield _mean((channels - mean.unsqueeze(1)) ** 2, q.is_conv) * 10
    yield (q.is_conv * channels).amax(1)
    yield _smallest(channels, q.is_conv)
    yield _mean(channels, q.is_conv + q.is_linear)
    yield torch.clamp(change, min=0).sum(1)
    yield torch.clamp(-change, min=0).sum(1)
    yield _mean(log_scale(q.flops), q.is_conv)
    yield _mean(log_scale(q.params), q.is_conv)
    yield log_scale(q.flops).amax(1)
    yield (q.is_linear * log_scale(q.params)).sum(1)


def _ending(q: Quantities) -> Features:
    depth = q.present.sum(1, keepdim=True)
    last = (torch.cumsum(q.present, dim=1) == depth).float() * q.present
    yield (last * log_scale(q.area)).sum(1)
    yield (last * log_scale(q.channels)).sum(1)
    yield (last * log_scale(q.channels * q.area)).sum(1)
    yield (last * q.dropout).sum(1)
    yield _mean(q.dropout, q.is_kind("dropout"))
    yield q.dropout.amax(1)


def _resolution(q: Quantities) -> Features:
    yield _mean(log_scale(q.area), q.present)
    yield _mean(log_scale(q.area), q.is_conv)
    for low, high in AREAS:
        inside = ((q.area > low) & (q.area <= high)).float()
        yield log_scale((q.is_conv * inside).sum(1))
        yield log_scale((q.params * inside).sum(1))


def _stages(q: Quantities, image: Shape) -> Features:
    share = q.area_in / (image.height * image.width)
    kernel = (q.kernel_width + q.kernel_height) / 2
    channels = log_scale(q.channels)
    for low, high in STAGES:
        stage = q.is_conv * ((share > low) & (share <= high))
        yield log_scale(stage.sum(1))
        yield log_scale((stage * (kernel > 1)).sum(1))
        yield log_scale((stage * (kernel >= 4)).sum(1))
        yield _mean(channels, stage)
        yield (stage * channels).amax(1)
        yield _smallest(channels, stage)
        yield _mean(kernel, stage) * 0.2
        yield log_scale((stage * q.flops).sum(1))
        yield log_scale((stage * q.params).sum(1))
        yield (stage * (kernel - 1)).sum(1) * 0.05


def _positions(q: Quantities) -> Features:
    kernel = (q.kernel_width + q.kernel_height) / 2
    channels = log_scale(q.channels)
    convs, pools = torch.cumsum(q.is_conv, dim=1), torch.cumsum(q.is_pool, dim=1)
    for place in range(1, FIRST_CONVS + 1):
        here = q.is_conv * (convs == place)
        yield (here * channels).sum(1)
        yield (here * kernel).sum(1) * 0.2
        yield (here * log_scale(q.area)).sum(1)
    from_end = q.is_conv.sum(1, keepdim=True) - convs
    for place in range(LAST_CONVS):
        here = q.is_conv * (from_end == place)
        yield (here * channels).sum(1)
        yield (here * kernel).sum(1) * 0.2
    for place in range(1, FIRST_POOLS + 1):
        here = q.is_pool * (pools == place)
        yield here.sum(1)
        yield (here * convs).sum(1) * 0.1
        yield (here * kernel).sum(1) * 0.2


def _neighbours(q: Quantities) -> Features:
    """Which layer follows which: where normalisation and saturation meet decides whether a deep stack trains at all."""
    following = torch.cat([q.kind[:, 1:], torch.zeros_like(q.kind[:, :1])], dim=1)
    sigmoid, tanh, relu = q.is_kind("sigmoid"), q.is_kind("tanh"), q.is_kind("relu")
    activations = sigmoid + tanh + relu
    yield _mean((following == ID["batch_norm"]).float(), q.is_conv)
    yield _mean(sigmoid, activations)
    yield _mean(sigmoid + tanh, activations)
    for name, mask in (("conv", q.is_conv), ("batch_norm", q.is_kind("batch_norm")), ("pool", q.is_pool)):
        for after in ("conv", "relu", "sigmoid", "tanh"):
            if (name, after) != ("batch_norm", "conv"):
                yield log_scale((mask * (following == ID[after])).sum(1))


def network_features(q: Quantities, image: Shape) -> torch.Tensor:
    """Return float32 [batch, features]."""
    groups = (_totals(q), _widths(q), _ending(q), _resolution(q), _stages(q, image), _positions(q), _neighbours(q))
    return torch.stack([feature.float() for group in groups for feature in group], dim=-1)
