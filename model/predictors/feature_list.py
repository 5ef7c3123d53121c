"""Which hand features there are: sums over layers of a value where a mask holds, their logarithms, means and more.

The value "present" is 1 for every layer: its sum is the number of layers of a mask. Some masks and values are in no
feature; they are there because they stand in a block with others, which is cheaper to take as a whole.
"""

from collections.abc import Sequence

from .layer_features import COUNTS, LOG_SCALE, PLAIN
from .layer_flags import COUNTED, ID, KERNELS, RUNS, SIZES, SQUASHING
from .layer_masks import AREAS, FIRST_CONVS, FIRST_POOLS, LAST_CONVS, STAGE_NAMES

Sum = tuple[str, str]  # over the layers of a mask, of a value
FOLLOWERS = ("conv", "batch_norm", "relu", "sigmoid", "tanh")
RUN_NAMES = tuple(f"run of {name}" for name in (*RUNS, "linear conv"))
VALUES = (
    *(*SIZES, *COUNTED, "params", "flops", *(f"log {name}" for name in COUNTS), "log channels squared"),
    *(*PLAIN, "wider", "narrower", *(f"{name} so far" for name in (*RUNS, "linear conv")), *RUN_NAMES),
    *("walk", "walk down"),
)

SIGNAL_LOGS: tuple[Sum, ...] = (
    *(("last", name) for name in RUN_NAMES),
    *(("unnormalised", name) for name in RUNS),
    *((f"after {name}", name) for name in SQUASHING),
    *((f"after {name}", "batch_norm") for name in SQUASHING),
)
LOGS: tuple[Sum, ...] = (
    *(("present", value) for value in ("params", "flops", "present")),
    *((name, "present") for name in ID),
    *((name, f"kernel {size}") for name in ("conv", "pool") for size in KERNELS),
    *((f"area {number}", value) for value in ("conv", "params") for number in range(len(AREAS))),
    *((stage, value) for stage in STAGE_NAMES for value in ("present", "flops", "params", "larger", "large")),
    *((f"after {name}", follower) for name in ("conv", "batch_norm", "pool") for follower in FOLLOWERS),
    *SIGNAL_LOGS,
)
SUMS: dict[Sum, float] = {  # and a factor
    **{("conv", value): 1.0 for value in ("wider", "narrower")},
    ("linear", "log params"): 1.0,
    **{("last", value): 1.0 for value in ("log area", "log channels", "log volume", "dropout", "walk")},
    **{(stage, "margin"): 0.05 for stage in STAGE_NAMES},
    **{(f"conv {place}", "log area"): 1.0 for place in FIRST_CONVS},
    **{
        (f"{which} {place}", value): factor
        for which, places in (("conv", FIRST_CONVS), ("conv from the end", LAST_CONVS))
        for place in places
        for value, factor in (("log channels", 1.0), ("kernel", 0.2))
    },
    **{
        (f"pool {place}", value): factor
        for place in FIRST_POOLS
        for value, factor in (("present", 1.0), ("conv so far", 0.1), ("kernel", 0.2))
    },
}
MEANS: dict[tuple[str, str, str], float] = {  # a sum divided by the layers of another mask, and a factor
    **{(name, "present", "present"): 1.0 for name in ID},
    **{("conv", value, "conv"): 0.2 for value in ("kernel_width", "kernel_height")},
    **{("conv", f"log {name}", "conv"): 1.0 for name in ("flops", "params", "area")},
    ("weighted", "log channels", "weighted"): 1.0,
    ("dropout", "dropout", "dropout"): 1.0,
    ("present", "log area", "present"): 1.0,
    ("present", "walk", "present"): 1.0,
    **{(stage, value, stage): f for stage in STAGE_NAMES for value, f in (("log channels", 1.0), ("kernel", 0.2))},
    ("after conv", "batch_norm", "conv"): 1.0,
    **{(name, "present", "activation"): 1.0 for name in ("sigmoid", "tanh")},
    # The last makes a variance with the one before it and is no feature.
    ("conv", "log channels", "conv"): 1.0,
    ("conv", "log channels squared", "conv"): 1.0,
}
SPREAD = 10.0  # the variance's factor
EXTREMES = (
    *(f"{which} {name}" for which in ("widest", "narrowest") for name in ("conv", *STAGE_NAMES)),
    *("multiply-adds", "receptive field", "dropout", "rise of the signal", "fall of the signal"),
)
FEATURES = (
    *(f"log {value}: {mask}" for mask, value in LOGS),
    *(f"log longest {name}" for name in RUN_NAMES),
    *(f"{value}: {mask}" for mask, value in SUMS),
    *(f"mean {value}: {mask} of {of}" for mask, value, of in list(MEANS)[:-1]),
    "variance of log channels",
    *EXTREMES,
)
_OF_SIGNAL = {f"log {value}: {mask}" for mask, value in SIGNAL_LOGS}
SIGNAL = tuple(  # places in `FEATURES` of those that tell whether a signal survives
    place
    for place, name in enumerate(FEATURES)
    if name in _OF_SIGNAL or any(word in name for word in ("longest", "walk", "of the signal"))
)


def picked() -> list[Sequence[Sum]]:
    """Return the sums that become logarithms, are features, are divided, and the numbers of layers that divide them."""
    return [LOGS, tuple(SUMS), [entry[:2] for entry in MEANS], [(entry[2], "present") for entry in MEANS]]


def factors() -> list[float]:
    """Return what each of `FEATURES` is multiplied with, so that they are of one magnitude."""

    def scaled(value: str, factor: float) -> float:
        return factor * LOG_SCALE if value.startswith("log ") or value in {"wider", "narrower"} else factor

    logs = [LOG_SCALE] * (len(LOGS) + len(RUN_NAMES))
    sums = (scaled(value, factor) for (_, value), factor in SUMS.items())
    means = (scaled(value, factor) for (_, value, _), factor in list(MEANS.items())[:-1])
    extremes = (1.0 if name in PLAIN or "signal" in name else LOG_SCALE for name in EXTREMES)
    return [*logs, *sums, *means, SPREAD * LOG_SCALE**2, *extremes]
