"""Experiments that fit nothing: the measured tables themselves, and the shipped predictors on held-out networks."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from model.continuation import read_continuation
from model.encoding.layer_code import encode, pad
from model.network.graph import costs, resolve
from training.fitting.evaluate import BATCH, Evaluation
from training.metrics import ceiling, final_error, score, tau
from training.observations.dataset import Floats, to_dataset
from training.observations.observation import Observation
from training.observations.read import read
from training.study.limits import (
    ceiling_interval,
    found_of_best,
    random_regret,
    regret,
    tau_interval,
    trainable,
    untied_ceiling,
)
from training.study.networks import Study, artifact_sha
from training.study.results import Row, rows_of

SHIPPED = "Peephole, shipped"
LEARNING = "Peephole, shipped, on networks that learn"
ORIGINS = {"selected": "selected", "random": "random", "vgg": "VGG-style"}
PICKS = (1, 5, 10)
SEEN = (1, 2, 5, 8)
CONTINUED = {  # by the name in a continuation's card
    "before_training": "Peephole, before training",
    "with_prior": "Peephole, curve and layers",
    "curve_only": "Peephole, curve alone",
    "last_seen_value": "last seen value",
}


def population(study: Study) -> Iterator[Row]:
    """Final accuracies in the splits (the paper's Table 2), and what a network costs on each device."""
    for task in study.own:
        for split in ("train", "test"):
            finals = list(_finals(task.split(split)).values())
            figures = {"mean": np.mean(finals), "std": np.std(finals), "min": min(finals), "max": max(finals)}
            yield from rows_of("population", task.name, split, figures, networks=len(finals), data_sha=task.data_sha)
        for device in sorted({row.device for row in task.rows if row.device and row.seconds}):
            runs = [row for row in task.rows if row.device == device]
            seconds = [row.seconds for row in runs if row.seconds]
            figures = {"runs": len(runs), "median_seconds": np.median(seconds), "mean_seconds": np.mean(seconds)}
            figures["failed_share"] = np.mean([row.status == "failed_to_train" for row in runs])
            yield from rows_of("cost", task.name, device, figures, data_sha=task.data_sha)


def _finals(rows: Sequence[Observation]) -> dict[str, float]:
    """Return the mean final accuracy of each network."""
    finals: dict[str, list[float]] = {}
    for row in rows:
        finals.setdefault(row.network_id, []).append(row.accuracy[-1])
    return {name: float(np.mean(values)) for name, values in finals.items()}


def noise_ceiling(study: Study) -> Iterator[Row]:
    """How well one training run of a network predicts its other runs."""
    for task in study.own:
        for method, rows in (("all networks", task.rows), ("networks that learn", trainable(task.rows))):
            if (found := ceiling(rows)) is None:
                continue
            low, high = ceiling_interval(rows)
            figures = {"tau": found.tau, "tau_low": low, "tau_high": high, "tau_untied": untied_ceiling(rows)}
            figures |= {"r2": found.r2, "best_r2": found.best_r2, "noise": found.noise, "spread": found.spread}
            shas = {"networks": found.networks, "data_sha": task.data_sha}
            yield from rows_of("noise-ceiling", task.name, method, figures, **shas)


def picking(measured: Floats, predicted: Floats) -> dict[str, float]:
    """Return points of accuracy lost by training only the networks predicted best, and the share of the best found."""
    lost = {f"regret_{k}": 100 * regret(measured, predicted, k) for k in PICKS}
    return lost | {"best_found": found_of_best(measured, predicted)}


def held_out_networks(study: Study) -> Iterator[Row]:
    """The shipped predictors on the test splits: errors, intervals, picking."""
    for task in study.own:
        if (found := task.evaluation) is None:
            continue
        final, predicted = found.table.final, found.predicted[:, -1]
        add = partial(rows_of, task=task.name, networks=len(final), **task.shas)
        parts = {"test-split": (SHIPPED, task.rows), "test-split-learning": (LEARNING, trainable(task.rows))}
        for experiment, (method, rows) in parts.items():
            chosen = np.isin(found.table.network_ids, [row.network_id for row in rows])
            error, noise = score(found.table.curves[chosen], found.predicted[chosen]), ceiling(rows)
            low, high = tau_interval(final[chosen], predicted[chosen])
            figures = asdict(error) | {"tau_low": low, "tau_high": high}
            figures["of_ceiling"] = error.tau / noise.tau if noise else None
            figures |= _interval(found, slice(None), chosen)
            yield from add(experiment=experiment, method=method, figures=figures, networks=int(chosen.sum()))
        for part, epochs in (("all epochs", slice(None)), ("first epoch", slice(1)), ("last epoch", slice(-1, None))):
            yield from add(experiment="intervals", method=part, figures=_interval(found, epochs))
        yield from add(experiment="picking", method=SHIPPED, figures=picking(final, predicted))
        at_random = {f"regret_{k}": 100 * random_regret(final, k) for k in PICKS} | {"best_found": 0.1}
        yield from add(experiment="picking", method="at random, expected", figures=at_random)


def _interval(found: Evaluation, epochs: slice, chosen: Any = slice(None)) -> dict[str, float]:
    """Return coverage and widths of the intervals of some epochs of some networks."""
    measured, lower, upper = (part[chosen, epochs] for part in (found.table.curves, found.lower, found.upper))
    inside = ((measured >= lower) & (measured <= upper))[~np.isnan(measured)]
    width = upper - lower
    return {"coverage": inside.mean(), "mean_width": width.mean(), "median_width": np.median(width)}


def cross_validation(study: Study) -> Iterator[Row]:
    """The shipped predictors and continuations, cross-validated, and on networks kept aside: of the cards."""
    for card in study.cards():
        add = partial(rows_of, task=card.task, artifact_sha=artifact_sha(card))
        found = {name.removeprefix("interval_"): value for name, value in card.metrics["cross_validation"].items()}
        networks, _ = found.pop("networks"), found.pop("folds")
        yield from add("cross-validation", method=SHIPPED, figures=found, networks=networks)
        if held_out := dict(card.metrics.get("held_out") or {}):
            found = {name.removeprefix("interval_"): value for name, value in held_out.items()}
            networks = found.pop("networks")
            yield from add("held-out", method=SHIPPED, figures=found, networks=networks)
        if (continued := read_continuation(study.zoo / card.task)) is None:
            continue
        entries = [entry for entry in continued.card.metrics.values() if isinstance(entry, dict)]
        for name, method in CONTINUED.items():
            for entry in entries:
                seen = {"epochs_seen": entry["epochs_seen"], "networks": continued.card.training["networks"]}
                yield from add("during-training", method=method, figures=entry[name], **seen)


def continuation(study: Study) -> Iterator[Row]:
    """The shipped continuations on the test splits."""
    for task in study.own:
        continued, predictor = read_continuation(task.artifact), task.predictor
        if continued is None or predictor is None:
            continue
        table = to_dataset(task.split("test"), predictor.card.layer_code, predictor.card.image)
        before = predictor.run(table.codes, table.lengths, range(1, table.epochs + 1)).accuracy
        for seen in SEEN:
            found = continued.run([curve[:seen].tolist() for curve in table.curves], prior=before)
            lower, upper, final = found.lower[:, -1], found.upper[:, -1], table.final
            figures = final_error(final, found.accuracy[:, -1])
            figures["final_coverage"] = ((lower <= final) & (final <= upper)).mean()
            figures["final_width"] = (upper - lower).mean()
            which = {"epochs_seen": seen, "networks": len(table)}
            yield from rows_of("continuation", task.name, CONTINUED["with_prior"], figures, **which, **task.shas)


def other_tasks(study: Study) -> Iterator[Row]:
    """Every predictor on the networks of every table: how many are out of distribution, how it ranks other tasks'."""
    for task, by in product(study.chosen, study.tasks.values()):
        if by.predictor is None or (task is by and not task.own):
            continue
        card = by.predictor.card
        table = to_dataset(task.split("test") if task.own else task.rows, card.layer_code, card.image)
        parts = (slice(start, start + BATCH) for start in range(0, len(table), BATCH))
        curves = [by.predictor.run(table.codes[part], table.lengths[part], [card.epochs]) for part in parts]
        far = np.concatenate([part.distance for part in curves]) > card.distance_threshold
        ranks = tau(table.final, np.concatenate([part.accuracy[:, 0] for part in curves]))
        about = {"networks": len(table), "data_sha": task.data_sha, "artifact_sha": by.artifact_sha}
        yield from rows_of("out-of-distribution", task.name, by.name, {"share": far.mean()}, **about)
        if task is not by:
            figures = {"tau": ranks} | _agreement(task.rows, by.rows)
            yield from rows_of("transfer", task.name, by.name, figures, **about)


def _agreement(rows: Sequence[Observation], others: Sequence[Observation]) -> dict[str, float]:
    """Return how many networks two tables share, and the tau between what they measured."""
    first, second = _finals(rows), _finals(others)
    both = sorted(first.keys() & second.keys())
    finals = (np.array([of[name] for name in both]) for of in (first, second))
    return {"both": len(both), "tau_measured": tau(*finals)} if len(both) > 2 else {}


def found_networks(study: Study) -> Iterator[Row]:
    """Selected, random and hand-made networks, really trained (the paper's Section 5.3)."""
    for task, (origin, title) in product(study.own, ORIGINS.items()):
        file = study.root / "data" / "search" / f"{task.name}-{origin}.parquet"
        if task.predictor is None or not file.exists():
            continue
        rows, card = read(file), task.predictor.card
        finals = _finals(rows)
        for number, name in enumerate(sorted(finals, key=lambda name: -finals[name]), 1):
            runs = [row for row in rows if row.network_id == name]
            codes = encode(runs[0].layers, card.layer_code, card.image).codes
            curve = task.predictor.run(*pad([codes]), [card.epochs])
            cost = costs(resolve(runs[0].layers, card.image))
            figures = {"params": cost.params, "flops": cost.flops, "measured": finals[name], "runs": len(runs)}
            figures |= {part: getattr(curve, part)[0, 0] for part in ("accuracy", "lower", "upper")}
            figures["spread"] = np.ptp([row.accuracy[-1] for row in runs])
            yield from rows_of("found-networks", task.name, f"{title} {number}", figures, **task.shas)
