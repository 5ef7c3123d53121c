"""Identity and split of a network are stored with it, and do not change."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.artifact import NETWORKS_FILE, ZOO, read_artifact, read_networks
from model.network.graph import costs, resolve
from model.network.hashing import canonical_hash
from model.network.shapes import Shape
from tests.strategies import extended_layers
from training.fitting.evaluate import fitted_among
from training.measuring.datasets import data_folder
from training.measuring.journal import Journal
from training.observations.observation import Observation, split_of
from training.observations.read import read, write_parquet

ROOT = Path(__file__).parents[3]
TABLES = sorted((ROOT / "data").rglob("*.parquet"))
LAYERS = [{"type": "conv", "kernel_size": 3, "out_channels": 8}, {"type": "relu"}]
OTHER = [{"type": "conv", "kernel_size": 5, "out_channels": 8}, {"type": "relu"}]
STORED = "0123456789abcdef"
TEST_SPLITS = {  # networks to train on, networks of the test split, sha256 of the sorted ids of the latter
    "in_progress/cifar10-mini-families.parquet": (
        182,
        89,
        "ba61cf5025e188ff6a8a573173b416b74bec788a61a55f5461958f009162d50d",
    ),
    "in_progress/cifar10-short.parquet": (
        5,
        4,
        "2c281cf6a9ff3b226d45d8e4decd168d94d4b4f6118d577a5905584aa5b7ac66",
    ),
    "cifar10-mini.parquet": (
        751,
        405,
        "786e30ed8287cd5861558308aa0037c4a7f0ef6b0e687d5d8c9032d04d77d07c",
    ),
    "mnist-mini.parquet": (
        844,
        433,
        "f3a0a7ffdcaa5dc5abdbb7af2d5892d7deafccbbf054516fef14c1c170497bee",
    ),
    "search/cifar10-mini-random.parquet": (
        4,
        1,
        "e790da2d9658c5cafb7a27beec7a05557635af5c420a85973db14b2119c51919",
    ),
    "search/cifar10-mini-selected.parquet": (
        3,
        2,
        "4d6c7b00c5ea291d40dc3d53bebdbebb6664f2e3bf1632a0add02acd0683c95a",
    ),
    "search/cifar10-mini-vgg.parquet": (
        1,
        1,
        "dc62a5e447398f571763bafb636aaf64312f0c97e17ccee773fffc462bba6fb5",
    ),
}


@pytest.fixture(scope="module")
def tables():
    return {str(path.relative_to(ROOT / "data")): read(path) for path in TABLES}


def test_every_committed_network_has_one_id_one_split_and_one_canonical_form(tables):
    rows = [row for rows in tables.values() for row in rows]
    assert len({row.network_id for row in rows}) == len({row.canonical for row in rows})
    assert len({(row.network_id, row.canonical, row.split) for row in rows}) == len({row.network_id for row in rows})


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.stem)
def test_the_stored_costs_of_a_network_are_those_of_its_layers(tables, table):
    rows = tables[str(table.relative_to(ROOT / "data"))]
    stored = {(row.network_id, row.resolution, row.params, row.flops) for row in rows}
    networks = {(row.network_id, row.resolution): row for row in rows}
    assert len(stored) == len(networks)
    for network_id, resolution, params, flops in stored:
        row = networks[network_id, resolution]
        found = costs(resolve(row.layers, Shape(row.in_channels, resolution, resolution)))
        assert (params, flops) == (found.params, found.flops), network_id


def test_no_network_of_a_test_split_has_changed_sides(tables):
    found = {}
    for name, rows in tables.items():
        sides = {part: {row.network_id for row in rows if row.split == part} for part in ("train", "test")}
        digest = hashlib.sha256("\n".join(sorted(sides["test"])).encode()).hexdigest()
        found[name] = (len(sides["train"]), len(sides["test"]), digest)
    assert found == TEST_SPLITS


@pytest.mark.parametrize("task", ["mnist-mini", "cifar10-mini"])
def test_no_shipped_predictor_is_fitted_to_the_test_split(tables, task):
    listed = read_networks(read_artifact(ZOO / task))
    rows = tables[f"{task}.parquet"]
    assert not fitted_among([row for row in rows if row.split == "test"], listed)
    assert (
        len(fitted_among([row for row in rows if row.split == "train"], listed))
        >= read_artifact(ZOO / task).card.training["networks"]
    )


@pytest.mark.parametrize("task", ["mnist-mini", "cifar10-mini"])
def test_a_committed_network_measured_again_elsewhere_is_known_to_the_predictor(tables, task):
    listed = read_networks(read_artifact(ZOO / task))
    row = next(row for row in tables[f"{task}.parquet"] if row.network_id in listed)
    again = Observation.model_validate(row.model_dump(exclude={"network_id", "split"}))
    assert again.network_id != row.network_id
    assert fitted_among([again], listed) == {again.network_id}


@pytest.mark.parametrize("task", ["metaqnn-cifar10", "metaqnn-svhn"])
def test_the_public_tables_are_listed_by_canonical_hash(task):
    artifact = read_artifact(ZOO / task)
    lines = (ZOO / task / NETWORKS_FILE).read_text().splitlines()
    assert all(len(line.split()) == 1 for line in lines)
    assert len(lines) == artifact.card.training["networks_listed"]
    table = data_folder() / "curves" / f"{task}.parquet"
    if not table.exists():
        pytest.skip(f"needs {table}; set PEEPHOLE_DATA")
    rows = read(table)
    assert len(fitted_among(rows, read_networks(artifact))) == artifact.card.training["networks"] == len(rows)


@given(extended_layers, st.integers(1, 64))
def test_ways_to_write_a_network_have_one_canonical_hash(layers, channels):
    spelled = Observation.model_validate(
        {
            "task": "mine",
            "layers": json.dumps(layers),
            "accuracy": [0.5],
            "in_channels": channels,
        }
    )
    assert spelled.network_id == spelled.canonical == canonical_hash(layers, Shape(channels, 32, 32))


def test_a_ratio_means_the_channels_that_it_gives():
    ratio, channels = (
        {"type": "conv", "kernel_size": 3, "channel_ratio": 2.0},
        {"type": "conv", "kernel_size": 3, "stride": 1, "out_channels": 6},
    )
    wide = channels | {"out_channels": 12}
    assert canonical_hash([ratio, ratio], Shape(3, 32, 32)) == canonical_hash([channels, wide], Shape(3, 32, 32))
    assert canonical_hash([ratio], Shape(1, 32, 32)) != canonical_hash([channels], Shape(1, 32, 32))


def test_different_networks_have_different_hashes():
    base = {"type": "conv", "kernel_size": 3, "out_channels": 8}
    pool = {"type": "max_pool", "kernel_size": 2}
    others = [
        [base],
        [base | {"kernel_size": [3, 5]}],
        [base | {"stride": 2}],
        [base | {"out_channels": 9}],
        [base, base],
        [base, pool],
        [base, pool | {"type": "avg_pool"}],
        [base, pool | {"stride": 1}],
        [base, {"type": "dropout", "p": 0.1}],
        [base, {"type": "dropout", "p": 0.2}],
        [base, {"type": "linear", "out_features": 8}],
    ]
    assert len({observation(layers=layers).canonical for layers in others}) == len(others)
    assert observation(layers=[base, pool]).canonical == observation(layers=[base, pool | {"stride": [2, 2]}]).canonical


def observation(**changes):
    return Observation.model_validate({"task": "mine", "layers": LAYERS, "accuracy": [0.5]} | changes)


def test_stored_columns_are_read_and_kept(tmp_path):
    row = observation(network_id=STORED, split="test", id="cand-1")
    write_parquet(tmp_path / "t.parquet", [row])
    (again,) = read(tmp_path / "t.parquet")
    assert (again.network_id, again.split, again.id) == (STORED, "test", "cand-1")


def test_columns_of_a_user_that_mean_something_else_are_left_alone():
    row = observation(network_id="net 7", split="validation")
    assert row.network_id == row.canonical
    assert row.split == split_of(row.canonical)


def test_a_row_takes_the_identity_of_the_same_network_in_its_table(tmp_path):
    path = tmp_path / "t.jsonl"
    stored = {"task": "mine", "layers": LAYERS, "accuracy": [0.5], "network_id": STORED, "split": "test"}
    rows = [{"task": "mine", "layers": layers, "accuracy": [0.6], "seed": 1} for layers in (LAYERS, OTHER)]
    path.write_text("\n".join(map(json.dumps, [*rows, stored])))
    again, other, _ = read(path)
    assert (again.network_id, again.split) == (STORED, "test")
    assert other.network_id == other.canonical


def test_a_collection_keeps_the_identity_of_the_table_that_it_adds_to(tmp_path):
    journal = Journal(tmp_path / "t.parquet")
    write_parquet(journal.table, [observation(network_id=STORED, split="test")])
    journal.append(observation(seed=1))
    assert [(row.network_id, row.split, row.seed) for row in journal.fold()] == [
        (STORED, "test", 0),
        (STORED, "test", 1),
    ]


def test_about_a_third_is_the_test_split():
    share = sum(split_of(f"{number:016x}") == "test" for number in range(3000)) / 3000
    assert share == pytest.approx(1 / 3, abs=0.03)
