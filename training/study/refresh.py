"""Compute what takes longer than a report may, or needs tables that are not committed, and keep it as JSON."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from model.artifact import Card
from model.encoding.layer_code import EXTENDED
from training.baselines import FinalPredictor
from training.baselines.peephole_lstm import PlainPeephole
from training.observations.pretraining import PretrainingTable, pretraining_tables, without_held_out
from training.study import structure
from training.study.ablation import ablate
from training.study.kept import Kept
from training.study.learning import Shipped, learning_sizes, recipe_of
from training.study.networks import Networks, Task, describe
from training.study.rivals import LC_NET, LSTM, measure, rivals
from training.study.shipped import foreign, load

OnStep = Callable[[str], None]


def foreign_key(target: Task, predictor_sha256: str) -> str:
    """Return what a predictor's figures on another table depend on."""
    return f"{predictor_sha256[:6]}{target.sha256[:6]}"


def learning_key(task: Task, card: Card | None) -> str:
    """Return what ablations and the figures by learning-set size depend on."""
    return f"{card.sha256[:6] if card else 'none'}{task.sha256[:6]}"


def _compare(task: Task, networks: Networks, kept: Kept, *, force: bool, on_step: OnStep) -> None:
    parts = task.parts(networks)
    for rival in rivals():
        section, of = f"rivals/{rival.key}", task.sha256
        looked_into = task.own and rival.name == LSTM
        if not force and kept.fresh(section, of) and not (looked_into and not kept.fresh("cells", of)):
            continue
        on_step(f"{task.name}: {rival.key}")
        fitted: list[FinalPredictor] = []
        kept.put(section, of, measure(rival, networks, parts, fitted.append))
        if looked_into and isinstance(fitted[0], PlainPeephole):
            fitting, test = parts[0]
            predictor = fitted[0].predictor
            kept.put("cells", of, structure.cells(predictor, networks.rows(fitting), networks.rows(test)))
            kept.put("embedding", of, structure.embedding(predictor, networks, test))


def _pretraining(task: Task, networks: Networks, card: Card | None, tasks: Sequence[Task]) -> list[PretrainingTable]:
    """Return the pretraining tables of a card's predictor, without the networks of the task's test split."""
    names = card.training.get("pretrained_on", {}) if card else {}
    rows = [one.rows for one in tasks if one.name in names]
    others = pretraining_tables(rows, task.name, EXTENDED, networks.image, "train")
    fitting, _ = task.parts(networks)[0]
    return without_held_out(others, networks.table, networks.rows(fitting).table)


def _look_into(
    task: Task, networks: Networks, kept: Kept, zoo: Path, tasks: Sequence[Task], *, force: bool, on_step: OnStep
) -> None:
    fitting, test = task.parts(networks)[0]
    predictor = load(zoo, task.name)
    card = predictor.card if predictor else None
    pretraining = _pretraining(task, networks, card, tasks)

    def step(text: str) -> None:
        on_step(f"{task.name}: {text}")

    of = learning_key(task, card)
    if force or not kept.fresh("ablation", of):
        kept.put("ablation", of, ablate(networks.rows(fitting), networks.table, pretraining, step))
    if force or not kept.fresh("learning", of):
        shipped = Shipped(recipe_of(card), pretraining, predictor.calibration.chance_level if predictor else None)
        steps = learning_sizes(networks.rows(fitting), networks.rows(test), shipped, step)
        kept.put("learning", of, steps)


def refresh(
    own: Sequence[Task],
    public: Sequence[Task],
    zoo: Path,
    folder: Path,
    *,
    only: str | None = None,
    force: bool = False,
    on_step: OnStep = lambda step: None,
) -> None:
    """Bring what is kept up to date with the tables and the shipped predictors.

    A section that was computed from the same rows is left as it is, so that a refresh that was stopped goes on where it
    was, and tables that did not change cost nothing.

    Args:
        own: tables that the project measured.
        public: tables from elsewhere, cross-validated.
        zoo: folder of artifacts.
        folder: of the JSON files.
        only: the name of one task, to leave the others.
        force: compute everything again, as after a change of a method.
        on_step: called with a description of each step.
    """
    torch.set_num_threads(1)
    if not any(rival.name == LC_NET for rival in rivals()):
        on_step("LC-Net is left as it was: Pyro is not installed (the extra `study`)")
    tasks = [*own, *public]
    for task in tasks:
        if only not in {None, task.name}:
            continue
        kept = Kept(folder, task.name)
        networks = describe(task.rows)
        _compare(task, networks, kept, force=force, on_step=on_step)
        if task.own:
            _look_into(task, networks, kept, zoo, tasks, force=force, on_step=on_step)
        predictor = load(zoo, task.name)
        if predictor is None:
            on_step(f"{task.name}: no predictor ships; its figures on other tables wait for it")
            continue
        for other in public:
            of = foreign_key(other, predictor.card.sha256)
            if other is not task and (force or not kept.fresh(f"foreign/{other.name}", of)):
                kept.put(f"foreign/{other.name}", of, asdict(foreign(predictor, other.rows)))
