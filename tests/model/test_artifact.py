"""An artifact that was changed, cut short or half written does not load."""

import io
import json
import shutil
from pathlib import Path
from zipfile import ZipFile

import pytest

from model.artifact import (
    ARRAYS_FILE,
    CARD_FILE,
    MEMBERS_FILE,
    ZOO,
    ArtifactError,
    pack_artifact,
    read_artifact,
    shipped,
    unpack_artifact,
)
from model.proxy_reader import PROXIES_CARD_FILE, PROXIES_FILE, read_proxy_reader, unpack_proxy_reader
from model.runtime import Predictor


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(ZOO / "cifar10-mini", tmp_path / "artifact")


def test_every_shipped_artifact_loads_and_names_its_folder():
    assert {read_artifact(folder).card.task for folder in shipped()} == {folder.name for folder in shipped()}
    assert {"metaqnn-cifar10", "metaqnn-svhn", "mnist-mini"} <= {folder.name for folder in shipped()}


@pytest.mark.parametrize("name", [MEMBERS_FILE, ARRAYS_FILE])
def test_a_changed_file_is_rejected(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{name}: its sha256"):
        read_artifact(copy)


@pytest.mark.parametrize("name", [MEMBERS_FILE, ARRAYS_FILE])
def test_a_truncated_file_is_rejected(copy, name):
    (copy / name).write_bytes((copy / name).read_bytes()[:-100])
    with pytest.raises(ArtifactError, match="truncated"):
        read_artifact(copy)


@pytest.mark.parametrize("name", [CARD_FILE, MEMBERS_FILE, ARRAYS_FILE])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(ArtifactError, match=name):
        read_artifact(copy)


def test_a_malformed_card_is_rejected_by_field(copy):
    card = json.loads((copy / CARD_FILE).read_text())
    (copy / CARD_FILE).write_text(json.dumps(card | {"epochs": 0}))
    with pytest.raises(ArtifactError, match="epochs"):
        read_artifact(copy)


def test_an_artifact_of_the_first_format_is_rejected_with_one_sentence(copy):
    """It has a sha256 where there are files now; the sentence is about neither."""
    card = json.loads((copy / CARD_FILE).read_text())
    del card["files"]
    (copy / CARD_FILE).write_text(json.dumps(card | {"format": 1, "sha256": "0" * 64}))
    with pytest.raises(ArtifactError) as rejected:
        read_artifact(copy)
    assert str(rejected.value) == f"{copy / CARD_FILE}: written by another version of Peephole; fit it again"


def test_an_ensemble_that_reads_a_feature_that_there_is_not_is_rejected(copy):
    card = json.loads((copy / CARD_FILE).read_text())
    (copy / CARD_FILE).write_text(json.dumps(card | {"features": ["colour", *card["features"][1:]]}))
    with pytest.raises(ArtifactError, match="no feature 'colour'"):
        Predictor(read_artifact(copy))


def test_an_ensemble_reads_the_extended_code(copy):
    card = json.loads((copy / CARD_FILE).read_text())
    (copy / CARD_FILE).write_text(json.dumps(card | {"code": "paper"}))
    with pytest.raises(ArtifactError, match="extended code"):
        read_artifact(copy)


def test_the_sha256_of_a_predictor_changes_with_each_of_its_files(copy):
    card = read_artifact(copy).card
    for name in card.files:
        assert card.model_copy(update={"files": card.files | {name: "0" * 64}}).sha256 != card.sha256


@pytest.mark.parametrize("task", ["cifar10-mini", "accel-imagenet"])
def test_a_packed_artifact_is_the_same_when_it_is_unpacked(task):
    """One with neural networks, and one without."""
    packed = pack_artifact(ZOO / task)
    found, plain = unpack_artifact(packed, Path("x")), read_artifact(ZOO / task)
    assert (found.card, found.files) == (plain.card, plain.files)


def test_a_packed_artifact_has_what_reads_scores():
    """It reads them as that of the folder does; one that was damaged does not load."""
    packed = pack_artifact(ZOO / "cifar10-mini", beside=(PROXIES_CARD_FILE, PROXIES_FILE))
    found = unpack_artifact(packed, Path("x"))
    reader, plain = unpack_proxy_reader(found), read_proxy_reader(ZOO / "cifar10-mini", found.card)
    assert reader is not None
    assert reader.card == plain.card
    assert reader.card.predictor_sha256 == found.card.sha256
    assert unpack_proxy_reader(unpack_artifact(pack_artifact(ZOO / "cifar10-mini"), Path("x"))) is None
    found.beside.pop(PROXIES_FILE)
    with pytest.raises(ArtifactError, match=PROXIES_FILE):
        unpack_proxy_reader(found)


def test_a_packed_artifact_that_was_damaged_does_not_load(copy):
    packed = pack_artifact(copy)
    for content in (b"", packed[:1000], packed[:-100]):
        with pytest.raises(ArtifactError, match="leaves/1"):
            unpack_artifact(content, Path("leaves/1"))
    for name, changed in ((MEMBERS_FILE, None), (ARRAYS_FILE, b"changed"), (CARD_FILE, None)):
        files = {file: content for file, content in _members(packed).items() if file != name}
        files |= {} if changed is None else {name: changed}
        with pytest.raises(ArtifactError, match=name):
            unpack_artifact(_zipped(files), Path("leaves/1"))


def _members(packed):
    with ZipFile(io.BytesIO(packed)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zipped(files):
    packed = io.BytesIO()
    with ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()
