"""An artifact that was changed, cut short or half written does not load."""

import json
import shutil

import pytest

from model.artifact import CARD_FILE, MODEL_FILE, ArtifactError, read_artifact, shipped
from model.runtime import Predictor


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(shipped()[0], tmp_path / "artifact")


def test_every_shipped_artifact_loads_and_names_its_folder():
    assert {read_artifact(folder).card.task for folder in shipped()} == {folder.name for folder in shipped()}
    assert {"metaqnn-cifar10", "metaqnn-svhn", "mnist-mini"} <= {folder.name for folder in shipped()}


def test_a_changed_model_is_refused(copy):
    model = bytearray((copy / MODEL_FILE).read_bytes())
    model[len(model) // 2] ^= 1
    (copy / MODEL_FILE).write_bytes(model)
    with pytest.raises(ArtifactError, match="sha256"):
        read_artifact(copy)


def test_a_truncated_model_is_refused(copy):
    (copy / MODEL_FILE).write_bytes((copy / MODEL_FILE).read_bytes()[:-100])
    with pytest.raises(ArtifactError, match="truncated"):
        read_artifact(copy)


@pytest.mark.parametrize("name", [CARD_FILE, MODEL_FILE])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(ArtifactError, match=name):
        read_artifact(copy)


def test_a_malformed_card_is_refused_by_field(copy):
    card = json.loads((copy / CARD_FILE).read_text())
    (copy / CARD_FILE).write_text(json.dumps(card | {"epochs": 0}))
    with pytest.raises(ArtifactError, match="epochs"):
        read_artifact(copy)


def test_a_card_of_another_version_says_what_to_do(copy):
    card = json.loads((copy / CARD_FILE).read_text())
    (copy / CARD_FILE).write_text(json.dumps(card | {"format": 99}))
    with pytest.raises(ArtifactError, match="another version of Peephole; fit it again"):
        read_artifact(copy)


def test_a_model_for_another_code_is_refused(copy):
    card = json.loads((copy / CARD_FILE).read_text())
    (copy / CARD_FILE).write_text(json.dumps(card | {"code": "paper"}))
    with pytest.raises(ArtifactError, match="paper code"):
        Predictor(read_artifact(copy))
