"""Sentences of docs/during-training.md that hold figures, so that they always say what the tables beside them say."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Json = Mapping[str, Any]
WITH_LAYERS = "Peephole, curve and layers"
ALONE = "Peephole, curve alone"
SVR = "ν-SVR (Baker et al.)"
LAST = "last seen value"
INSIDE = "Peephole, curve alone, learnt from the search's first 20, 0.95"
HYPERBAND = "Optuna Hyperband"
BOUND = "ends known after one epoch (bound)"
_GROUPS = frozenset({"weight", "bias", "scale", "shift", "first tensors", "last tensors"})
_NO_PRUNERS = ("Peephole", "full training", BOUND)


def listed(parts: Iterable[str]) -> str:
    """Return `a, b and c`."""
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def _cost(rule: Json) -> str:
    return f"{rule['speedup']['mean']:.2f} times at {rule['lost']['mean']:.5f}"


def _lost(rule: Json) -> float:
    return round(float(rule["lost"]["mean"]), 5)


def _saves(rule: Json) -> float:
    return round(float(rule["speedup"]["mean"]), 2)


def against_pruners(rules: Mapping[str, Json], ours: Json) -> str:
    """Return which pruners save as much as a rule of ours, and which lose as little."""
    pruners = {name: rule for name, rule in rules.items() if not any(one in name for one in _NO_PRUNERS)}
    faster = [f"{name} ({_cost(rule)})" for name, rule in pruners.items() if _saves(rule) >= _saves(ours)]
    safer = [f"{name} ({_cost(rule)})" for name, rule in pruners.items() if _lost(rule) < _lost(ours)]
    first = f"as much or more is saved by {listed(faster)}" if faster else "no pruner saves as much"
    return f"{first}; {f'less is lost by {listed(safer)}' if safer else 'none loses less'}"


def replays(found: Mapping[str, Json]) -> str:
    """Return what the replays say of the rule and of pruners, a point for each table."""
    lines = ["Times fewer epochs, at the mean loss of the best accuracy:", ""]
    for task, one in found.items():
        rules, orders = one["rules"], one["orders"]
        said = []
        for confidence in ("0.9", "0.95"):
            rule = rules[f"Peephole, layers known, {confidence}"]
            kept = f"the best found in {round(rule['kept_best'] * orders)} of {orders} searches"
            said.append(
                f"a confidence of {confidence} the rule saves {_cost(rule)}, {kept}; {against_pruners(rules, rule)}"
            )
        lines.append(
            f"- **`{task}`, with a table** ({one['networks']} networks): at {'. At '.join(said)}. "
            f"Who knew every end after one epoch would save {rules[BOUND]['speedup']['mean']:.2f} times."
        )
    inside = []
    for task, one in found.items():
        others = [
            f"{name} {_cost(one['rules'][name])}"
            for name in ("Optuna successive halving", "Ray ASHA")
            if name in one["rules"]
        ]
        if INSIDE in one["rules"]:
            inside.append(f"`{task}` {_cost(one['rules'][INSIDE])} ({', '.join(others)})")
    if inside:
        lines.append(
            "- **Without a table** the first search pays for the learning. Learnt from its own first 20 networks, at "
            f"0.95: {'; '.join(inside)}. What a search has trained to the end is a table for the next one."
        )
    both = []
    for task, one in found.items():
        alone, topped = one["rules"][HYPERBAND], one["rules"][f"{HYPERBAND} + Peephole, 0.95"]
        share = topped["epochs"]["mean"] / alone["epochs"]["mean"]
        both.append(f"`{task}` {100 * share:.0f} %, losing {_lost(topped):.5f} instead of {_lost(alone):.5f}")
    lines.append(f"- **Hyperband with the rule on top** spends of what it spends alone: {'; '.join(both)}.")
    return "\n".join(lines)


def _behind(found: Mapping[str, Json], other: str, score: str) -> tuple[list[str], int]:
    """Return where another method's score is above the continuation's, and of how many comparisons."""
    places = [
        (f"{share} of `{task}`", entry["methods"])
        for task, one in found.items()
        for share, entry in one["seen"].items()
        if other in entry["methods"]
    ]
    above = [
        where for where, methods in places if round(methods[other][score], 3) > round(methods[WITH_LAYERS][score], 3)
    ]
    return above, len(places)


def continued(found: Mapping[str, Json]) -> str:
    """Return what the cross-validated tables say of layers, of the ν-SVR and of the last value."""
    lines = []
    early = [
        f"{one['methods'][ALONE]['mse']:.5f} and {one['methods'][WITH_LAYERS]['mse']:.5f} after {one['epochs']} epochs"
        for one in list(found["metaqnn-cifar10"]["seen"].values())[:3]
    ]
    lines.append(f"- MSE of `metaqnn-cifar10` without the layers and with them: {listed(early)}.")
    for other in (SVR, LAST):
        said = []
        for score, name in (("tau", "tau"), ("r2", "R2")):
            above, count = _behind(found, other, score)
            said.append(f"in {len(above)} of {count} by {name}{f' ({listed(above)})' if above else ''}")
        lines.append(
            f"- {'The last value' if other == LAST else other} is ahead of the curve with layers, to three decimals, "
            f"{listed(said)}."
        )
    return "\n".join(lines)


def live(found: Json) -> str:
    """Return the studies of the real search as a table, and what they add up to."""
    titles = {"without": "no pruner"}
    studies = {name: one for name, one in found.items() if isinstance(one, dict) and "epochs" in one}
    plain = studies["without"]
    lines = [
        f"{found['trials']} networks, one core of a {found['machine']['cores']}-core {found['machine']['processor']}:",
        "",
        "| study | epochs | processor seconds | wall-clock seconds | stopped | best |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, one in studies.items():
        seconds = f"{one['processor_seconds']:.0f} | {one['wall_seconds']:.0f}"
        title = titles.get(name, f"`PeepholePruner`, {name}")
        lines.append(f"| {title} | {one['epochs']} | {seconds} | {one['pruned']} | {one['best']:.5f} |")
    pruned = [one for name, one in studies.items() if name != "without"]
    epochs = listed(f"{plain['epochs'] / one['epochs']:.1f}" for one in pruned)
    seconds = listed(f"{plain['processor_seconds'] / one['processor_seconds']:.1f}" for one in pruned)
    lost = [plain["best"] - one["best"] for one in pruned]
    kept = "nothing of the best accuracy" if max(lost) <= 0 else listed(f"{one:.5f}" for one in lost)
    lines += ["", f"{epochs} times fewer epochs, {seconds} times less processor time; lost: {kept}."]
    return "\n".join(lines)


def weights_cards(cards: Mapping[str, Json]) -> str:
    """Return the cross-validated figures of what reads weights, as its cards have them."""
    said = []
    for task, card in cards.items():
        learnt, figures = card["training"], card["metrics"]["cross_validation"]
        runs = f"{learnt['rows']:,} runs of {learnt['networks']:,} networks"
        said.append(f"`{task}`, {runs}, tau {figures['tau']:.3f}, R2 {figures['r2']:.3f}")
    return f"Five-fold cross-validation over architectures, as their cards have it: {'; '.join(said)}."


def weights_split(found: Json) -> str:
    """Return which runs the held-out figures are of."""
    tasks = found["tasks"].items()
    learnt = listed(f"{one['training_rows']:,} runs of `{task}`" for task, one in tasks)
    tested = listed(f"{one['held_out_rows']:,} runs of {one['held_out_networks']:,} of `{task}`" for task, one in tasks)
    return (
        f"Fitted to the training split alone ({learnt}), measured on the held-out architectures ({tested}), networks "
        "that never trained among them:"
    )


def weights_notes(found: Json) -> str:
    """Return what the tables of weights say."""
    tasks = found["tasks"]

    def each(said: Callable[[Json], str]) -> str:
        return "; ".join(f"`{task}` {said(one)}" for task, one in tasks.items())

    def learning(one: Json) -> str:
        return listed(f"{r2:.3f} from {rows}" for rows, r2 in one["r2_by_training_rows"].items())

    def abroad(one: Json) -> str:
        return listed(
            f"tau {got['as_it_is']['tau']:.3f}, R2 {got['as_it_is']['r2']:.3f} by what learnt from `{other}`"
            for other, got in one["from_other_task"].items()
        )

    worth = found["worth"]["figures"]
    single = [one for name, one in worth.items() if name not in _GROUPS and name != "all"]
    most = max(worth["all"][score] - one["left_out"][score] for one in single for score in ("tau", "r2"))
    ahead = each(lambda one: f"{one['held_out']['mse'] / one['trees']['mse']:.2f}")
    first = each(lambda one: f"{one['held_out']['r2'] - one['own_task_alone']['r2']:+.3f}")
    quarter = each(lambda one: f"{one['quarter_of_training']['r2']:.3f} instead of {one['held_out']['r2']:.3f}")
    few = each(
        lambda one: f"{100 * one['error_of_the_worst']['share']:.0f} % by {one['error_of_the_worst']['networks']}"
    )
    return "\n".join(
        [
            f"- Squared error beside that of trees on the summary alone, which this replaced: {ahead}.",
            f"- What another task's networks first are worth in R2: {first}.",
            f"- R2 by the runs learnt from (without a chance level): {each(learning)}.",
            f"- Left out, no single statistic costs the trees more than {most:.3f} of R2 or tau: they say the same in "
            "several ways.",
            f"- Across data sets: {each(abroad)}.",
            f"- R2 from the weights after a quarter of training: {quarter}.",
            f"- Few runs decide. Share of the squared error carried by the worst of those held out: {few}.",
        ]
    )
