"""Sections that compare methods: the paper's Tables 3 and 4, regret, learning-set size."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from model.runtime import Predictor
from training.metrics import ceiling
from training.study import pictures
from training.study.kept import Kept
from training.study.learning import SHIPPED
from training.study.limits import found_of_best, random_regret, regret, tau_interval
from training.study.markdown import table
from training.study.paper import figures_for
from training.study.rivals import LC_NET, LSTM, SVR
from training.study.shipped import Measured, trainable

AIM = 0.92  # of the ceiling's tau
PICKS = (1, 5, 10)
PANELS = (f"{LC_NET} 25%", f"{SVR} 25%", LSTM)


def _mean(entry: dict[str, Any], figure: str) -> float:
    return float(np.mean([run[figure] for run in entry["runs"]]))


def _seen(key: str, entry: dict[str, Any]) -> tuple[str, str]:
    """Return a rival's name and what it sees."""
    if not entry["seen"]:
        return key, "nothing"
    name, _, share = key.rpartition(" ")
    return name, f"{share.removesuffix('%')} % of the curve ({entry['seen']} epoch{'s' * (entry['seen'] > 1)})"


def _paper_rows(task: str) -> list[list[object]]:
    found = figures_for(task)
    if found is None:
        return []
    number, rows = found
    seen = {True: "25 % of the curve", False: "nothing"}
    return [
        [f"the paper's Table {number}: {row.method}", seen[row.sees_curve], row.mse, row.tau, row.r2, None]
        for row in rows
    ]


def _rival_rows(kept: Kept, limit: float | None) -> list[list[object]]:
    rows: list[list[object]] = []
    for key, entry in kept.starting("rivals/").items():
        reached = _mean(entry, "tau")
        fraction = reached / limit if limit else None
        rows.append([*_seen(key, entry), _mean(entry, "mse"), reached, _mean(entry, "r2"), fraction])
    return sorted(rows, key=lambda row: (row[1] == "nothing", row[3]))


def own_task(one: Measured, kept: Kept) -> list[str]:
    """Return the comparison on a task's test split, each tau beside its ceiling."""
    noise = ceiling(one.task.rows)
    limit = noise.tau if noise else None
    rows = _rival_rows(kept, limit)
    text = [f"{len({row.network_id for row in one.task.test_rows})} test networks."]
    if noise:
        text.append(f"The ceiling is a tau of {noise.tau:.3f} and an R2 of {noise.r2:.3f}.")
    if one.evaluation is not None:
        metrics = one.evaluation.metrics
        fraction = metrics.tau / limit if limit else None
        rows.append([f"**{SHIPPED}**", "nothing", metrics.mse, metrics.tau, metrics.r2, fraction])
        low, high = tau_interval(one.evaluation.table.final, one.evaluation.predicted[:, -1])
        text.append(f"The shipped predictor's tau has a 95 % bootstrap interval of {low:.2f} to {high:.2f}.")
        if limit:
            short = AIM * limit - metrics.tau
            text.append(
                f"The aim, {AIM} of the ceiling, is " + (f"missed by {short:.3f}." if short > 0 else "reached.")
            )
        text += _what_is_better(kept, metrics.tau, metrics.r2)
    header = ["method", "sees", "MSE", "tau", "R2", "tau / ceiling"]
    return [f"### {one.task.name}", "", " ".join(text), "", *table(header, [*rows, *_paper_rows(one.task.name)])]


def _what_is_better(kept: Kept, tau: float, r2: float) -> list[str]:
    """Say which methods rank better than the shipped predictor, and what they needed for it."""
    entries = kept.starting("rivals/")
    if not entries:
        return []
    better: dict[bool, list[str]] = {True: [], False: []}
    for key, entry in entries.items():
        if _mean(entry, "tau") > tau or _mean(entry, "r2") > r2:
            what = [name for name, ours in (("tau", tau), ("R2", r2)) if _mean(entry, name.lower()) > ours]
            name, sees = _seen(key, entry)
            better[bool(entry["seen"])].append(
                f"{name}" + (f" with {sees}" if entry["seen"] else "") + f" ({' and '.join(what)})"
            )
    before = "; ".join(better[False]) or "none"
    after = "; ".join(better[True]) or "none"
    return [f"Better before training: {before}. Better after part of the training: {after}."]


def public_task(name: str, predictor: Predictor | None, kept: Kept) -> list[str]:
    """Return the comparison on a table from elsewhere, by five-fold cross-validation."""
    rows = _rival_rows(kept, None)
    text = ["Five-fold cross-validation, means of the folds. One run a network: its noise ceiling is not known."]
    if predictor is not None:
        found = predictor.card.metrics["cross_validation"]
        rows.append([f"**{SHIPPED}**", "nothing", found["mse"], found["tau"], found["r2"], None])
        text += _what_is_better(kept, found["tau"], found["r2"])
    header = ["method", "sees", "MSE", "tau", "R2"]
    return [f"### {name}", "", " ".join(text), "", *table(header, [row[:-1] for row in [*rows, *_paper_rows(name)]])]


def _predictions(one: Measured, kept: Kept) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return measured and predicted final accuracies of the test networks, by method."""
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    finals: dict[str, list[float]] = {}
    for row in one.task.test_rows:
        finals.setdefault(row.network_id, []).append(row.accuracy[-1])
    for key, entry in kept.starting("rivals/").items():
        known = [name for name in entry.get("predicted", {}) if name in finals]
        if not known:
            continue
        measured = np.array([np.mean(finals[name]) for name in known])
        found[key] = measured, np.array([entry["predicted"][name] for name in known])
    if one.evaluation is not None:
        found[SHIPPED] = one.evaluation.table.final, one.evaluation.predicted[:, -1]
    return found


def picking(one: Measured, kept: Kept) -> list[str]:
    """Return what is lost by training only the networks predicted best."""
    rows: list[list[object]] = []
    for key, (measured, predicted) in _predictions(one, kept).items():
        name = f"**{key}**" if key == SHIPPED else re.sub(r" (\d+)%$", r", after \1 %", key)
        lost = [100 * regret(measured, predicted, k) for k in PICKS]
        rows.append([name, *lost, found_of_best(measured, predicted)])
    if not rows:
        return []
    rows.append(["at random, expected", *(100 * random_regret(measured, k) for k in PICKS), 0.1])
    header = ["method", *(f"top {k}" for k in PICKS), "of the best tenth found"]
    noise = ceiling(trainable(one.task.rows))
    remark = f" Networks that learn differ by {100 * noise.noise:.2f} points (std) between seeds." if noise else ""
    return [
        f"{one.task.name}, {len(measured)} test networks: points of accuracy between the best network and the best of "
        f"the k predicted best, and the share of the best tenth that is among the tenth predicted best.{remark}",
        "",
        *table(header, rows),
    ]


def scatter(one: Measured, kept: Kept, folder: Path) -> list[str]:
    """Draw the paper's Figure 5."""
    found = _predictions(one, kept)
    panels = [(re.sub(r" (\d+)%$", r", after \1 %", key), *found[key]) for key in (*PANELS, SHIPPED) if key in found]
    if not panels:
        return []
    file = f"study-scatter-{one.task.name}.svg"
    pictures.scatter(folder / file, f"{one.task.name}: predicted against measured final accuracy", panels)
    return [f"![{one.task.name}: predicted against measured final accuracy](pictures/{file})", ""]


def growth(one: Measured, kept: Kept, folder: Path) -> list[str]:
    """Return learning-set size against tau, and draw it."""
    steps = kept.get("learning")
    if not steps:
        return []
    series: dict[str, list[tuple[int, float]]] = {}
    for step in steps:
        series.setdefault(step["method"], []).append((step["networks"], float(np.mean(step["taus"]))))
    whole = len({row.network_id for row in one.task.rows} - {row.network_id for row in one.task.test_rows})
    for name, points in series.items():
        entry = kept.get(f"rivals/{name}")
        if name == SHIPPED and one.evaluation is not None and one.predictor is not None:
            points.append((one.predictor.card.training["networks"], one.evaluation.metrics.tau))
        elif entry is not None:
            points.append((whole, _mean(entry, "tau")))
    sizes = sorted({size for points in series.values() for size, _ in points})
    rows = [[name, *(dict(points).get(size) for size in sizes)] for name, points in series.items()]
    noise = ceiling(one.task.rows)
    file = f"study-learning-{one.task.name}.svg"
    pictures.learning(folder / file, f"{one.task.name}: size of the training set", series, noise.tau if noise else None)
    return [
        f"### {one.task.name}",
        "",
        *table(["tau after fitting to", *map(str, sizes)], rows),
        f"![{one.task.name}: networks to learn from against tau](pictures/{file})",
        "",
    ]
