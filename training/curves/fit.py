"""Measured curves and out-of-fold predictions to `continuation.onnx`: fit, gate, calibrate, export, prove parity."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model.artifact import Card, digest
from model.continuation import (
    CONTINUATION_INPUTS,
    CONTINUATION_OUTPUTS,
    NO_PRIOR,
    Continuation,
    ContinuationCard,
    write_continuation,
)
from model.predictors.chance_level import ChanceLevel
from model.predictors.curve_continuation import ContinuationModule, CurveContinuation
from model.predictors.export import OPSET, TOLERANCE, serialised
from model.predictors.milestones import Milestones, milestones
from training.curves.figures import figures
from training.curves.kernels import Kernels, add_kernels
from training.curves.ridges import CrossFitted, cross_fit, final_quantiles, fit_ridges, gate, logit, margins
from training.fitting.calibrate import LEVEL
from training.fitting.chance_level import fit_chance_level

Floats = NDArray[np.floating]


def to_onnx(module: ContinuationModule) -> bytes:
    """Export a continuation; the batch stays dynamic."""
    epochs = module.epochs
    example = (torch.full((2, epochs), 0.5), torch.tensor([1, 2], dtype=torch.int32), torch.full((2, epochs), 0.5))
    program = torch.onnx.export(
        module.eval(),
        (*example, torch.tensor([0.5, 0.6])),
        dynamo=True,
        opset_version=OPSET,
        input_names=CONTINUATION_INPUTS,
        output_names=CONTINUATION_OUTPUTS,
        dynamic_shapes=tuple({0: torch.export.Dim("batch", min=1)} for _ in CONTINUATION_INPUTS),
        optimize=True,
        verbose=False,
    )
    return serialised(program)


def largest_difference(module: ContinuationModule, continuation: Continuation, curves: Floats, prior: Floats) -> float:
    """Return the largest difference between PyTorch and ONNX Runtime over all prefixes, with the prior and without."""
    worst = 0.0
    filled = np.nan_to_num(curves, nan=0.5)
    best = np.full(len(curves), float(np.median(filled[:, -1])))
    for seen in range(1, curves.shape[1] + 1):
        cut = np.where(np.arange(curves.shape[1]) < seen, filled, 0.0)
        for known in (prior, np.full_like(prior, NO_PRIOR)):
            expected = module.run(cut, np.full(len(cut), seen, dtype=np.int32), known, best)
            given = np.where(known < 0, np.nan, known)
            got = continuation.run([row[:seen].tolist() for row in cut], prior=given, best=best.tolist())
            for name in ("accuracy", "lower", "upper"):
                worst = max(worst, float(np.abs(getattr(expected, name) - getattr(got, name)).max()))
    return worst


def _kernel_arrays(kernels: list[Kernels]) -> tuple[Floats, Floats, Floats, Floats]:
    """Return points with their prior, scales, coefficients, and constants with shares, as the module takes them."""
    points = np.stack([kernels[-1].points, kernels[-1].prior])
    ends = np.stack([np.stack([kernel.constant, kernel.share], axis=-1) for kernel in kernels])
    return points, np.stack([k.scale for k in kernels]), np.stack([k.coefficients for k in kernels]), ends


def _chance_level_arrays(chance_levels: list[list[ChanceLevel]]) -> Floats:
    """Return levels and thresholds, as the module takes them."""
    names = ("levels", "thresholds")
    return np.array([[[getattr(one, name) for one in each] for each in chance_levels] for name in names])


def _fit_known(curves: Floats, prior: Floats, fold: NDArray[np.intp]) -> tuple[CurveContinuation, list[CrossFitted]]:
    logits, before = logit(curves), logit(prior)
    everyone = np.ones(len(curves), dtype=bool)
    weights, widths, quantiles, crossings, chance_levels = [], [], [], [], []
    kernels: list[Kernels] = []
    for known in (None, before):
        crossed = cross_fit(logits, known, fold)
        ridges = fit_ridges(logits, known)
        gate(ridges, crossed, logits, known)
        crossed, kernel = add_kernels(crossed, logits, known, fold)
        kernels.append(kernel)
        weights.append(ridges.weights)
        widths.append(margins(crossed, everyone))
        quantiles.append(final_quantiles(crossed, everyone))
        crossings.append(crossed)
        chance_levels.append(
            [fit_chance_level(*each) for each in zip(crossed.measured, crossed.unsnapped, strict=True)]
        )
    module = CurveContinuation(
        np.stack(weights),
        np.stack(widths),
        np.stack(quantiles),
        *_kernel_arrays(kernels),
        _chance_level_arrays(chance_levels),
    )
    return module, crossings


def fit_module(curves: Floats, prior: Floats, fold: NDArray[np.intp]) -> tuple[ContinuationModule, list[CrossFitted]]:
    """Fit all parts without the prior and with it; return the module and out-of-fold continuations.

    Of long curves only the milestones are fitted, and the out-of-fold continuations are of those.

    Args:
        curves: measured accuracies [networks, epochs], NaN where not measured.
        prior: predicted before training by predictors not fitted to the network, same shape.
        fold: of the cross-validation that `prior` comes from [networks].
    """
    at = milestones(curves.shape[1])
    known, crossings = _fit_known(curves[:, at - 1], prior[:, at - 1], fold)
    return (known if len(at) == curves.shape[1] else Milestones(known, at)), crossings


def fit_continuation(
    folder: Path, predictor: Card, curves: Floats, prior: Floats, fold: NDArray[np.intp]
) -> ContinuationCard:
    """Fit a continuation and write it beside the predictor that it continues.

    Args:
        folder: the artifact's.
        predictor: the artifact's card.
        curves: measured accuracies [networks, epochs], NaN where not measured.
        prior: out-of-fold predictions of the same networks (`training.calibrate.OutOfFold.predicted`).
        fold: which fold predicted each network.

    Raises:
        RuntimeError: when ONNX and PyTorch disagree; nothing is written.
    """
    module, crossings = fit_module(curves, prior, fold)
    model = to_onnx(module)
    card = ContinuationCard(
        task=predictor.task,
        epochs=curves.shape[1],
        predictor_sha256=predictor.sha256,
        interval_level=LEVEL,
        training={"networks": len(curves), "folds": len(np.unique(fold))},
        metrics=figures(curves, prior, crossings),
        sha256=digest(model),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    difference = largest_difference(module, Continuation(card, model), curves, prior)
    if difference > TOLERANCE:
        raise RuntimeError(f"PyTorch and ONNX differ by {difference:.2g}, more than {TOLERANCE:g}; nothing was written")
    card = card.model_copy(update={"metrics": {**card.metrics, "onnx_difference": float(f"{difference:.2g}")}})
    write_continuation(folder, card, model)
    return card
