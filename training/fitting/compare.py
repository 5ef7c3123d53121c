"""Whether a fitted predictor beats the context model of the same networks: both predict the folds of one split."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.loaded import Model
from model.network.schema import MAX_ARCHITECTURES
from model.network.shapes import Shape
from model.requests.in_context import InContext
from model.requests.schema import Candidate, PredictRequest
from training.fitting.out_of_fold import KeptPredictions
from training.metrics import Floats, final_error, rounded
from training.observations.context import context_of
from training.observations.dataset import carry_forward
from training.observations.observation import Observation


@dataclass(frozen=True)
class Comparison:
    """Figures of final accuracies, the mean over folds: `tau`, `r2`, `mse` and `mae` by name.

    Attributes:
        artifact: of the fitted predictor.
        context: of the context model.
    """

    artifact: dict[str, float]
    context: dict[str, float]

    @property
    def artifact_is_better(self) -> bool:
        """Whether the predictor has the higher tau; of equal ones, the smaller error."""
        mine, other = self.artifact, self.context
        return (mine["tau"], -mine["mae"]) > (other["tau"], -other["mae"])


def compare_with_context(
    rows: Sequence[Observation],
    kept: KeptPredictions,
    image: Shape,
    models: Mapping[str, Model],
    *,
    prior: str | None,
    scored: bool = False,
    on_fold: Callable[[str], None] = lambda step: None,
) -> Comparison:
    """Predict each fold by the context model of the other folds, as the service does, and compare.

    Args:
        rows: what the predictor was fitted to, in the order in which it was added.
        kept: the predictor's out-of-fold predictions.
        image: of the task.
        models: that may be the prior, by task.
        prior: of the task: one of the models, "auto" or none.
        scored: whether the predictor reads the networks' zero-cost scores; then the context model does, too.
        on_fold: called with a description before each fold.

    Raises:
        InvalidRequestError: when the context cannot be used, for instance because the prior is not among the models.
    """
    answering = InContext()
    place = {name: index for index, name in enumerate(kept.network_ids)}
    layers = {row.network_id: row.layers for row in rows}
    scores = {row.network_id: row.proxies for row in rows if row.proxies and scored}
    measured = carry_forward(kept.measured)[:, -1]
    predicted = np.empty(len(measured))
    folds = [np.flatnonzero(kept.fold == number) for number in np.unique(kept.fold)]
    for number, held_out in enumerate(folds, start=1):
        on_fold(f"context model, fold {number} of {len(folds)}")
        others = [row for row in rows if kept.fold[place[row.network_id]] != kept.fold[held_out[0]]]
        context = context_of(others)
        for start in range(0, len(held_out), MAX_ARCHITECTURES):
            part = held_out[start : start + MAX_ARCHITECTURES]
            asked: list[Candidate] = [
                {"layers": layers[kept.network_ids[index]], "proxies": scores.get(kept.network_ids[index], {})}
                for index in part
            ]
            document = PredictRequest(
                architectures=asked,
                context=context,
                input=(image.channels, image.height, image.width),
                prior=prior,
            )
            found, _ = answering.answer(document, models, max_architectures=MAX_ARCHITECTURES, max_layers=10**6)
            predicted[part] = [one["final_accuracy"] for one in found["predictions"]]
    finals = carry_forward(np.where(np.isnan(kept.measured), np.nan, kept.predicted))[:, -1]
    return Comparison(*(_mean_over_folds(measured, values, folds) for values in (finals, predicted)))


def _mean_over_folds(measured: Floats, predicted: Floats, folds: Sequence[np.ndarray]) -> dict[str, float]:
    each = [final_error(measured[fold], predicted[fold]) for fold in folds]
    return rounded({name: float(np.nanmean([one[name] for one in each])) for name in each[0]})
