"""A card describes its task as the protocol and the rows have it, or not at all."""

from itertools import islice

import pytest

from training.fitting.describe import describe
from training.observations.observation import Observation
from training.protocols import PROTOCOLS

PROTOCOL = PROTOCOLS["mnist-mini"]


def measured(layers, protocol=PROTOCOL.key, accuracy=0.5):
    return Observation(task="t", layers=layers, accuracy=[0.1, accuracy], protocol=protocol, in_channels=1)


def test_the_recipe_is_the_protocol_s_and_the_networks_are_the_rows():
    rows = [measured(one.layers, accuracy=0.9) for one in islice(PROTOCOL.population(), 20)]
    about = describe(rows, PROTOCOL.image)
    assert about.measured == "Validation accuracy after each of 10 epochs, on 4,000 MNIST test images."
    shortest, longest = min(len(row.layers) for row in rows), max(len(row.layers) for row in rows)
    assert f"Chains of {shortest} to {longest} layers of the types conv, batch_norm, relu, " in about.search_space
    assert about.search_space.endswith("Convolutions have kernels of 1 to 5 and 1 to 96 channels.")
    recipe = about.training_recipe
    assert (recipe["optimiser"], recipe["learning_rate"], recipe["batch"], recipe["epochs"]) == ("SGD", 0.1, 64, 10)
    assert recipe["learning_rate_schedule"] == "multiplied by 0.1 after epochs 5 and 8"
    assert recipe["images"] == "MNIST, 14x14 pixels, averaged down from the original"
    assert any("ends at 0.900" in limit for limit in about.limits)
    whole = PROTOCOLS["mnist"]
    recipe = describe([measured([{"type": "relu"}], whole.key)], whole.image).training_recipe
    assert (recipe["images"], recipe["gradient_clipping"]) == ("MNIST, 28x28 pixels", "none")


@pytest.mark.parametrize("keys", [(None,), (PROTOCOL.key, None), (PROTOCOL.key, PROTOCOLS["mnist"].key), ("other",)])
def test_rows_of_no_one_known_protocol_are_not_described(keys):
    assert describe([measured([{"type": "relu"}], key) for key in keys], PROTOCOL.image) is None
