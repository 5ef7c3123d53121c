"""How honest intervals are outside the training set: a predictor of one part of a table predicts the other end."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from model.encoding.layer_code import EXTENDED
from model.network.shapes import Shape
from model.runtime import CurvePredictor
from training.fitting.calibrate import FOLDS, calibrate, cross_validate
from training.fitting.ensemble_config import PROCESS_ALONE
from training.fitting.fit_ensemble import fit_ensemble
from training.metrics import score
from training.observations.dataset import CurveDataset, carry_forward, to_dataset
from training.observations.read import read
from training.study.networks import Study, Task
from training.study.results import Row, rows_of

FITTED, PREDICTED = 0.5, 0.3  # shares of a table, from either end
VALUES: dict[str, Callable[[Task], NDArray[np.integer]]] = {
    "layers": lambda task: task.networks.table.lengths,
    "parameters": lambda task: _costs(task, "params"),
    "FLOPs": lambda task: _costs(task, "flops"),
}


def _costs(task: Task, name: str) -> NDArray[np.integer]:
    known = {row.network_id: getattr(row, name) for row in task.rows}
    return np.array([known[network_id] for network_id in task.networks.table.network_ids])


def fit_part(table: CurveDataset, image: Shape) -> CurvePredictor:
    """Return a calibrated predictor of a part of a table: a Gaussian process, whose members could not disagree."""

    def fit(part: CurveDataset, fold: int) -> CurvePredictor:
        return fit_ensemble(part, image, PROCESS_ALONE, seed=fold)

    return calibrate(fit(table, FOLDS), cross_validate(table, fit))


def extrapolation(study: Study) -> Iterator[Row]:
    """Coverage of 90 % intervals at one end of a table for a predictor of the other end, and of families for chains."""
    for task in study.own:
        table, image = task.networks.table, task.networks.image
        for what, value in VALUES.items():
            order = np.argsort(value(task), kind="stable")
            fitted, predicted = round(FITTED * len(order)), round(PREDICTED * len(order))
            for name, known, far in (
                (f"more {what}, fitted to fewer", order[:fitted], order[-predicted:]),
                (f"fewer {what}, fitted to more", order[-fitted:], order[:predicted]),
            ):
                yield from _measure(task, name, fit_part(table.rows(known), image), table.rows(far))
        families = study.root / "data" / "in_progress" / f"{task.name}-families.parquet"
        if families.exists():
            other = to_dataset(read(families), EXTENDED, image)
            yield from _measure(task, "families, fitted to chains", fit_part(table, image), other)


def _measure(task: Task, method: str, predictor: CurvePredictor, far: CurveDataset) -> Iterator[Row]:
    curves = predictor.predict(far.codes, far.lengths, range(1, far.epochs + 1))
    inside = (far.curves >= curves.lower) & (far.curves <= curves.upper)
    figures = {
        "coverage": inside[~np.isnan(far.curves)].mean(),
        "mean_width": (curves.upper - curves.lower).mean(),
        "distance": np.median(curves.distance) / predictor.calibration.threshold,
        "tau": score(carry_forward(far.curves), curves.accuracy).tau,
    }
    yield from rows_of("extrapolation", task.name, method, figures, networks=len(far), data_sha=task.data_sha)
