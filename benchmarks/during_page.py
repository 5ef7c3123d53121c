"""`python -m benchmarks.during_page`: the tables of docs/results.md on curves and weights, from what was measured.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; the text around it is written by hand.
"""

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import during, weights
from model.artifact import ZOO, read_artifact
from model.continuation import read_continuation
from model.runtime import Predictor
from training.curves.figures import FinalError, final_error
from training.observations.read import read
from training.observations.table import Table, tabulate

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results.md"
DATA = ROOT / "docs" / "data"
OWN = ("mnist-mini", "cifar10-mini")
PUBLIC = ("metaqnn-cifar10", "metaqnn-svhn")
SEEN = (1, 2, 5, 8)
LAST = "last seen value"
_BLOCK = re.compile(r"(<!-- table: ([a-z0-9 -]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _json(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / name).read_text())
    return found


def cross_validated(task: str) -> str:
    """Return the continuation beside its rivals, by cross-validation."""
    found = _json(f"during-{task}.json")
    return f"{found['networks']} networks.\n\n{during.markdown(found)}"


def _test_table(task: str) -> Table:
    card = read_artifact(ZOO / task).card
    rows = [row for row in read(ROOT / "data" / f"{task}.parquet") if row.split == "test"]
    return tabulate(rows, card.layer_code, card.image, clamp=True)


def _line(task: str, seen: int, method: str, error: FinalError, covered: str = "") -> str:
    return f"| {task} | {seen} | {method} | {error.tau:.3f} | {error.r2:.3f} | {error.mae:.4f} | {covered} |"


def held_out_networks() -> str:
    """Return the shipped continuations on the networks of the test splits, beside the study's rivals."""
    lines = [
        "| task | epochs seen | method | tau | R2 | MAE | 90 % interval |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for task in OWN:
        predictor, continuation = Predictor(read_artifact(ZOO / task)), read_continuation(ZOO / task)
        assert continuation is not None
        table = _test_table(task)
        prior = predictor.run(table.codes, table.lengths, range(1, table.epochs + 1)).accuracy
        rivals = {name: one["value"] for name, one in _json(f"study/{task}.json").items() if name.startswith("rivals/")}
        for seen in SEEN:
            observed = [curve[:seen].tolist() for curve in table.curves]
            got = continuation.run(observed, prior=prior)
            final = table.final
            inside = (got.lower[:, -1] <= final) & (final <= got.upper[:, -1])
            width = float((got.upper - got.lower)[:, -1].mean())
            covered = f"covers {inside.mean():.3f}, {width:.3f} wide"
            lines.append(
                _line(task, seen, "**Peephole, curve and layers**", final_error(final, got.accuracy[:, -1]), covered)
            )
            lines.append(_line(task, seen, LAST, final_error(final, table.curves[:, seen - 1])))
            for name, rival in rivals.items():
                title = re.sub(r"^rivals/| \d+%$", "", name)
                if rival["seen"] == seen and title != LAST:
                    if missing := set(table.network_ids) - rival["predicted"].keys():
                        raise SystemExit(
                            f"{name} knows nothing of {len(missing)} networks of {task}: "
                            f"peephole report --refresh --task {task}"
                        )
                    predicted = np.array([rival["predicted"][one] for one in table.network_ids])
                    lines.append(_line(task, seen, title, final_error(final, predicted)))
    return "\n".join(lines)


def _replays() -> dict[str, dict[str, Any]]:
    return {task: _json(f"replay-{task}.json") for task in (*PUBLIC, "mnist-mini")}


def replayed() -> str:
    """Return what the stopping rules saved, a column for each table."""
    found = _replays()
    names = list(dict.fromkeys(name for one in found.values() for name in one["rules"]))
    lines = ["| rule | " + " | ".join(f"{task}: times fewer epochs | best lost: mean, worst" for task in found) + " |"]
    lines.append("| --- " * (1 + 2 * len(found)) + "|")
    for name in names:
        cells = []
        for one in found.values():
            rule = one["rules"].get(name)
            faster, lost = (rule["speedup"], rule["lost"]) if rule else (None, None)
            cells += [
                f"{faster['mean']:.2f} ± {faster['std']:.2f}" if faster else "",
                f"{lost['mean']:.4f}, {lost['max']:.4f}" if lost else "",
            ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def weights_held_out() -> str:
    """Return how well weights foretell accuracy on held-out networks."""
    return weights.markdown(_json("weights.json")).partition("\n\n")[0]


def weights_worth() -> str:
    """Return what each statistic of the weights is worth."""
    return weights.markdown(_json("weights.json")).partition("\n\n")[2]


def live_search() -> str:
    """Return the studies of the real search."""
    found = _json("live-search.json")
    studies = {name: one for name, one in found.items() if isinstance(one, dict) and "epochs" in one}
    machine = f"{found['machine']['cores']}-core {found['machine']['processor']}"
    lines = [
        f"{found['trials']} networks, one core of a {machine}:",
        "",
        "| study | epochs | CPU seconds | wall-clock seconds | stopped | best |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, one in studies.items():
        title = "no pruner" if name == "without" else f"`PeepholePruner`, {name}"
        seconds = f"{one['processor_seconds']:.0f} | {one['wall_seconds']:.0f}"
        lines.append(f"| {title} | {one['epochs']} | {seconds} | {one['pruned']} | {one['best']:.5f} |")
    return "\n".join(lines)


TABLES: dict[str, Callable[[], str]] = {
    "held-out": held_out_networks,
    "replays": replayed,
    "weights": weights_held_out,
    "statistics": weights_worth,
    "live": live_search,
}


def _table(name: str) -> str:
    kind, _, task = name.partition(" ")
    return cross_validated(task) if kind == "during" else TABLES[name]()


def main() -> None:
    """Write every table anew."""
    what = __doc__.partition("\n")[0]
    argparse.ArgumentParser(prog="python -m benchmarks.during_page", description=what).parse_args()
    PAGE.write_text(_BLOCK.sub(lambda found: f"{found[1]}\n{_table(found[2])}\n\n{found[3]}", PAGE.read_text()))


if __name__ == "__main__":
    main()
