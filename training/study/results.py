"""The table of all measured figures, `docs/data/results.csv`: one figure a row."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd


class Row(NamedTuple):
    """One figure.

    Attributes:
        experiment: that measured it.
        task: whose networks it is measured on.
        method: what is measured: a predictor, a baseline, a rule, a part of the table.
        epochs_seen: how many epochs of the curve the method was given; 0 before training.
        networks: that the figure is measured on; in the experiment `learning-curve`, that the method is fitted to.
        seed: of the run, where there are several.
        metric: name of the figure.
        value: the figure, to five digits.
        data_sha: hash of the task's table when it was measured (`training.study.networks.Task`).
        artifact_sha: of the artifact that it belongs to, as at the end of the card's version.
    """

    experiment: str
    task: str
    method: str
    epochs_seen: int
    networks: int
    seed: int
    metric: str
    value: float
    data_sha: str
    artifact_sha: str


KEY = list(Row._fields[:7])
GROUP = ["experiment", "task", "method"]
TEXT = ("experiment", "task", "method", "metric", "data_sha", "artifact_sha")


def rows_of(experiment: str, task: str, method: str, figures: Mapping[str, Any], **about: Any) -> list[Row]:
    """Return a row for each figure of a method, by metric; figures that are `None` have none.

    `about` are other fields of `Row`; a number is 0 and a hash empty where it is not given.
    """
    known: dict[str, Any] = {"epochs_seen": 0, "networks": 0, "seed": 0, "data_sha": "", "artifact_sha": ""} | about
    return [
        Row(experiment, task, method, metric=metric, value=_rounded(value), **known)
        for metric, value in figures.items()
        if value is not None
    ]


def _rounded(value: float) -> float:
    return float(value) if float(value).is_integer() else float(f"{value:.5g}")


def read_results(path: Path) -> pd.DataFrame:
    """Return the table; an empty one where there is none yet."""
    if not path.exists():
        return pd.DataFrame([], columns=list(Row._fields))
    return pd.read_csv(path, keep_default_na=False, dtype=dict.fromkeys(TEXT, str))


def record(path: Path, rows: Iterable[Row]) -> None:
    """Write rows in place of what the table holds of the same experiments, tasks and methods.

    The table is sorted by its key, so that a difference between two versions shows nothing but figures.
    """
    new, old = pd.DataFrame(rows, columns=list(Row._fields)), read_results(path)
    replaced = pd.MultiIndex.from_frame(old[GROUP]).isin(pd.MultiIndex.from_frame(new[GROUP]))
    kept = old[~replaced]
    whole = (pd.concat([kept, new]) if len(kept) else new).sort_values(KEY)
    partial = path.with_suffix(".partial")
    whole.to_csv(partial, index=False, float_format="%g", lineterminator="\n")
    partial.replace(path)
