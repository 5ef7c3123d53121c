"""Figures are those of networks that the artifact was not fitted to, or say how many it was."""

import json

import pytest
from typer.testing import CliRunner

from cli.main import app
from model.artifact import NETWORKS_FILE, ArtifactError, read_artifact, read_networks, shipped, write_artifact
from model.runtime import Predictor
from training.fitting.evaluate import evaluate
from training.fitting.fit import fit
from training.fitting.fit_peephole import LSTMConfig
from training.observations.observation import Observation, split_of


def network(number):
    """A network of its own for each number below 125, in the paper's code as well, which knows no widths."""
    kernel = [1 + number % 5, 1 + number // 5 % 5]
    layers = [{"type": "conv", "kernel_size": kernel, "out_channels": 8}, *[{"type": "relu"}] * (1 + number // 25)]
    return Observation(task="mine", layers=layers, accuracy=[number / 300])


def networks(numbers):
    return [network(number) for number in numbers]


OWN, OTHER = networks(range(4, 44)), networks(range(104, 114))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Artifacts fitted to the training split and to all networks of one table."""
    found = {split: tmp_path_factory.mktemp(split) for split in ("train", "all")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.fitting.fit.LSTMConfig", lambda: LSTMConfig(passes=1))
        for split, folder in found.items():
            fit(OWN, folder, code_name="paper", split=split)
    return found


def run(tmp_path, artifact, rows, *options):
    table = tmp_path / "t.jsonl"
    table.write_text("\n".join(row.model_dump_json() for row in rows))
    arguments = ["evaluate", "--table", str(table), "--artifact", str(artifact), "--json", *options]
    return CliRunner().invoke(app, arguments)


def counts(result):
    assert result.exit_code == 0, result.exception
    figures = json.loads(result.stdout)
    return figures["networks"], figures["fitted_to"], figures["new"]


def names(rows):
    return {row.network_id for row in rows}


def test_an_artifact_lists_what_it_was_fitted_to(folders):
    assert read_networks(read_artifact(folders["all"])) == names(OWN)
    expected = {name for name in names(OWN) if split_of(name) == "train"}
    assert read_networks(read_artifact(folders["train"])) == expected
    assert (folders["train"] / NETWORKS_FILE).read_text().splitlines() == sorted(expected)


def test_by_default_only_new_networks_are_measured(tmp_path, folders):
    test = sum(split_of(name) == "test" for name in names(OWN))
    assert counts(run(tmp_path, folders["train"], OWN)) == (test, 0, test)
    assert counts(run(tmp_path, folders["train"], OTHER)) == (10, 0, 10)  # whatever their hashes
    assert counts(run(tmp_path, folders["all"], OWN + OTHER)) == (10, 0, 10)


def test_a_single_accuracy_is_compared_with_the_last_epoch():
    """Of the predictor, whatever the longest curve of the table."""
    folder = next(folder for folder in shipped() if folder.name == "mnist-mini")
    predictor = Predictor(read_artifact(folder))
    layers = [{"type": "conv", "kernel_size": 3, "out_channels": 8}, {"type": "relu"}] * 14
    rows = [{"task": "mnist-mini", "layers": layers[:count], "in_channels": 1} for count in (20, 22, 24, 26)]

    def measured(accuracies):
        given = zip(rows, accuracies, strict=True)
        return [Observation.model_validate(row | {"accuracy": accuracy}) for row, accuracy in given]

    found = evaluate(measured([0.5, 0.6, 0.7, 0.8]), predictor, "all")
    assert found.predicted.shape == (4, 10)
    last = found.predicted[:, -1]
    width = (found.upper - found.lower)[:, -1].mean()
    assert found.mean_width == pytest.approx(width)
    assert evaluate(measured(last.tolist()), predictor, "all").metrics.mse == pytest.approx(0, abs=1e-12)
    first = found.predicted[:, 0].tolist()
    mixed = evaluate(measured([*last[:2].tolist(), [first[2]], [first[3]]]), predictor, "all")
    assert mixed.metrics.mse == pytest.approx(0, abs=1e-12)


def test_a_table_without_new_networks_is_rejected_in_one_line(tmp_path, folders):
    error = str(run(tmp_path, folders["all"], OWN).exception)
    assert "--split all" in error
    assert "\n" not in error


def test_a_test_split_that_was_fitted_to_is_rejected_in_one_line(tmp_path, folders):
    error = str(run(tmp_path, folders["all"], OWN, "--split", "test").exception)
    assert "the artifact was fitted to" in error
    assert "\n" not in error
    assert counts(run(tmp_path, folders["train"], OWN, "--split", "test"))[1] == 0


@pytest.mark.parametrize("split", ["train", "all"])
def test_how_many_were_fitted_to_is_said(tmp_path, folders, split):
    train = sum(split_of(name) == "train" for name in names(OWN))
    whole = run(tmp_path, folders[split], OWN, "--split", "all")
    fitted = train if split == "train" else 40
    assert counts(whole) == (40, fitted, 40 - fitted)
    assert f"fitted to {fitted} of these networks" in whole.stderr
    assert counts(run(tmp_path, folders[split], OWN, "--split", "train")) == (train, train, 0)


def test_without_a_list_the_split_decides_and_a_note_says_so(tmp_path, folders):
    for split, networks_measured in (("train", sum(split_of(name) == "test" for name in names(OWN))), ("all", 40)):
        loaded = read_artifact(folders[split])
        write_artifact(tmp_path / split, loaded.card, loaded.files)
        assert read_networks(read_artifact(tmp_path / split)) is None
        found = run(tmp_path, tmp_path / split, OWN)
        assert counts(found) == (networks_measured, None, None)
        assert "does not list what it was fitted to" in found.stderr


def test_what_one_network_cannot_say_is_null(tmp_path, folders):
    found = run(tmp_path, folders["all"], OTHER[:1])
    assert found.exit_code == 0, found.exception
    figures = json.loads(found.stdout, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert (figures["networks"], figures["r2"]) == (1, None)


def test_curves_of_one_epoch_have_nothing_to_continue(folders):
    found = CliRunner().invoke(app, ["fit-continuation", "--artifact", str(folders["all"])])
    assert "nothing to continue" in str(found.exception)


def test_the_list_of_another_fit_is_rejected(tmp_path, folders):
    loaded = read_artifact(folders["all"])
    write_artifact(tmp_path, loaded.card, loaded.files, {name: name for name in names(OTHER)})
    with pytest.raises(ArtifactError, match="another fit"):
        read_networks(read_artifact(tmp_path))
