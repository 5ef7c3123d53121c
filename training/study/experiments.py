"""The experiments of the study: each measures figures, which are kept in one table."""

from collections.abc import Callable, Iterator
from itertools import chain, groupby

from training.study import (
    ablation,
    baselines,
    early_stopping,
    extrapolation,
    in_context,
    proxies,
    rivals,
    shipped,
    spaces,
    weights,
)
from training.study.networks import Study, artifact_sha
from training.study.results import Row, read_results, record

Experiment = Callable[[Study], Iterator[Row]]
QUICK: tuple[Experiment, ...] = (  # fit nothing: measured for every report
    shipped.population,
    shipped.noise_ceiling,
    shipped.held_out_networks,
    shipped.cross_validation,
    shipped.continuation,
    shipped.other_tasks,
    shipped.found_networks,
    proxies.with_proxies,
)
REFITS: dict[str, Experiment] = {
    "baselines": baselines.baselines,
    "during-training": baselines.during_training,
    "learning-curve": ablation.learning_curve,
    "ablation": ablation.ablation,
    "early-stopping": early_stopping.early_stopping,
    "extrapolation": extrapolation.extrapolation,
    "in-context": in_context.in_context,
    "proxies": proxies.proxies,
    "rivals": rivals.rivals,
    "spaces": spaces.spaces,
    "weights": weights.weights,
    "weights-far": weights.weights_far,
}


def measure_quick(study: Study) -> None:
    """Measure everything that needs no fit, and record it."""
    record(study.results, chain.from_iterable(experiment(study) for experiment in QUICK))


def measure(name: str, study: Study, on_step: Callable[[str], None] = lambda step: None) -> None:
    """Run an experiment that fits; what is measured of a method is recorded at once."""
    for key, rows in groupby(REFITS[name](study), key=lambda row: row[:3]):
        record(study.results, rows)
        on_step(", ".join(key))


def outdated(study: Study) -> list[str]:
    """Return which figures of the tasks at hand belong to an older table or an older predictor."""
    results = read_results(study.results)
    tables = {task.data_sha for task in study.tasks.values()}
    artifacts = {artifact_sha(card) for card in study.cards()}
    of_older = ~results.data_sha.isin({*tables, ""}) | ~results.artifact_sha.isin({*artifacts, ""})
    rows = results[of_older & results.task.isin(list(study.tasks))]
    return [f"{experiment} of {task}" for experiment, task in sorted(set(zip(rows.experiment, rows.task, strict=True)))]
