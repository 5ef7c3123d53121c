"""Hand features of whole networks, from the quantities of their layers.

Tabular models live on these; they are computed in the predictor's graph, from the codes alone. Most are sums over
layers of a value where a mask holds, so one matrix product gives every such sum and the features pick from it.
"""

from collections.abc import Sequence

import torch

from model.networks.layer_features import Quantities, log_scale, repeated
from model.networks.layer_tables import (
    AREA_MASKS,
    AREAS,
    FOLLOWERS,
    ID,
    KERNELS,
    PAIRS,
    SIZES,
    STAGE_MASKS,
    STAGES,
    TRAITS,
)
from model.networks.signal_propagation import signal_features

FIRST_CONVS, LAST_CONVS, FIRST_POOLS = (1, 2, 3, 4), (1, 2, 3), (1, 2, 3)
PLACES = {"conv": FIRST_CONVS, "conv from the end": LAST_CONVS, "pool": FIRST_POOLS}

Named = tuple[list[str], torch.Tensor]  # names and what they stand for, [batch, layers, names]
Sum = tuple[str, str, float]  # over the layers of a mask, of a value, times a factor
Mean = tuple[str, str, str, float]  # the same, divided by the number of layers of another mask

STAGE_NAMES = [f"stage {number}" for number in range(len(STAGES))]
VALUES = (
    *("one", "params", "flops", "log_channels", "log_channels_2", "log_params", "log_flops", "log_area", "log_volume"),
    *(*SIZES[:-1], "wider", "narrower", "dropout", "convs"),
)

LOGS: list[tuple[str, str]] = [
    ("present", "params"),
    ("present", "flops"),
    *((name, "one") for name in ("present", *ID)),
    *((f"{name} of kernel {size}", "one") for name in ("conv", "pool") for size in KERNELS),
    *((f"conv on area {number}", "one") for number in range(len(AREAS))),
    *((f"area {number}", "params") for number in range(len(AREAS))),
    *((stage, value) for stage in STAGE_NAMES for value in ("one", "flops", "params")),
    *((f"{stage} {size}", "one") for stage in STAGE_NAMES for size in ("larger", "large")),
    *((f"{name} then {after}", "one") for name in ("conv", "batch_norm", "pool") for after in FOLLOWERS),
]
SUMS: list[Sum] = [
    ("conv", "wider", 1.0),
    ("conv", "narrower", 1.0),
    ("linear", "log_params", 1.0),
    *(("last", value, 1.0) for value in ("log_area", "log_channels", "log_volume", "dropout")),
    *((stage, "margin", 0.05) for stage in STAGE_NAMES),
    *((f"conv {place}", "log_area", 1.0) for place in FIRST_CONVS),
    *((f"conv {place}", value, f) for place in FIRST_CONVS for value, f in (("log_channels", 1.0), ("kernel", 0.2))),
    *(
        (f"conv from the end {place}", value, f)
        for place in LAST_CONVS
        for value, f in (("log_channels", 1.0), ("kernel", 0.2))
    ),
    *(
        (f"pool {place}", value, f)
        for place in FIRST_POOLS
        for value, f in (("one", 1.0), ("convs", 0.1), ("kernel", 0.2))
    ),
]
MEANS: list[Mean] = [
    *((name, "one", "present", 1.0) for name in ID),
    *(("conv", value, "conv", factor) for value, factor in (("kernel_width", 0.2), ("kernel_height", 0.2))),
    *(("conv", value, "conv", 1.0) for value in ("log_channels", "log_flops", "log_params", "log_area")),
    ("weighted", "log_channels", "weighted", 1.0),
    ("dropout", "dropout", "dropout", 1.0),
    ("present", "log_area", "present", 1.0),
    *((stage, value, stage, f) for stage in STAGE_NAMES for value, f in (("log_channels", 1.0), ("kernel", 0.2))),
    ("conv then batch_norm", "one", "conv", 1.0),
    ("sigmoid", "one", "activation", 1.0),
    ("tanh", "one", "activation", 1.0),
]


def _places(q: Quantities) -> torch.Tensor:
    """Return which of the first or last convolutions, or of the first pools, a layer is, [batch, layers, PLACES]."""
    convs, pools = q.summed_between("conv", "conv"), q.summed_between("pool", "pool")
    from_end = convs.amax(1, keepdim=True) - convs + 1
    counted = torch.cat([convs * q.is_conv, from_end * q.is_conv, pools * q.is_pool], dim=-1)
    which = [column for column, numbers in enumerate(PLACES.values()) for _ in numbers]
    wanted = [float(number) for numbers in PLACES.values() for number in numbers]
    return (repeated(counted, which) == torch.tensor(wanted)).float()


def _masks(q: Quantities) -> list[Named]:
    return [
        (list(TRAITS), q.traits),
        (["last"], q.is_last),
        (list(STAGE_MASKS), q.stages),
        (list(AREA_MASKS), q.areas),
        ([f"{name} {number}" for name, numbers in PLACES.items() for number in numbers], _places(q)),
        (list(PAIRS), q.pairs),
    ]


def _values(q: Quantities) -> torch.Tensor:
    change = q.log_channels - q.log_channels_in
    columns = {
        "one": torch.ones_like(q.present),
        "params": q.params,
        "flops": q.flops,
        "log_channels": q.log_channels,
        "log_channels_2": q.log_channels * q.log_channels,
        "log_params": q.log_params,
        "log_flops": q.log_flops,
        "log_area": q.log_area,
        "log_volume": q.log_volume,
        "sizes": q.sizes,
        "wider": torch.clamp(change, min=0),
        "narrower": torch.clamp(-change, min=0),
        "dropout": q.dropout,
        "convs": q.summed_between("conv", "conv"),
    }
    return torch.cat(list(columns.values()), dim=-1)


def _extremes(q: Quantities, counts: torch.Tensor) -> torch.Tensor:
    """Largest and smallest widths of all convolutions and of each stage, and the largest of other values."""
    masks = torch.cat([q.is_conv, q.stages[:, :, : len(STAGES)]], dim=-1)
    widths = q.log_channels  # at most 1.4
    others = torch.cat([q.log_reach, q.log_flops, q.dropout], dim=-1)
    found = torch.cat([masks * widths, masks * (2 - widths), others], dim=-1).amax(1)
    largest, from_two, largest_others = found.split([5, 5, 3], dim=1)
    return torch.cat([largest, (2 - from_two) * torch.clamp(counts, max=1.0), largest_others], dim=1)


def network_features(q: Quantities) -> torch.Tensor:
    """Return float32 [batch, features]; the first two are the parameters and the multiply-adds on a log scale."""
    blocks = _masks(q)
    names = [name for block, _ in blocks for name in block]
    masks = torch.cat([mask for _, mask in blocks], dim=-1)
    sums = (masks.transpose(1, 2) @ _values(q)).flatten(1)

    def pick(pairs: Sequence[tuple[str, str]]) -> torch.Tensor:
        places = [names.index(mask) * len(VALUES) + VALUES.index(value) for mask, value in pairs]
        return torch.index_select(sums, 1, torch.tensor(places))

    def counts(masks: Sequence[str]) -> torch.Tensor:
        return pick([(mask, "one") for mask in masks])

    convolutions = counts(["conv", *STAGE_NAMES])
    mean = pick([("conv", "log_channels"), ("conv", "log_channels_2")]) / torch.clamp(convolutions[:, :1], min=1.0)
    parts = [
        log_scale(pick(LOGS)),
        pick([entry[:2] for entry in SUMS]) * torch.tensor([factor for *_, factor in SUMS]),
        pick([entry[:2] for entry in MEANS])
        / torch.clamp(counts([entry[2] for entry in MEANS]), min=1.0)
        * torch.tensor([factor for *_, factor in MEANS]),
        (mean[:, 1:] - mean[:, :1] ** 2) * 10,
        _extremes(q, convolutions),
        signal_features(q),
    ]
    return torch.cat(parts, dim=1)
