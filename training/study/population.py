"""Sections on the tables themselves: what was measured, what it cost, and how much of it is noise."""

from collections.abc import Sequence

import numpy as np

from training.metrics import ceiling
from training.observations.observation import Observation
from training.study.limits import ceiling_interval, untied_ceiling
from training.study.markdown import table
from training.study.networks import Task
from training.study.paper import STATISTICS
from training.study.shipped import trainable


def _statistics(rows: Sequence[Observation], name: str) -> list[object]:
    finals: dict[str, list[float]] = {}
    for row in rows:
        finals.setdefault(row.network_id, []).append(row.accuracy[-1])
    means = np.array([np.mean(values) for values in finals.values()])
    return [name, len(means), *(float(f(means)) for f in (np.mean, np.std, np.min, np.max))]


def measurements(tasks: Sequence[Task]) -> list[str]:
    """Return the paper's Table 2 with this project's rows, and what the networks cost."""
    rows, cost = [], []
    for task in tasks:
        for part, chosen in (("train", False), ("test", True)):
            members = [row for row in task.rows if (row.split == "test") is chosen]
            if members:
                rows.append(_statistics(members, f"{task.name}, {part}"))
        for device in sorted({row.device for row in task.rows if row.device and row.seconds}):
            there = [row for row in task.rows if row.device == device]
            seconds = [row.seconds for row in there if row.seconds]
            share = float(np.mean([row.status == "failed_to_train" for row in there]))
            cost.append([task.name, device, len(there), float(np.median(seconds)), float(np.mean(seconds)), share])
    rows += [[name, *figures] for name, figures in STATISTICS.items()]
    return [
        "## What was measured (the paper's Table 2)",
        "",
        "Final validation accuracy; a network's seeds are averaged. The paper's networks train for 180 to 200 epochs "
        "on the full images, and none of them ends below 0.48; these train for minutes, and some never learn.",
        "",
        *table(["networks of", "count", "mean", "std", "min", "max"], rows),
        *table(["task", "device", "runs", "median seconds", "mean seconds", "share that fails to train"], cost),
    ]


def ceilings(tasks: Sequence[Task]) -> list[str]:
    """Return what training noise leaves to be predicted."""
    rows = []
    for task in tasks:
        learning = trainable(task.rows)
        for name, chosen in ((task.name, task.rows), (f"{task.name}, networks that learn", learning)):
            found = ceiling(chosen)
            if found is not None:
                low, high = ceiling_interval(chosen) or (found.tau, found.tau)
                interval, untied = f"{low:.2f} to {high:.2f}", untied_ceiling(chosen)
                agreement = [found.tau, interval, untied, found.r2, found.best_r2]
                rows.append([name, found.networks, *agreement, found.noise, found.spread])
    header = ["task", "networks", "tau", "95 % interval", "tau, ties broken", "R2", "R2 of the mean"]
    header += ["std between seeds", "spread (std)"]
    return [
        "## The noise ceiling",
        "",
        "One training run of a network against the mean of its other runs, over the networks that were trained under "
        "several seeds. Networks that never learn all end at the same accuracy, and two runs of them tie, which counts "
        "as agreement; so do predictions at the chance level of a shipped predictor. Rivals have none: the column with "
        "ties broken at random is what another training run would reach. Neither is a strict bound: the mean of "
        "endless runs would reach the R2 of the column behind against single runs, and a higher tau than another run "
        "does. Intervals are bootstrapped over networks.",
        "",
        *table(header, rows),
    ]
