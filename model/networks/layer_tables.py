"""What follows from one or two small integers of a layer, as tables: one look-up instead of many comparisons.

On batches the cost of the predictor's graph is its passes over all layers; a row of thirty numbers is looked up in less
time than one product of two columns takes.
"""

from collections.abc import Iterable, Sequence

import torch

from model.shapes import Shape
from model.ulc import EXTENDED

ID = {name: row.id for name, row in EXTENDED.rows.items()}
KINDS = len(ID) + 1  # 0 is no layer
SIDES = EXTENDED.largest_kernel + 1
SQUASHING = ("sigmoid", "tanh", "relu")
FOLLOWERS = ("conv", "batch_norm", "relu", "sigmoid", "tanh")
KERNELS = (1, 2, 3, 4, 5)
# Change of the signal's log standard deviation at one layer: half of log 2 and, for the saturating two, a round guess.
GAINS = {"conv": 0.35, "relu": -0.35, "sigmoid": -3.0, "tanh": -1.0}
# Shares of the image's positions that a feature map may have left: full, about a quarter, a sixteenth, less.
STAGES = ((0.5, 2.0), (0.1, 0.5), (0.02, 0.1), (0.0, 0.02))
AREAS = ((0, 9), (9, 36), (36, 81), (81, 300), (300, 1e9))

# Those that are read together stand together.
STEPS = ("conv", *SQUASHING, "pool", "gain", "conv again")
RESETS = ("batch_norm", "activation")
OTHERS = ("max_pool", "avg_pool", "dropout", "global_avg_pool")
TRAITS = (
    *("linear", "present", "weighted", *RESETS, *STEPS, *OTHERS),
    *(f"{name} of kernel {size}" for name in ("conv", "pool") for size in KERNELS),
)
PAIRS = (
    *(f"{name} then {after}" for name in ("conv", "batch_norm", "pool") for after in FOLLOWERS),
    *(f"{name} again" for name in SQUASHING),
    *(f"{name} then normalised" for name in SQUASHING),
)
SIZES = ("kernel", "kernel_width", "kernel_height", "margin", "window")
STAGE_MASKS = tuple(
    f"{stage}{size}" for size in ("", " larger", " large") for stage in (f"stage {n}" for n in range(len(STAGES)))
)
AREA_MASKS = tuple(f"{of}area {number}" for of in ("", "conv on ") for number in range(len(AREAS)))


def _table(names: Sequence[str], rows: Iterable[dict[str, float]]) -> torch.Tensor:
    return torch.tensor([[row.get(name, 0.0) for name in names] for row in rows])


def _names(kind: str | None) -> set[str]:
    """Return a kind and the classes that it belongs to."""
    if kind is None:
        return set()
    classes = {
        "pool": kind in {"max_pool", "avg_pool"},
        "activation": kind in SQUASHING,
        "weighted": kind in {"conv", "linear"},
    }
    return {kind, "present", *(name for name, holds in classes.items() if holds)}


def _each_kind() -> list[str | None]:
    by_id = {number: name for name, number in ID.items()}
    return [by_id.get(number) for number in range(KINDS)]


def traits() -> torch.Tensor:
    """Return `TRAITS` by kind and kernel width, [KINDS * SIDES, traits]."""
    rows = []
    for kind in _each_kind():
        for size in range(SIDES):
            found = _names(kind)
            found |= {f"{name} of kernel {size}" for name in ("conv", "pool") if name in found}
            gain = {"gain": GAINS.get(kind or "", 0.0), "conv again": float(kind == "conv")}
            rows.append(dict.fromkeys(found, 1.0) | gain)
    return _table(TRAITS, rows)


def pairs() -> torch.Tensor:
    """Return `PAIRS` by kind and the next layer's kind, [KINDS * KINDS, pairs]."""
    rows = []
    for kind in _each_kind():
        for after in _each_kind():
            found = {f"{name} then {after}" for name in _names(kind)}
            if kind == after:
                found.add(f"{kind} again")
            if after == "batch_norm":
                found.add(f"{kind} then normalised")
            rows.append(dict.fromkeys(found, 1.0))
    return _table(PAIRS, rows)


def sizes() -> torch.Tensor:
    """Return `SIZES` by kernel width and height, [SIDES * SIDES, sizes]."""
    rows = []
    for width in range(SIDES):
        for height in range(SIDES):
            kernel = (width + height) / 2
            rows.append(dict(zip(SIZES, (kernel, width, height, kernel - 1, width * height), strict=True)))
    return _table(SIZES, rows)


def stage_masks(image: Shape) -> torch.Tensor:
    """Return `STAGE_MASKS` by the positions before a convolution and its size, [3 * (positions + 1), masks].

    Row 3 * positions + size, where size is 0 for kernels of one position, 2 from four by four on, and 1 between.
    """
    rows: list[dict[str, float]] = []
    whole = image.height * image.width
    for positions in range(whole + 1):
        stage = next((n for n, (low, high) in enumerate(STAGES) if low < positions / whole <= high), None)
        known = [] if stage is None else [f"stage {stage}", f"stage {stage} larger", f"stage {stage} large"]
        rows += [dict.fromkeys(known[: size + 1], 1.0) for size in range(3)]
    return _table(STAGE_MASKS, rows)


def kernel_sizes() -> torch.Tensor:
    """Return 0, 1 or 2 as `stage_masks` counts them, by kernel width and height, int64 [SIDES * SIDES]."""
    sums = torch.arange(SIDES).unsqueeze(1) + torch.arange(SIDES)
    return ((sums > 2).long() + (sums >= 8).long()).flatten()


def area_masks(image: Shape) -> torch.Tensor:
    """Return `AREA_MASKS` by twice the positions behind a layer, and one more at a convolution, [.., masks]."""
    rows = []
    for positions in range(image.height * image.width + 1):
        area = next((n for n, (low, high) in enumerate(AREAS) if low < positions <= high), None)
        known = [] if area is None else [f"area {area}", f"conv on area {area}"]
        rows += [dict.fromkeys(known[: 1 + conv], 1.0) for conv in (0, 1)]
    return _table(AREA_MASKS, rows)
