"""Anyone's table makes a predictor: curves of any lengths, a card that says what it was fitted to."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.main import app
from model.artifact import ArtifactError, read_artifact
from model.continuation import CONTINUATION_CARD_FILE, CONTINUATION_FILE, read_continuation
from model.encoding.hand_features import WIRING
from model.encoding.layer_code import EXTENDED
from model.network.notations import nasbench201
from model.network.shapes import Shape
from model.out_of_fold import read_points
from model.runtime import Predictor
from tests.training.tables import jsonl, networks, row
from training.curves.fit import fit_continuation
from training.fitting.calibrate import predict_table
from training.fitting.ensemble_config import PROCESS_ALONE, EnsembleConfig
from training.fitting.fit import fit
from training.fitting.fit_ensemble import fit_ensemble, gaussian_process_part
from training.fitting.fit_peephole import LSTMConfig
from training.fitting.out_of_fold import OUT_OF_FOLD_FILE, read_out_of_fold
from training.metrics import score, tau
from training.observations.dataset import to_dataset
from training.observations.observation import Observation

TINY = EnsembleConfig(members=1, passes=1, attempts=1)


def check(folder, fitted):
    """An artifact answers with whole curves inside their intervals for every network of its table."""
    predictor = Predictor(read_artifact(folder))
    table = fitted.table
    curves = predictor.run(table.codes, table.lengths, range(1, predictor.card.epochs + 1))
    assert curves.accuracy.shape == (len(table), table.epochs)
    assert np.isfinite([curves.accuracy, curves.lower, curves.upper]).all()
    assert (curves.lower <= curves.accuracy).all()
    assert (curves.accuracy <= curves.upper).all()
    json.loads((folder / "card.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} in the card"))


@pytest.mark.parametrize(
    ("code", "lengths"),
    [
        ("extended", [1] * 20),
        ("extended", [*([1, 2, 3] * 7), 6]),  # one network alone reaches epoch 6
        ("extended", [*([50, 20] * 10), 40]),  # long enough to be known by milestones
        ("paper", [1, 2] * 10),
    ],
)
def test_curves_of_any_length_make_a_predictor_and_a_continuation(tmp_path, monkeypatch, code, lengths):
    monkeypatch.setattr("training.fitting.fit.LSTMConfig", lambda: LSTMConfig(passes=2))
    rows = [Observation.model_validate(one) for one in networks(lengths)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = fit(rows, tmp_path, code_name=code, config=TINY)
        check(tmp_path, fitted)
        if fitted.card.epochs > 1:
            card = fit_continuation(tmp_path, fitted.card, read_out_of_fold(tmp_path, fitted.card))
            json.loads((tmp_path / "continuation.json").read_text(), parse_constant=pytest.fail)
            assert card.epochs == max(lengths)


@pytest.mark.parametrize("code", ["extended", "paper"])
@pytest.mark.parametrize("curves", [2, 12])
def test_single_accuracies_are_fitted_as_the_last_epoch(tmp_path, monkeypatch, code, curves):
    """Among curves; so few of those, too, that no epoch but the last has a spread."""
    monkeypatch.setattr("training.fitting.fit.LSTMConfig", lambda: LSTMConfig(passes=2))
    single = [one | {"accuracy": one["accuracy"][-1]} for one in networks([3] * 24)[curves:]]
    rows = [Observation.model_validate(one) for one in networks([3] * curves) + single]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = fit(rows, tmp_path, code_name=code, config=TINY)
        check(tmp_path, fitted)
        assert np.isnan(fitted.table.curves).sum(axis=0).tolist() == [24 - curves, 24 - curves, 0]
        fit_continuation(tmp_path, fitted.card, read_out_of_fold(tmp_path, fitted.card))
    json.loads((tmp_path / "continuation.json").read_text(), parse_constant=pytest.fail)


def test_a_folder_that_cannot_be_written_is_rejected_before_anything_is_fitted(tmp_path, monkeypatch):
    monkeypatch.setattr("training.fitting.fit.fit_ensemble", lambda *_, **__: pytest.fail("it was fitted"))
    out = tmp_path / "mine"
    out.write_text("a file")
    with pytest.raises(FileExistsError):
        fit([Observation.model_validate(one) for one in networks([1] * 24)], out, config=TINY)
    assert out.read_text() == "a file"


def test_the_continuation_of_an_earlier_fit_does_not_outlive_it(tmp_path):
    """Curves of one epoch have none, and a service refuses a folder whose files are of two fits."""
    for name in (CONTINUATION_FILE, CONTINUATION_CARD_FILE):
        (tmp_path / name).write_text("of an earlier fit")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit([Observation.model_validate(one) for one in networks([1] * 24)], tmp_path, config=TINY)
    assert read_continuation(tmp_path) is None
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "arrays.npz",
        "card.json",
        "members.onnx",
        "networks.txt",
        "out_of_fold.json",
        "out_of_fold.parquet",
    ]


def test_a_fit_without_members_has_no_networks_and_leaves_none_of_an_earlier_fit(tmp_path):
    (tmp_path / "members.onnx").write_text("of an earlier fit")
    rows = [Observation.model_validate(one) for one in networks([1] * 24)]
    fitted = fit(rows, tmp_path, config=replace(PROCESS_ALONE, features=16))
    check(tmp_path, fitted)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "arrays.npz",
        "card.json",
        "networks.txt",
        "out_of_fold.json",
        "out_of_fold.parquet",
    ]
    assert (fitted.card.family, fitted.card.opset) == ("process", None)


def test_of_several_sets_of_features_the_likeliest_is_taken():
    rng = np.random.default_rng(0)
    ops = [*rng.choice(["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"], (60, 6)).tolist()]
    cells = [nasbench201(one, cells=1) for one in ops]
    rows = [
        Observation(task="cells", layers=layers, accuracy=[0.5 + 0.05 * one.count("nor_conv_3x3")])
        for one, layers in zip(ops, cells, strict=True)
    ]
    image = Shape(3, 32, 32)
    table = to_dataset(rows, EXTENDED, image)
    learned, others = table.rows(np.arange(0, len(table), 2)), table.rows(np.arange(1, len(table), 2))
    predictor = fit_ensemble(learned, image, PROCESS_ALONE)
    assert set(WIRING) <= set(predictor.family.scaler.names)
    predicted, _ = predict_table(predictor, others)
    assert tau(others.final, predicted[:, 0]) > 0.7


def test_a_fit_keeps_the_predictions_that_its_figures_are_of(tmp_path):
    """Of every network by what was not fitted to it; those of another fit are not taken for its own."""
    rows = [Observation.model_validate(one) for one in networks([*([2] * 23), 1])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = fit(rows, tmp_path, config=TINY)
    card, kept = fitted.card, read_out_of_fold(tmp_path, fitted.card)
    assert kept.network_ids == fitted.table.network_ids
    np.testing.assert_array_equal(kept.measured, fitted.table.curves)
    folds = [kept.fold == number for number in range(5)]
    found = np.mean([score(kept.measured[out], kept.predicted[out]).mse for out in folds])
    assert found == pytest.approx(card.metrics["cross_validation"]["mse"], rel=1e-3)
    with pytest.raises(ArtifactError, match="of another fit"):
        read_out_of_fold(tmp_path, card.model_copy(update={"files": {"members.onnx": "0" * 64}}))
    points = read_points(tmp_path, card)
    assert points is not None
    assert points.networks == len(points.measured) == 23, "a curve that ended early has no final accuracy"
    (tmp_path / OUT_OF_FOLD_FILE).unlink()
    with pytest.raises(ArtifactError, match="has no out_of_fold"):
        read_out_of_fold(tmp_path, card)


def test_the_card_keeps_what_fit_says_of_the_table(tmp_path, monkeypatch):
    """The commands from a table with bad rows to figures, with nothing but three fields in a row."""
    monkeypatch.setattr("training.fitting.fit.LSTMConfig", lambda: LSTMConfig(passes=2))
    table = jsonl(tmp_path / "t.jsonl", *networks([1] * 24), row(accuracy=[]))
    run = CliRunner().invoke
    arguments = ["fit", "--table", str(table), "--out", str(tmp_path / "mine"), "--code", "paper"]
    refused = run(app, arguments)
    assert refused.exit_code == 1
    assert "line 25: accuracy is empty" in str(refused.exception)
    fitted = run(app, [*arguments, "--skip-bad-rows"])
    assert fitted.exit_code == 0, fitted.output
    assert "24 networks are few" in fitted.stderr
    data = json.loads((tmp_path / "mine" / "card.json").read_text())["training"]["data"]
    assert (data["networks"], data["rows_skipped"], data["epochs"]["max"]) == (24, 1, 1)
    arguments = ["evaluate", "--table", str(table), "--artifact", str(tmp_path / "mine")]
    found = run(app, [*arguments, "--skip-bad-rows", "--json", "--split", "all"])
    assert json.loads(found.stdout.splitlines()[0])["networks"] == 24


def test_the_scales_of_the_process_are_fitted_to_a_part_of_a_large_table_and_the_card_says_so(tmp_path):
    rows = [Observation.model_validate(one) for one in networks([1] * 30)]
    small = replace(TINY, gp_networks=12)
    first = fit(rows, tmp_path / "a", config=small)
    assert first.card.training["gaussian_process_scales_fitted_to"] == 12
    check(tmp_path / "a", first)
    assert fit(rows, tmp_path / "b", config=small).card.sha256 == first.card.sha256
    assert gaussian_process_part(30, TINY, 0).tolist() == list(range(30))
    assert len(set(gaussian_process_part(30, small, 0))) == 12
    assert gaussian_process_part(30, small, 0).tolist() != gaussian_process_part(30, small, 1).tolist()
