"""Observations to an artifact: cross-validate, fit to everything, calibrate, export, prove parity, write the card."""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from model.artifact import ARRAYS_FILE, MEMBERS_FILE, Card, combine, digests, pack_arrays, write_artifact
from model.continuation import discard_continuation
from model.encoding.layer_code import CODES, LayerCode
from model.ensemble import Ensemble
from model.network.schema import MIN_FIT
from model.network.shapes import Shape
from model.predictors.export import TOLERANCE, TorchNetwork, largest_difference, opset, to_onnx
from model.proxy_reader import discard_proxies
from model.runtime import CurvePredictor
from training.fitting.calibrate import FOLDS, LEVEL, calibrate, coverage, cross_validate, mean_width
from training.fitting.describe import describe
from training.fitting.ensemble_config import EnsembleConfig
from training.fitting.fit_ensemble import fit_ensemble
from training.fitting.fit_peephole import LSTMConfig, fit_peephole
from training.fitting.out_of_fold import write_out_of_fold
from training.fitting.public_tasks import PUBLIC_TASKS
from training.metrics import ceiling, score
from training.observations.dataset import CurveDataset, image_of, task_of, to_dataset, training_split
from training.observations.observation import Observation, ObservationError
from training.observations.pretraining import pretraining_tables, without_held_out
from training.protocols import PROTOCOLS

BATCH = 500
Split = Literal["train", "all"]


@dataclass(frozen=True)
class Fitted:
    """A written artifact's card, and the networks that it was fitted to."""

    card: Card
    table: CurveDataset


def fit(
    observations: Sequence[Observation],
    out: Path,
    *,
    code_name: Literal["paper", "extended"] = "extended",
    task: str | None = None,
    resolution: int | None = None,
    in_channels: int | None = None,
    data: dict[str, Any] | None = None,
    split: Split = "all",
    pretraining: Sequence[Sequence[Observation]] = (),
    seed: int = 0,
    config: EnsembleConfig | None = None,
    description: str | None = None,
    on_fit: Callable[[str], None] = lambda step: None,
) -> Fitted:
    """Fit a predictor and write its artifact, and its out-of-fold predictions beside it.

    Args:
        observations: rows of one task, or of several with `task` given.
        out: the artifact's folder.
        code_name: `extended` fits the shipped ensemble, `paper` the paper's LSTM on Table 1's code.
        task: which rows.
        resolution: of the images, where the rows do not give it.
        in_channels: of the images, where the rows do not give it.
        data: the description of the table in the card (`training.observations.report`).
        split: `train` leaves out the test split (a third of the networks) and duplicates of its networks.
        pretraining: tables of other tasks, which ensemble members are trained on first. Rows of the task itself are
            left out, and so are each fold's networks and, with `split`, the test split.
        seed: fixes folds and initial weights.
        config: of the ensemble.
        description: one sentence for the card.
        on_fit: called with a description before each of the fits.

    Raises:
        ObservationError: when there is too little to learn from.
        OSError: when nothing can be written to `out`.
        RuntimeError: when ONNX and PyTorch disagree.
    """
    name, rows = task_of(observations, task)
    image = image_of(rows, resolution, in_channels)
    code = CODES[code_name]
    used, duplicates = training_split(rows, code, image) if split == "train" else (rows, 0)
    if not used:
        raise ObservationError("no network of the table belongs to the train split")
    table = to_dataset(used, code, image)
    if len(table) < MIN_FIT:
        raise ObservationError(f"{len(table)} distinct networks are too few to fit to; {MIN_FIT} is the least")
    if not table.duplicate_groups.any():
        raise ObservationError(f"all networks have one code in the {code.name} code; there is nothing to learn")
    settings = config or EnsembleConfig()
    others = pretraining_tables(pretraining, name, code, image, split)
    everything = to_dataset(rows, code, image) if others else table

    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=out):
        pass  # what cannot be written shows before anything is fitted

    def fit_once(part: CurveDataset, fold: int) -> CurvePredictor:
        on_fit(f"fold {fold + 1} of {FOLDS}" if fold < FOLDS else "all networks")
        if code_name == "paper":
            return fit_peephole(part, code, LSTMConfig(), seed=seed + fold)
        first = without_held_out(others, everything, part)
        return fit_ensemble(part, image, settings, seed=seed + 100 * fold, pretraining=first)

    validated = cross_validate(table, fit_once, seed=seed)
    predictor = calibrate(fit_once(table, FOLDS), validated)
    pretrained = without_held_out(others, everything, table)
    canonical = {row.network_id: row.canonical for part in (used, *pretraining) for row in part}
    listed = {
        name: canonical[name] for part in (table, *(one.table for one in pretrained)) for name in part.network_ids
    }
    on_fit("exporting")
    files, about_networks = _networks_of(predictor, table)
    created = datetime.now(UTC)
    files[ARRAYS_FILE] = pack_arrays(predictor.arrays())
    noise = ceiling(rows)
    features = predictor.family.scaler.names if isinstance(predictor.family, Ensemble) else ()
    card = Card(
        files=digests(files),
        task=name,
        version=f"{created:%Y.%m.%d}-{combine(digests(files))[:8]}",
        description=description or _description(name, table.epochs),
        family="lstm" if not features else "ensemble" if MEMBERS_FILE in files else "process",
        code=code_name,
        features=features,
        epochs=table.epochs,
        in_channels=image.channels,
        resolution=image.height,
        classes=_classes(name),
        training=_training(used, table, split, settings if code_name == "extended" else LSTMConfig())
        | ({"duplicates_left_out": duplicates} if duplicates else {})
        | ({"pretrained_on": {one.task: len(one.table) for one in pretrained}} if pretrained else {})
        | ({"networks_listed": len(listed)} if pretrained else {})
        | ({"data": data} if data else {}),
        metrics={
            "cross_validation": {
                "folds": len(np.unique(validated.fold)),
                "networks": len(table),
                **validated.metrics().rounded(),
                "interval_coverage": round(coverage(predictor, validated), 4),
                "interval_mean_width": round(mean_width(predictor, validated), 4),
            },
            **({"held_out": _held_out(predictor, rows, code, image)} if split == "train" else {}),
            **({"noise_ceiling": {key: round(value, 4) for key, value in asdict(noise).items()}} if noise else {}),
            **({"onnx_difference": about_networks.difference} if about_networks else {}),
        },
        interval_level=LEVEL,
        distance_threshold=predictor.calibration.threshold,
        layers=(int(table.lengths.min()), int(table.lengths.max())),
        opset=about_networks.opset if about_networks else None,
        created_at=created.isoformat(timespec="seconds"),
        about=describe(used, image),
    )
    discard_continuation(out)  # an earlier fit's
    discard_proxies(out)
    write_artifact(out, card, files, listed)
    write_out_of_fold(out, card, table, validated.predicted, validated.fold)
    return Fitted(card, table)


def _description(task: str, epochs: int) -> str:
    if task in PUBLIC_TASKS:
        return PUBLIC_TASKS[task].description
    return f"Learning curves of {task}." if epochs > 1 else f"Accuracies of {task}."


def _classes(task: str) -> int | None:
    if task in PROTOCOLS:
        return PROTOCOLS[task].classes
    return PUBLIC_TASKS[task].classes if task in PUBLIC_TASKS else None


def _held_out(
    predictor: CurvePredictor, rows: Sequence[Observation], code: LayerCode, image: Shape
) -> dict[str, float] | None:
    """Return figures on the test split; `None` where the table has none."""
    tested = [row for row in rows if row.split == "test"]
    if not tested:
        return None
    table = to_dataset(tested, code, image)
    parts = [table.rows(part) for part in np.array_split(np.arange(len(table)), -(-len(table) // BATCH))]
    epochs = range(1, table.epochs + 1)
    curves = [predictor.predict(part.codes, part.lengths, epochs) for part in parts]
    accuracy, lower, upper = (
        np.concatenate([getattr(part, name) for part in curves]) for name in ("accuracy", "lower", "upper")
    )
    inside = ((table.curves >= lower) & (table.curves <= upper))[~np.isnan(table.curves)]
    figures = score(table.curves, accuracy).rounded() | {"interval_coverage": round(float(inside.mean()), 4)}
    return {"networks": len(table)} | figures


class _Exported(NamedTuple):
    opset: int
    difference: float


def _networks_of(predictor: CurvePredictor, table: CurveDataset) -> tuple[dict[str, bytes], _Exported | None]:
    """Return the file of a predictor's neural networks, and their opset and parity; nothing where it has none."""
    if not isinstance(predictor.run, TorchNetwork):
        return {}, None
    model = to_onnx(predictor.run.module)
    encodings = [codes[:length] for codes, length in zip(table.codes, table.lengths, strict=True)]
    difference = largest_difference(predictor, model, encodings, table.epochs)
    if difference > TOLERANCE:
        raise RuntimeError(f"PyTorch and ONNX differ by {difference:.2g}, more than {TOLERANCE:g}; nothing was written")
    return {MEMBERS_FILE: model}, _Exported(opset(model), float(f"{difference:.2g}"))


def _training(
    rows: Sequence[Observation], table: CurveDataset, split: Split, config: EnsembleConfig | LSTMConfig
) -> dict[str, Any]:
    content = "\n".join(sorted(f"{row.network_id} {row.seed} {row.accuracy}" for row in rows))
    final = table.final
    limit = config.gp_networks if isinstance(config, EnsembleConfig) else len(table)
    return {
        "networks": len(table),
        "rows": len(rows),
        "split": split,
        "protocol": sorted({row.protocol for row in rows if row.protocol}),
        "observations_sha256": hashlib.sha256(content.encode()).hexdigest(),
        "final_accuracy": {
            "mean": round(float(final.mean()), 4),
            "std": round(float(final.std()), 4),
            "min": round(float(final.min()), 4),
            "max": round(float(final.max()), 4),
        },
        "config": asdict(config),
        **({"gaussian_process_scales_fitted_to": limit} if limit < len(table) else {}),
    }
