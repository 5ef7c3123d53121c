"""The neural process that ships: what it may see, that it ranks, and files that are not whole."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from model.artifact import ArtifactError
from model.encoding.hand_features import every_feature
from model.encoding.layer_code import EXTENDED, encode
from model.network.shapes import Shape
from model.neural_process import FOLDER, NeuralProcess, read_process, shipped_process
from training.observations.read import read

IMAGE = Shape(3, 16, 16)
MEASURED = Path("data/in_progress/cifar10-mini-families.parquet")


@pytest.fixture(scope="module")
def networks():
    """Features and final accuracies of networks of families, which the process did not learn from."""
    rows = list({row.network_id: row for row in read(MEASURED)}.values())
    codes = [encode(row.layers, EXTENDED, IMAGE).codes for row in rows]
    return every_feature(codes, IMAGE), np.array([row.accuracy[-1] for row in rows])


def test_few_networks_of_a_new_space_tell_how_to_rank_others(networks):
    """Mean tau over five contexts of ten networks of families is far above chance, whose deviation is 0.03."""
    features, accuracies = networks
    taus = []
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(accuracies))
        known, asked = order[:10], order[10:]
        found = shipped_process().predict(features[known], accuracies[known], features[asked])
        taus.append(kendalltau(found, accuracies[asked]).statistic)
    assert np.mean(taus) > 0.2, taus


def test_a_network_does_not_see_its_own_accuracy(networks):
    """Two networks that are hidden may swap accuracies, mean and spread staying: nothing changes for who sees others.

    Those that see them do change.
    """
    features, accuracies = networks
    known, swapped = accuracies[:12].copy(), accuracies[:12].copy()
    known[:2] = swapped[:2][::-1] = 0.2, 0.45
    process = shipped_process()
    seen = np.ones((3, 12))
    seen[:2, :2] = 0
    one, other = (process._predict(features[:12], values, features[20:23], seen) for values in (known, swapped))
    np.testing.assert_allclose(one[:2], other[:2], atol=1e-6)
    assert abs(one[2] - other[2]) > 1e-3
    left_out = process.leave_one_out(features[:12], known)
    assert (np.abs(left_out - process.predict(features[:12], known, features[:12])) > 1e-4).any()


def test_three_networks_and_equal_accuracies_give_finite_numbers(networks):
    """The smallest context, without any spread."""
    features, _ = networks
    found = shipped_process().predict(features[:3], np.full(3, 0.4), features[3:])
    assert np.isfinite(found).all()
    assert np.isfinite(shipped_process().leave_one_out(features[:3], np.full(3, 1.0))).all()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "neural_process.onnx").write_bytes(b"no"), "sha256"),
        (lambda folder: (folder / "neural_process.json").unlink(), "No such file"),
        (
            lambda folder: (folder / "neural_process.json").write_text(
                (folder / "neural_process.json").read_text().replace('"log params"', '"unknown"', 1)
            ),
            "features",
        ),
    ],
)
def test_a_damaged_process_is_named(tmp_path, damage, message):
    """A changed network, a missing card, features of another version: one line that says where."""
    shutil.copytree(FOLDER, tmp_path / "process")
    damage(tmp_path / "process")
    with pytest.raises(ArtifactError, match=message) as caught:
        read_process(tmp_path / "process")
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_process_is_read_once() -> None:
    """However many contexts ask for it."""
    assert isinstance(shipped_process(), NeuralProcess)
    assert shipped_process() is shipped_process()
