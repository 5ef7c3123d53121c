"""The tables of the pages, from the table of figures: a page marks a place for each, a command fills them in."""

import re
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any

import pandas as pd

from training.study.shipped import SHIPPED

MARKED = re.compile(r"(<!-- table: ([a-z0-9 -]+) -->\n).*?(<!-- end -->)", re.DOTALL)
KEY = ["experiment", "task", "method", "epochs_seen", "networks"]
COLUMNS = {  # heading and format, from a row's key and metrics; a cell is empty where one of them was not measured
    "task": ("task", "{task}"),
    "method": ("method", "{method}"),
    "task_name": ("task", "`{task}`"),
    "part": ("networks of", "{task}, {method}"),
    "predicted_part": ("networks of", "{method}"),
    "distance": ("median distance", "{distance:.2f}"),
    "context_of": ("task, method", "{task}, {method}"),
    "predictor": ("predictor of", "{method}"),
    "networks_of": ("networks of", "{task}"),
    "after_fit": ("tau after fitting to", "{task}, {method}"),
    "seen": ("epochs seen", "{epochs_seen}"),
    "networks": ("networks", "{networks}"),
    "where": ("measured on", "{networks} networks, {experiment}"),
    "tau": ("tau", "{tau:.3f}"),
    "tau_of_draws": ("tau", "{tau:.3f}{deviation}"),
    "tau_interval": ("95 % interval of tau", "{tau_low:.2f} to {tau_high:.2f}"),
    "tau_untied": ("tau, ties broken", "{tau_untied:.3f}"),
    "of_ceiling": ("tau / ceiling", "{of_ceiling:.3f}"),
    "r2": ("R2", "{r2:.3f}"),
    "best_r2": ("R2 of the mean", "{best_r2:.3f}"),
    "mse": ("MSE", "{mse:.5f}"),
    "mae": ("MAE", "{mae:.4f}"),
    "curve_mae": ("curve MAE", "{curve_mae:.4f}"),
    "interval": ("90 % interval", "covers {final_coverage:.3f}, {final_width:.3f} wide"),
    "widened": ("90 % interval, widened", "covers {coverage:.3f}, {mean_width:.3f} wide"),
    "unwidened": ("not widened", "covers {unwidened_coverage:.3f}, {unwidened_mean_width:.3f} wide"),
    "coverage": ("90 % coverage", "{coverage:.3f}"),
    "mean_width": ("mean width", "{mean_width:.3f}"),
    "median_width": ("median width", "{median_width:.3f}"),
    "mean": ("mean", "{mean:.3f}"),
    "std": ("std", "{std:.3f}"),
    "min": ("min", "{min:.3f}"),
    "max": ("max", "{max:.3f}"),
    "noise": ("std between seeds", "{noise:.4f}"),
    "spread": ("spread (std)", "{spread:.4f}"),
    "runs": ("runs", "{runs:.0f}"),
    "seconds": ("seconds: median, mean", "{median_seconds:.1f}, {mean_seconds:.1f}"),
    "failed": ("share that fails to train", "{failed_share:.3f}"),
    "top_1": ("top 1", "{regret_1:.2f}"),
    "top_5": ("top 5", "{regret_5:.2f}"),
    "top_10": ("top 10", "{regret_10:.2f}"),
    "best_found": ("best tenth found", "{best_found:.2f}"),
    "params": ("params", "{params:,.0f}"),
    "flops": ("FLOPs", "{flops:,.0f}"),
    "predicted": ("predicted", "{accuracy:.3f}, {lower:.3f} to {upper:.3f}"),
    "measured": ("measured, mean of the seeds", "{measured:.3f}"),
    "both": ("measured on both", "{both:.0f}"),
    "tau_measured": ("tau between the measurements", "{tau_measured:.3f}"),
    "share": ("share out of distribution", "{share:.3f}"),
    "speedup": ("times fewer epochs", "{speedup:.2f} ± {speedup_std:.2f}"),
    "lost": ("best lost: mean, worst", "{lost:.4f}, {lost_worst:.4f}"),
}


@dataclass(frozen=True)
class Table:
    """How figures make a table; those of several seeds are averaged, and `tau_of_draws` says how far they deviate.

    Attributes:
        experiments: whose figures, with spaces between.
        columns: names in `COLUMNS`, with spaces between.
        order: what rows are sorted by, downwards after a minus.
        where: which rows, as in `DataFrame.query`.
        across: a part of the key whose values become columns; the first column then names the rows.
    """

    experiments: str
    columns: str
    order: str = "task epochs_seen -tau"
    where: str = "task == task"
    across: str = ""


OWN = "('cifar10-mini', 'mnist-mini')"
TABLES = {
    "predictors": Table(
        "test-split held-out cross-validation",
        "task_name tau of_ceiling r2 coverage where",
        where="experiment in ('test-split', 'held-out') or task in ('metaqnn-cifar10', 'metaqnn-svhn')",
    ),
    "population": Table("population paper-population", "part networks mean std min max", "-experiment task -method"),
    "cost": Table("cost", "task method runs seconds failed", "task method"),
    "noise-ceiling": Table(
        "noise-ceiling", "task method networks tau tau_interval tau_untied r2 best_r2 noise spread", "task -networks"
    ),
    "paper": Table("paper", "task method tau r2 mse"),
    "test-split": Table(
        "test-split test-split-learning", "task method networks tau tau_interval of_ceiling r2 mse curve_mae"
    ),
    "cross-validation": Table("cross-validation", "task networks tau r2 mse curve_mae coverage mean_width"),
    "intervals": Table("intervals", "task method coverage mean_width median_width", "task method"),
    "extrapolation": Table("extrapolation", "task predicted_part networks distance coverage mean_width", "task method"),
    "in-context": Table("in-context", "context_of tau", "task method", across="networks"),
    "in-context-coverage": Table(
        "in-context", "context_of coverage", "task method", "method != 'neural process'", across="networks"
    ),
    "found-networks": Table("found-networks", "method params flops predicted measured", "task -measured"),
    "spaces": Table("spaces published-spaces", "after_fit tau", "task -tau", across="networks"),
    "with-proxies": Table("with-proxies", "task method networks tau r2 curve_mae", "task method"),
    "published proxies": Table("proxies", "after_fit tau", "task -tau", f"task not in {OWN}", across="networks"),
    "learning-curve": Table("learning-curve", "after_fit tau", "task -tau", across="networks"),
    "transfer": Table(
        "transfer", "predictor networks_of networks tau both tau_measured", where=f"task in {OWN} and method in {OWN}"
    ),
    "out-of-distribution": Table("out-of-distribution", "predictor networks_of networks share", "method task"),
    "ablation": Table("ablation", "method tau r2", across="task"),
    "continuation": Table(
        "continuation baselines", "task seen method tau r2 mae interval", where=f"epochs_seen > 0 and task in {OWN}"
    ),
    "early-stopping": Table("early-stopping", "method speedup lost", "task speedup", across="task"),
    "weights": Table("weights", "task method tau r2 mae", "task -r2"),
    "weights-far": Table("weights-far", "task predicted_part networks distance widened unwidened", "task method"),
}
for _task in ("cifar10-mini", "mnist-mini", "nasbench201-cifar10"):
    _of = f"task == '{_task}' and networks <= 400 and (experiment == 'rivals' or method == '{SHIPPED}')"
    TABLES[f"rivals {_task}"] = Table(
        "rivals learning-curve", "method tau_of_draws", "-networks -tau", _of, across="networks"
    )
for _task in ("cifar10-mini", "mnist-mini"):
    _of = f"task == '{_task}'"
    TABLES[f"baselines {_task}"] = Table("baselines test-split", "seen method tau r2 mse", where=_of)
    TABLES[f"proxies {_task}"] = Table("proxies", "method tau", "-networks -tau", _of, across="networks")
    TABLES[f"picking {_task}"] = Table(
        "picking", "seen method top_1 top_5 top_10 best_found", "epochs_seen regret_1", _of
    )
for _task in ("metaqnn-cifar10", "metaqnn-svhn"):
    _of = f"task == '{_task}'"
    TABLES[f"baselines {_task}"] = Table("baselines cross-validation", "seen method tau r2 mse", where=_of)
    TABLES[f"during {_task}"] = Table("during-training", "method tau r2", where=_of, across="epochs_seen")


def render(results: pd.DataFrame, table: Table) -> str:
    """Return a table in Markdown."""
    chosen = results[results.experiment.isin(table.experiments.split())].query(table.where)
    rows = chosen.pivot_table("value", KEY, "metric").reset_index()
    order = table.order.split()
    rows = rows.sort_values([name.lstrip("-") for name in order], ascending=["-" not in name for name in order])
    rows["deviation"] = _deviation(chosen, rows)
    rows["method"] = rows.method.replace(SHIPPED, f"**{SHIPPED}**")
    columns = [COLUMNS[name] for name in table.columns.split()]
    cells = pd.DataFrame([{title: _cell(text, row) for title, text in columns} for row in rows.to_dict("records")])
    if table.across:
        cells = _spread(cells, rows[table.across].to_list())
    lines = [list(cells.columns), ["---"] * cells.shape[1], *cells.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _deviation(chosen: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    """Return the standard deviation of tau between the seeds of each row; nothing of a single one."""
    found = chosen[chosen.metric == "tau"].groupby(KEY).value.std().reindex(pd.MultiIndex.from_frame(rows[KEY]))
    return ["" if pd.isna(one) else f" ± {one:.3f}" for one in found]


def _cell(text: str, row: dict[Any, Any]) -> str:
    used = [name for _, name, _, _ in Formatter().parse(text) if name]
    return "" if any(pd.isna(row.get(name)) for name in used) else text.format(**row)


def _spread(cells: pd.DataFrame, values: list[Any]) -> pd.DataFrame:
    """Put rows of the same first cell side by side, with the value that tells them apart in the headings."""
    label = cells.columns[0]
    parts = {value: cells[[one == value for one in values]].set_index(label) for value in sorted(set(values))}
    for value, part in parts.items():
        alone = len(part.columns) == 1
        part.columns = pd.Index([str(value) if alone else f"{value}: {title}" for title in part.columns])
    whole = pd.concat(parts.values(), axis=1).reindex(cells[label].unique()).fillna("")
    return whole.rename_axis(label).reset_index()


def fill(page: Path, results: pd.DataFrame) -> None:
    """Write every marked table of a page anew.

    Raises:
        KeyError: when a marker names no table.
    """
    text = page.read_text()
    page.write_text(MARKED.sub(lambda found: f"{found[1]}\n{render(results, TABLES[found[2]])}\n\n{found[3]}", text))
