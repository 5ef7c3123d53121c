"""The cards of the shipped predictors describe their tasks for people, and say what the protocols say."""

import pytest

from model.artifact import read_artifact, shipped
from training.fitting.public_tasks import PUBLIC_TASKS
from training.protocols import PROTOCOLS

CARDS = {card.task: card for card in (read_artifact(folder).card for folder in shipped())}
PUBLIC = sorted(CARDS.keys() & PUBLIC_TASKS.keys())
MEASURED = sorted(CARDS.keys() - PUBLIC_TASKS.keys())


@pytest.mark.parametrize("task", PUBLIC)
def test_every_task_of_a_benchmark_is_described(task):
    card = CARDS[task]
    assert (card.description, card.classes) == (PUBLIC_TASKS[task].description, PUBLIC_TASKS[task].classes)
    assert card.about.training_recipe == PUBLIC_TASKS[task].about.training_recipe
    assert f"{card.training['final_accuracy']['max']:.3f}" in card.about.limits[0]


@pytest.mark.parametrize("task", MEASURED)
def test_every_shipped_task_is_described(task):
    about = CARDS[task].about
    assert about is not None
    assert about.limits
    assert {"optimiser", "learning_rate", "batch", "epochs", "augmentation", "images"} <= set(about.training_recipe)
    assert about.training_recipe["epochs"] == CARDS[task].epochs
    assert str(CARDS[task].epochs) in about.measured


@pytest.mark.parametrize("task", MEASURED)
def test_the_best_measured_value_is_that_of_the_table(task):
    best = CARDS[task].training["data"]["final_accuracy"]["100%"]
    assert any(f"{best:.3f}" in limit for limit in CARDS[task].about.limits)


@pytest.mark.parametrize("task", sorted(CARDS.keys() & PROTOCOLS.keys()))
def test_the_recipe_of_an_own_task_is_its_protocol(task):
    protocol, about = PROTOCOLS[task], CARDS[task].about
    recipe = about.training_recipe
    stated = {
        "learning_rate": protocol.learning_rate,
        "momentum": protocol.momentum,
        "weight_decay": protocol.weight_decay,
        "batch": protocol.batch_size,
        "epochs": protocol.epochs,
        "training_images": protocol.train_images,
        "validation_images": protocol.validation_images,
    }
    assert {name: recipe[name] for name in stated} == stated
    epochs = " and ".join(map(str, protocol.decay_epochs))
    assert recipe["learning_rate_schedule"] == f"multiplied by {protocol.decay:g} after epochs {epochs}"
    assert recipe["gradient_clipping"] == f"norm {protocol.clip:g}"
    assert f"{protocol.resolution}x{protocol.resolution}" in recipe["images"]
    assert f"{protocol.max_flops // 1_000_000} million FLOPs" in about.search_space
    assert f"{protocol.width}, {2 * protocol.width} and {4 * protocol.width} channels" in about.search_space
