"""The predictors of public search spaces, on networks of the spaces that they were not fitted to.

`spaces.json` holds a few dozen networks of each space and what the benchmark measured, with its source.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from model.artifact import MEMBERS_FILE, ZOO, read_artifact, read_networks
from model.encoding.layer_code import encode, pad
from model.network.hashing import canonical_hash
from model.network.notations import SPACES
from model.runtime import Predictor
from training.metrics import tau

FIXTURES = json.loads((Path(__file__).parent / "spaces.json").read_text())
FLOORS = {  # of tau; measured when they were fitted: 0.83, 0.93, 0.88, 0.92, 0.83, 0.83, 0.91
    "nasbench101-cifar10": 0.75,
    "nasbench201-cifar10": 0.85,
    "nasbench201-cifar100": 0.8,
    "nasbench201-imagenet16-120": 0.85,
    "transnas101-class-scene": 0.75,
    "transnas101-jigsaw": 0.75,
    "accel-imagenet": 0.85,
}


def layers_of(arch):
    return SPACES[arch["space"].removesuffix("_macro").removesuffix("_micro")].read(arch)


@pytest.fixture(scope="module", params=sorted(FLOORS))
def space(request):
    artifact = read_artifact(ZOO / request.param)
    networks = [layers_of(one["arch"]) for one in FIXTURES[request.param]["networks"]]
    accuracy = np.array([one["accuracy"] for one in FIXTURES[request.param]["networks"]])
    return artifact, networks, accuracy


@pytest.fixture(scope="module")
def curves(space):
    artifact, networks, _ = space
    codes = [encode(layers, artifact.card.layer_code, artifact.card.image).codes for layers in networks]
    return Predictor(artifact).run(*pad(codes), [artifact.card.epochs])


def test_networks_of_the_space_are_ranked(space, curves):
    artifact, _, accuracy = space
    assert tau(accuracy, curves.accuracy[:, 0]) > FLOORS[artifact.card.task]


def test_they_were_not_fitted_to(space):
    artifact, networks, _ = space
    known = read_networks(artifact)
    assert known
    assert not known & {canonical_hash(layers, artifact.card.image) for layers in networks}


def test_most_are_familiar_and_intervals_hold_most(space, curves):
    artifact, _, accuracy = space
    assert (curves.distance <= artifact.card.distance_threshold).mean() > 0.8
    assert ((curves.lower[:, 0] <= accuracy) & (accuracy <= curves.upper[:, 0])).mean() > 0.7


def test_a_network_of_another_kind_is_far(space):
    artifact, _, _ = space
    vgg = [{"type": "conv", "kernel_size": 5, "out_channels": 700}, {"type": "sigmoid"}] * 6
    far = Predictor(artifact).run(*pad([encode(vgg, artifact.card.layer_code, artifact.card.image).codes]), [1])
    assert far.distance[0] > artifact.card.distance_threshold


def test_they_say_what_they_are_about(space):
    artifact, _, _ = space
    assert artifact.card.about is not None
    assert artifact.card.metrics["held_out"]["networks"] > 100
    assert MEMBERS_FILE not in artifact.files
    assert sum(len(content) for content in artifact.files.values()) < 3_000_000
